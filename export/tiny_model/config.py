"""The recipe as frozen data, read from one TOML file."""

import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

Section = TypeVar("Section")
RECIPE = Path(__file__).with_name("recipe.toml")


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
    """What the training may take of the machine; changes the cost and the rounding, not the recipe."""

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
    """Read a recipe file; ValueError names a missing or unknown key."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    return Recipe(
        seed=int(table.get("seed", 0)),
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
    given = dict(table.get(name, {}))
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    if sorted(given) != sorted(known):
        missing, extra = sorted(set(known) - set(given)), sorted(set(given) - set(known))
        raise ValueError(f"recipe section [{name}]: missing {missing}, unknown {extra}")
    return kind(**{key: _frozen(value) for key, value in given.items()})


def _frozen(value: Any) -> Any:
    return tuple(_frozen(part) for part in value) if isinstance(value, list) else value
