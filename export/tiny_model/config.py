"""The recipe as frozen data, read from one TOML file."""

import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

Section = TypeVar("Section")
RECIPE = Path(__file__).with_name("recipe.toml")
LEVELS = {"autoencoder.channels": 4, "unet.channels": 3, "controlnet.channels": 4}  # lists of so many numbers
SHARES = ("two_objects", "landscapes", "wild", "ema", "caption_dropout", "falling")  # floats in 0..1
ANY_NUMBERS = ("time_mean",)  # floats that may be negative; all other numbers are not


@dataclass(frozen=True, slots=True)
class DataRecipe:
    """What the training pictures are like."""

    size: int
    two_objects: float
    landscapes: float
    jitter: float


@dataclass(frozen=True, slots=True)
class AutoencoderRecipe:
    """Shape and training of the autoencoder; a phase is (side of the crop, batch, steps)."""

    channels: tuple[int, ...]
    groups: int
    layers: int
    pool: int
    wild: float
    phases: tuple[tuple[int, int, int], ...]
    start_spread: float
    learning_rate: float
    gradient_weight: float
    kl_weight: float
    seed_offset: int


@dataclass(frozen=True, slots=True)
class DecoderRecipe:
    """Further training of the decoder alone; a phase is (side of the crop, batch, steps)."""

    pool: int
    wild: float
    phases: tuple[tuple[int, int, int], ...]
    rounds: int
    learning_rate: float
    noise: float
    gradient_weight: float
    seed_offset: int


@dataclass(frozen=True, slots=True)
class TextRecipe:
    """Shape of the tokenizer and text encoder, and their training as a classifier of captions."""

    vocabulary: int
    hidden: int
    layers: int
    heads: int
    steps: int
    batch: int
    learning_rate: float
    seed_offset: int


@dataclass(frozen=True, slots=True)
class UnetRecipe:
    """Shape and training of the denoiser."""

    pool: int
    channels: tuple[int, ...]
    layers: int
    heads: int
    groups: int
    batch: int
    learning_rate: float
    warmup: int
    ema: float
    caption_dropout: float
    steps: int
    falling: float
    gamma: float
    last_gamma: float
    floor: float
    time_mean: float
    time_spread: float
    seed_offset: int


@dataclass(frozen=True, slots=True)
class LoraRecipe:
    """Shape and training of the low-rank adaptation."""

    rank: int
    pool: int
    steps: int
    batch: int
    learning_rate: float
    seed_offset: int


@dataclass(frozen=True, slots=True)
class ControlnetRecipe:
    """Shape and training of the network that follows edges; channels are those of its picture's encoder."""

    channels: tuple[int, ...]
    pool: int
    steps: int
    batch: int
    learning_rate: float
    caption_dropout: float
    seed_offset: int


@dataclass(frozen=True, slots=True)
class EvaluationRecipe:
    """How the finished model is judged."""

    prompts: int
    steps: int
    guidance: float
    seed_offset: int


@dataclass(frozen=True, slots=True)
class MachineRecipe:
    """What the training may take of the machine. It changes the cost, and the weights as another seed would: workers
    draw the autoencoder's noise each for themselves and add up in another order."""

    workers: int
    threads: int
    checkpoint_every: float


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the weights of the embedded model."""

    seed: int
    data: DataRecipe
    autoencoder: AutoencoderRecipe
    decoder: DecoderRecipe
    text: TextRecipe
    unet: UnetRecipe
    lora: LoraRecipe
    controlnet: ControlnetRecipe
    evaluation: EvaluationRecipe
    machine: MachineRecipe


def read_recipe(path: Path = RECIPE) -> Recipe:
    """Read a recipe file; ValueError names a missing or unknown key, or one with a value that makes no sense."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    _same_names("recipe", table, [field.name for field in fields(Recipe)])
    return Recipe(
        seed=_number(table["seed"], int, "seed"),
        data=_section(DataRecipe, table, "data"),
        autoencoder=_section(AutoencoderRecipe, table, "autoencoder"),
        decoder=_section(DecoderRecipe, table, "decoder"),
        text=_section(TextRecipe, table, "text"),
        unet=_section(UnetRecipe, table, "unet"),
        lora=_section(LoraRecipe, table, "lora"),
        controlnet=_section(ControlnetRecipe, table, "controlnet"),
        evaluation=_section(EvaluationRecipe, table, "evaluation"),
        machine=_section(MachineRecipe, table, "machine"),
    )


def longer(recipe: Recipe, times: int) -> Recipe:
    """The same recipe with so many times the UNet's steps; ValueError for less than one."""
    if times < 1:
        raise ValueError(f"the UNet cannot be trained {times} times as long: at least 1")
    return replace(recipe, unet=replace(recipe.unet, steps=times * recipe.unet.steps))


def check_workers(recipe: Recipe, workers: int) -> None:
    """ValueError when a batch of the recipe cannot be divided evenly between so many workers."""
    batches = {
        "autoencoder.phases": [count for _, count, _ in recipe.autoencoder.phases],
        "decoder.phases": [count for _, count, _ in recipe.decoder.phases],
        "text.batch": [recipe.text.batch],
        "unet.batch": [recipe.unet.batch],
        "lora.batch": [recipe.lora.batch],
        "controlnet.batch": [recipe.controlnet.batch],
    }
    for name, counts in batches.items():
        for count in counts:
            if count % workers:
                raise ValueError(f"{name}: a batch of {count} cannot be divided between {workers} workers")


def _section(kind: type[Section], table: dict[str, Any], name: str) -> Section:
    given = table[name]
    if not isinstance(given, dict):
        raise ValueError(f"recipe: {name} is {given!r}, but must be a section")
    kinds = {field.name: field.type for field in fields(kind)}  # type: ignore[arg-type]
    _same_names(f"recipe section [{name}]", given, list(kinds))
    return kind(**{key: _value(value, kinds[key], f"{name}.{key}") for key, value in given.items()})


def _same_names(where: str, given: dict[str, Any], known: list[str]) -> None:
    missing, extra = sorted(set(known) - set(given)), sorted(set(given) - set(known))
    if missing or extra:
        raise ValueError(f"{where}: missing {missing}, unknown {extra}")


def _value(value: Any, kind: Any, name: str) -> Any:
    """A value of the type that a section's field has, or ValueError."""
    if kind in (int, float):
        return _number(value, kind, name)
    if not isinstance(value, list) or not value:
        raise ValueError(f"recipe: {name} is {value!r}, but must be a list with something in it")
    if name.endswith(".phases"):
        for phase in value:
            if not isinstance(phase, list) or len(phase) != 3:
                raise ValueError(f"recipe: a phase of {name} is {phase!r}, but must be [side, batch, steps]")
        return tuple(tuple(_number(part, int, name) for part in phase) for phase in value)
    count = LEVELS.get(name, len(value))
    if len(value) != count:
        raise ValueError(f"recipe: {name} has {len(value)} numbers, but must have {count}")
    return tuple(_number(part, int, name) for part in value)


def _number(value: Any, kind: type[int] | type[float], name: str) -> Any:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole and (kind is int or not isinstance(value, float)):
        raise ValueError(f"recipe: {name} is {value!r}, but must be {'a whole number' if kind is int else 'a number'}")
    key = name.rpartition(".")[2]
    least: float
    most: float
    least, most = (0, 2**31) if key.startswith("seed") else (1, 2**31) if kind is int else (0, 1e6)
    if key in SHARES:
        least, most = 0, 1
    elif key in ANY_NUMBERS:
        least = -most
    if name == "data.size" and value % 32:
        raise ValueError(f"recipe: data.size is {value}, but must be a multiple of 32: eight, and two halvings")
    if not least <= value <= most:  # a NaN is refused too
        raise ValueError(f"recipe: {name} is {value}, but must be from {least} to {most:g}")
    return value
