"""A Diffusers folder of a Stable Diffusion 1.x model, read and checked: everything that is wrong is a ModelError,
never a traceback."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextModel

from onnxflow.errors import ModelError

_PARTS = ("text_encoder", "tokenizer", "unet", "vae")
_PREDICTIONS = {"epsilon": "eps", "v_prediction": "v"}


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """CLIP's byte-pair encoding: ids by token text, and merges as lines of two tokens, most important first."""

    vocabulary: dict[str, int]
    merges: tuple[str, ...]
    bos: int
    eos: int
    pad: int
    lowercase: bool


@dataclass(frozen=True, slots=True)
class Sampling:
    """What the network predicts and the noise schedule it was trained with."""

    prediction: str
    schedule: str
    beta_start: float
    beta_end: float
    timesteps: int


@dataclass(frozen=True, slots=True)
class Source:
    """The loaded networks of a model, in float32 on the CPU, and the facts beside them."""

    name: str
    license: str
    text_encoder: CLIPTextModel
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    tokenizer: Tokenizer
    sampling: Sampling


def read_source(folder: Path) -> Source:
    """Load a Diffusers folder; ModelError says which file is missing, damaged or of another kind of model."""
    index = _json(
        folder / "model_index.json",
        "a Diffusers folder has model_index.json, unet/, vae/, text_encoder/ and tokenizer/",
    )
    for part in _PARTS:
        if not (folder / part).is_dir():
            raise ModelError(f"the model has no {part}/", where=str(folder), hint="copy the whole Diffusers folder")
    kind = index.get("_class_name")
    if not str(kind).startswith("StableDiffusion") or "XL" in str(kind) or "3" in str(kind):
        raise ModelError(
            f"the model is a {kind!r}",
            where=str(folder / "model_index.json"),
            hint="this version exports Stable Diffusion 1.x",
        )
    for logging in (diffusers.utils.logging, transformers.utils.logging):
        logging.disable_progress_bar()
        logging.set_verbosity_error()
    encoder = _network(CLIPTextModel, folder / "text_encoder")
    unet = _network(UNet2DConditionModel, folder / "unet")
    vae = _network(AutoencoderKL, folder / "vae")
    _check_family(folder, encoder, unet, vae)
    return Source(
        name=Path(str(index.get("_name_or_path") or folder.resolve())).name,
        license=str(index.get("license") or "unknown"),
        text_encoder=encoder,
        unet=unet,
        vae=vae,
        tokenizer=_tokenizer(folder / "tokenizer", encoder.config.vocab_size),
        sampling=_sampling(folder / "scheduler" / "scheduler_config.json"),
    )


def _json(path: Path, hint: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"cannot read {path.name}: {error.strerror}", where=str(path), hint=hint) from None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path.name} is not JSON: {error}", where=str(path), hint=hint) from None
    if not isinstance(content, dict):
        raise ModelError(f"{path.name} is not an object", where=str(path), hint=hint)
    return content


def _network(kind: Any, folder: Path) -> Any:
    """A network with all its weights, every one a finite number."""
    _json(folder / "config.json", "copy the whole Diffusers folder")
    try:
        network, info = kind.from_pretrained(str(folder), local_files_only=True, output_loading_info=True)
    except Exception as error:  # the loaders raise whatever their parsers raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise ModelError(
            f"{folder.name} cannot be loaded: {reason}",
            where=str(folder),
            hint="the weights are damaged or of another kind: copy them again",
        ) from error
    missing = sorted(info["missing_keys"]) + sorted(str(key) for key in info.get("mismatched_keys", ()))
    if missing:
        raise ModelError(
            f"{folder.name} lacks {len(missing)} of its weights, first {missing[0]}",
            where=str(folder),
            hint="copy the folder again",
        )
    _check_finite(network, folder)
    return network.float().eval()


def _check_finite(network: nn.Module, folder: Path) -> None:
    for name, value in network.named_parameters():
        bad = int((~torch.isfinite(value)).sum())
        if bad:
            raise ModelError(
                f"{folder.name}: {bad} values of {name} are not numbers (NaN or infinite)",
                where=str(folder),
                hint="the weights are damaged: get the model again",
            )


def _check_family(folder: Path, encoder: CLIPTextModel, unet: UNet2DConditionModel, vae: AutoencoderKL) -> None:
    config = unet.config
    if config.addition_embed_type or config.class_embed_type or config.in_channels != vae.config.latent_channels:
        raise ModelError(
            "the unet takes more inputs than Stable Diffusion 1.x's",
            where=str(folder / "unet"),
            hint="this version exports Stable Diffusion 1.x",
        )
    if config.cross_attention_dim != encoder.config.hidden_size:
        raise ModelError(
            f"the unet reads text of width {config.cross_attention_dim}, "
            f"the text encoder writes {encoder.config.hidden_size}",
            where=str(folder),
            hint="unet/ and text_encoder/ are of two models",
        )
    if len(vae.config.block_out_channels) != 4 or not vae.config.use_quant_conv or not vae.config.use_post_quant_conv:
        raise ModelError(
            "the vae does not reduce pictures eightfold as Stable Diffusion 1.x does", where=str(folder / "vae")
        )


def _tokenizer(folder: Path, rows: int) -> Tokenizer:
    """The tokenizer's files (vocab.json with merges.txt, or tokenizer.json), checked against the rows of the token
    table."""
    vocabulary, merges = _tokenizer_tables(folder)
    if len(vocabulary) < rows or max(vocabulary.values(), default=-1) >= rows:
        raise ModelError(
            f"the tokenizer has {len(vocabulary)} tokens, the text encoder {rows}",
            where=str(folder),
            hint="copy vocab.json and merges.txt of this model",
        )
    config = _json(folder / "tokenizer_config.json", "") if (folder / "tokenizer_config.json").exists() else {}
    special = {}
    for key, usual in (("bos", "<|startoftext|>"), ("eos", "<|endoftext|>"), ("pad", "<|endoftext|>")):
        given = config.get(f"{key}_token") or usual
        token = given.get("content", usual) if isinstance(given, dict) else str(given)
        if token not in vocabulary:
            raise ModelError(
                f"the tokenizer has no token {token!r} ({key})",
                where=str(folder),
                hint="copy the tokenizer of this model",
            )
        special[key] = vocabulary[token]
    return Tokenizer(vocabulary, merges, **special, lowercase=bool(config.get("do_lower_case", True)))


def _tokenizer_tables(folder: Path) -> tuple[dict[str, int], tuple[str, ...]]:
    hint = "a CLIP tokenizer is vocab.json with merges.txt, or tokenizer.json"
    if not (folder / "vocab.json").exists() and (folder / "tokenizer.json").exists():
        model = _json(folder / "tokenizer.json", hint).get("model")
        if not isinstance(model, dict) or not isinstance(model.get("vocab"), dict):
            raise ModelError("tokenizer.json has no vocabulary", where=str(folder / "tokenizer.json"), hint=hint)
        pairs = model.get("merges", [])
        return _checked(model["vocab"], folder / "tokenizer.json"), tuple(
            p if isinstance(p, str) else " ".join(p) for p in pairs
        )
    vocabulary = _checked(_json(folder / "vocab.json", hint), folder / "vocab.json")
    try:
        lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"cannot read merges.txt: {error}", where=str(folder / "merges.txt"), hint=hint) from None
    merges = tuple(line for line in lines if line.strip() and not line.startswith("#version"))
    wrong = next((line for line in merges if len(line.split()) != 2), None)
    if wrong is not None:
        raise ModelError(
            f"merges.txt has the line {wrong!r}, expected two tokens", where=str(folder / "merges.txt"), hint=hint
        )
    return vocabulary, merges


def _checked(vocabulary: dict[str, Any], path: Path) -> dict[str, int]:
    if not all(isinstance(index, int) for index in vocabulary.values()):
        raise ModelError("the vocabulary has tokens whose id is not a whole number", where=str(path))
    return vocabulary


def _sampling(path: Path) -> Sampling:
    config = _json(path, "copy the whole Diffusers folder") if path.exists() else {}
    prediction = config.get("prediction_type", "epsilon")
    schedule = config.get("beta_schedule", "scaled_linear")
    if prediction not in _PREDICTIONS or schedule not in ("scaled_linear", "linear"):
        raise ModelError(
            f"the model predicts {prediction!r} on the schedule {schedule!r}",
            where=str(path),
            hint="known are epsilon and v_prediction, scaled_linear and linear",
        )
    return Sampling(
        prediction=_PREDICTIONS[prediction],
        schedule=schedule,
        beta_start=float(config.get("beta_start", 0.00085)),
        beta_end=float(config.get("beta_end", 0.012)),
        timesteps=int(config.get("num_train_timesteps", 1000)),
    )
