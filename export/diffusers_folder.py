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
from onnxflow.export.room import is_out_of_memory
from onnxflow.export.source import UNET, VAE, Facts, TextFacts, check_weights
from onnxflow.models.json_file import read_json
from onnxflow.models.pipeline.config import COPY, TextConfig, read_text, read_unet, read_vae
from onnxflow.models.pipeline.family import check_fit, family_of, skipped_layers
from onnxflow.models.pipeline.index import INDEX, Index, read_index
from onnxflow.models.pipeline.scheduler import FILE, read_sampling
from onnxflow.models.pipeline.tokenizer import read_tokenizer


@dataclass(frozen=True)
class DiffusersFolder:
    """A folder with model_index.json."""

    folder: Path

    @cached_property
    def index(self) -> Index:
        """What model_index.json says; ModelError when it is no folder of a Stable Diffusion model."""
        return read_index(self.folder)

    @property
    def text_parts(self) -> tuple[str, ...]:
        """The folders of the text encoders; SDXL's refiner has only the second."""
        return self.index.text_parts

    @cached_property
    def facts(self) -> Facts:
        """Read from the configurations; ModelError names the file that is missing or does not fit."""
        for part in (*self.text_parts, *(self._tokenizer_name(part) for part in self.text_parts), UNET, VAE):
            if not (self.folder / part).is_dir():
                raise ModelError(f"the model has no {part}/", where=str(self.folder), hint=COPY)
        for part in (*self.text_parts, UNET, VAE):
            if not any(path.suffix in (".safetensors", ".bin") for path in (self.folder / part).iterdir()):
                raise ModelError(f"the model has no weights in {part}/", where=str(self.folder / part), hint=COPY)
        unet, vae = read_unet(self._config(UNET)), read_vae(self._config(VAE))
        configs = {part: read_text(self._config(part)) for part in self.text_parts}
        family = family_of(unet, configs, self.folder)
        check_fit(unet, vae, configs, self.folder)
        texts = tuple(self._text(part, config, family) for part, config in configs.items())
        if family.startswith("sdxl") and texts[-1].projection is None:
            raise ModelError(
                f"{texts[-1].component} is no {CLIPTextModelWithProjection.__name__}, as SDXL's is",
                where=str(self.folder / INDEX),
                hint="correct its class there, or copy the folder again",
            )
        return Facts(
            name=self.index.name,
            family=family,
            license=self.index.license,
            width=unet.width * 8,
            height=unet.height * 8,
            latent_channels=vae.channels,
            latent_scale=vae.scale,
            in_channels=unet.in_channels,
            sampling=read_sampling(self.folder / FILE),
            texts=texts,
        )

    @property
    def files(self) -> tuple[Path, ...]:
        """The configurations, tokenizers and weights of the parts that are exported."""
        names = (*self.text_parts, *(self._tokenizer_name(part) for part in self.text_parts), UNET, VAE, "scheduler")
        below = [path for name in names for path in sorted((self.folder / name).glob("*")) if path.is_file()]
        return (self.folder / INDEX, *below)

    def shapes(self, part: str) -> Mapping[str, tuple[int, ...]]:
        """From the configurations, which say what is loaded: weights may lie in several files, or there twice."""
        network = self._empty(self._kind(part), part)
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

    def _tokenizer_name(self, part: str) -> str:
        return part.replace("text_encoder", "tokenizer")

    def _config(self, part: str) -> Path:
        return self.folder / part / "config.json"

    def _text(self, part: str, config: TextConfig, family: str) -> TextFacts:
        projected = self.index.parts.get(part) == CLIPTextModelWithProjection.__name__
        return TextFacts(
            component=part,
            tokenizer=read_tokenizer(self.folder / self._tokenizer_name(part), config.vocabulary),
            vocabulary=config.vocabulary,
            length=config.length,
            hidden=config.hidden,
            layers=config.layers,
            projection=config.projection if projected else None,
            skipped=skipped_layers(family, config.layers),
        )

    def _empty(self, kind: Any, part: str) -> Any:
        """A network without its weights."""
        content = read_json(self._config(part), COPY)
        try:
            with init_empty_weights():
                return kind.from_config(content) if part in (UNET, VAE) else kind(CLIPTextConfig(**content))
        except Exception as error:  # the classes check their arguments in their own ways
            if is_out_of_memory(error):
                raise
            raise _unloadable(part, self.folder / part, error) from error

    def _load(self, kind: Any, part: str) -> Any:
        folder = self.folder / part
        for logging in (diffusers.utils.logging, transformers.utils.logging):
            logging.disable_progress_bar()
            logging.set_verbosity_error()
        try:
            network, info = kind.from_pretrained(str(folder), local_files_only=True, output_loading_info=True)
        except Exception as error:  # the loaders raise whatever their parsers raise
            if is_out_of_memory(error):
                raise
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


def _unloadable(part: str, folder: Path, error: Exception) -> ModelError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    return ModelError(
        f"{part} cannot be loaded: {reason}",
        where=str(folder),
        hint="the weights are damaged or of another kind: copy them again",
    )
