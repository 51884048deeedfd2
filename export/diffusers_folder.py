"""A Diffusers folder of a Stable Diffusion model, read and checked: everything that is wrong is a ModelError, never a
traceback."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import diffusers
import transformers
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from onnxflow.errors import ModelError
from onnxflow.export.json_file import read_json
from onnxflow.export.source import TEXT_PARTS, UNET, VAE, Facts, Sampling, TextFacts, check_weights
from onnxflow.export.tokenizer import read_tokenizer

INDEX = "model_index.json"
_PREDICTIONS = {"epsilon": "eps", "v_prediction": "v"}
_PIPELINES = ("StableDiffusion", "LatentConsistencyModel")  # what the pipelines' names begin with
_NOT_THESE = ("StableDiffusion3", "StableDiffusionUpscale", "StableDiffusionLatentUpscale", "StableDiffusionGLIGEN")
_KNOWN = "this version exports Stable Diffusion 1.x, 2.x and XL"
_COPY = "copy the whole Diffusers folder"
_LAYERS = {"sd2": 24}  # of the text encoder that the family's was cut from


@dataclass(frozen=True)
class DiffusersFolder:
    """A folder with model_index.json."""

    folder: Path

    @cached_property
    def index(self) -> dict[str, Any]:
        """What model_index.json says; ModelError when it is no folder of a Stable Diffusion model."""
        index = read_json(
            self.folder / INDEX, "a Diffusers folder has model_index.json, unet/, vae/, text_encoder/ and tokenizer/"
        )
        kind = str(index.get("_class_name"))
        if not kind.startswith(_PIPELINES) or kind.startswith(_NOT_THESE):
            raise ModelError(f"the model is a {kind!r}", where=str(self.folder / INDEX), hint=_KNOWN)
        return index

    @cached_property
    def text_parts(self) -> tuple[str, ...]:
        """The folders of the text encoders; SDXL's refiner has only the second."""
        found = tuple(part for part in TEXT_PARTS if self._has(part))
        return found or TEXT_PARTS[:1]

    @cached_property
    def facts(self) -> Facts:
        """Read from the configurations; ModelError names the file that is missing or does not fit."""
        for part in (*self.text_parts, *(self._tokenizer_name(part) for part in self.text_parts), UNET, VAE):
            if not (self.folder / part).is_dir():
                raise ModelError(f"the model has no {part}/", where=str(self.folder), hint=_COPY)
        unet, vae = self._config(UNet2DConditionModel, UNET), self._config(AutoencoderKL, VAE)
        configs = {part: self._text_config(part) for part in self.text_parts}
        family = self._family(unet, configs)
        self._check(unet, vae, configs)
        size = unet["sample_size"] or 64
        height, width = (size, size) if isinstance(size, int) else size
        return Facts(
            name=Path(str(self.index.get("_name_or_path") or self.folder.resolve())).name,
            family=family,
            license=str(self.index.get("license") or "unknown"),
            width=width * 8,
            height=height * 8,
            latent_channels=vae["latent_channels"],
            latent_scale=vae["scaling_factor"],
            in_channels=unet["in_channels"],
            sampling=read_sampling(self.folder / "scheduler" / "scheduler_config.json"),
            texts=tuple(self._text(part, config, family) for part, config in configs.items()),
        )

    @property
    def files(self) -> tuple[Path, ...]:
        """The configurations, tokenizers and weights of the parts that are exported."""
        names = (*self.text_parts, *(self._tokenizer_name(part) for part in self.text_parts), UNET, VAE, "scheduler")
        below = [path for name in names for path in sorted((self.folder / name).glob("*")) if path.is_file()]
        return (self.folder / INDEX, *below)

    def shapes(self, part: str) -> Mapping[str, tuple[int, ...]]:
        """From the configurations, which say what is loaded: weights may lie in several files, or there twice."""
        kind = self._kind(part)
        network = self._empty(kind, part) if part in (UNET, VAE) else self._empty_text(kind, part)
        return {name: tuple(value.shape) for name, value in network.named_parameters()}

    def network(self, part: str) -> nn.Module:
        """A network with all its weights."""
        return self._load(self._kind(part), part)

    def _kind(self, part: str) -> Any:
        """The class of a network."""
        if part in (UNET, VAE):
            return UNet2DConditionModel if part == UNET else AutoencoderKL
        facts = next(text for text in self.facts.texts if text.component == part)
        return CLIPTextModel if facts.projection is None else CLIPTextModelWithProjection

    def _has(self, part: str) -> bool:
        """Whether the index names a class for a part, and not null."""
        entry = self.index.get(part)
        return isinstance(entry, list) and len(entry) == 2 and entry[1] is not None

    def _tokenizer_name(self, part: str) -> str:
        return part.replace("text_encoder", "tokenizer")

    def _family(self, unet: Any, configs: dict[str, CLIPTextConfig]) -> str:
        if unet["addition_embed_type"] == "text_time":
            return "sdxl" if len(configs) == 2 else "sdxl-refiner"
        if unet["addition_embed_type"] or unet["class_embed_type"]:
            raise ModelError(
                f"the unet is told {unet['addition_embed_type'] or unet['class_embed_type']!r} besides the text",
                where=str(self.folder / UNET),
                hint=_KNOWN,
            )
        return "sd2" if configs[TEXT_PARTS[0]].hidden_act == "gelu" else "sd1"  # OpenCLIP's, and OpenAI's CLIP

    def _check(self, unet: Any, vae: Any, configs: dict[str, CLIPTextConfig]) -> None:
        told, written = unet["cross_attention_dim"], sum(config.hidden_size for config in configs.values())
        if told != written:
            raise ModelError(
                f"the unet reads text of width {told}, the text encoder writes {written}",
                where=str(self.folder),
                hint="unet/ and text_encoder/ are of two models",
            )
        channels = vae["latent_channels"]
        if unet["in_channels"] not in (channels, 2 * channels + 1) or unet["out_channels"] != channels:
            raise ModelError(
                f"the unet takes {unet['in_channels']} channels and gives {unet['out_channels']}, the vae's latents "
                f"have {channels}",
                where=str(self.folder / UNET),
                hint=f"{_KNOWN}, also for inpainting (9 channels)",
            )
        if len(vae["block_out_channels"]) != 4 or not vae["use_quant_conv"] or not vae["use_post_quant_conv"]:
            raise ModelError(
                "the vae does not reduce pictures eightfold as Stable Diffusion does", where=str(self.folder / VAE)
            )

    def _text(self, part: str, config: CLIPTextConfig, family: str) -> TextFacts:
        tokenizer = read_tokenizer(self.folder / self._tokenizer_name(part), config.vocab_size)
        projected = self._class(part) == CLIPTextModelWithProjection.__name__
        skipped = max(0, _LAYERS.get(family, 0) - config.num_hidden_layers) if family == "sd2" else 0
        return TextFacts(
            component=part,
            tokenizer=tokenizer,
            vocabulary=config.vocab_size,
            length=config.max_position_embeddings,
            hidden=config.hidden_size,
            layers=config.num_hidden_layers,
            projection=config.projection_dim if projected else None,
            skipped=min(skipped, 1),
        )

    def _class(self, part: str) -> str:
        entry = self.index.get(part)
        return str(entry[1]) if isinstance(entry, list) and len(entry) == 2 else CLIPTextModel.__name__

    def _text_config(self, part: str) -> CLIPTextConfig:
        content = read_json(self.folder / part / "config.json", _COPY)
        try:
            return CLIPTextConfig(**content)
        except Exception as error:  # the class checks its arguments in its own ways
            raise _unloadable(part, self.folder / part, error) from error

    def _config(self, kind: Any, part: str) -> Any:
        """All settings of a network, the defaults included."""
        return self._empty(kind, part).config

    def _empty(self, kind: Any, part: str) -> Any:
        """A network without its weights."""
        content = read_json(self.folder / part / "config.json", _COPY)
        try:
            with init_empty_weights():
                return kind.from_config(content)
        except Exception as error:
            raise _unloadable(part, self.folder / part, error) from error

    def _empty_text(self, kind: Any, part: str) -> Any:
        with init_empty_weights():
            return kind(self._text_config(part))

    def _load(self, kind: Any, part: str) -> Any:
        folder = self.folder / part
        for logging in (diffusers.utils.logging, transformers.utils.logging):
            logging.disable_progress_bar()
            logging.set_verbosity_error()
        try:
            network, info = kind.from_pretrained(str(folder), local_files_only=True, output_loading_info=True)
        except Exception as error:  # the loaders raise whatever their parsers raise
            raise _unloadable(part, folder, error) from error
        missing = sorted(info["missing_keys"]) + sorted(str(key) for key in info.get("mismatched_keys", ()))
        if missing:
            raise ModelError(
                f"{part} lacks {len(missing)} of its weights, first {missing[0]}",
                where=str(folder),
                hint="copy the folder again",
            )
        check_weights(network, part, str(folder))
        return network.float().eval()


def read_sampling(path: Path) -> Sampling:
    """What a scheduler's configuration says; Stable Diffusion 1.x's schedule where there is none."""
    config = read_json(path, _COPY) if path.exists() else {}
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
        zero_snr=bool(config.get("rescale_betas_zero_snr", False)),
    )


def _unloadable(part: str, folder: Path, error: Exception) -> ModelError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    return ModelError(
        f"{part} cannot be loaded: {reason}",
        where=str(folder),
        hint="the weights are damaged or of another kind: copy them again",
    )
