"""The definitions there are: those of the catalog, and those of ComfyUI's classes that cannot run here yet.

The latter are facts about ComfyUI 0.3.64 (names, types, defaults, ranges, choices) in comfyui_classes.json, written by
scripts/comfyui_classes.py from a recorded /object_info.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

from onnxflow.models.disk import Disk
from onnxflow.nodes.spec import NodeSpec
from onnxflow.workflow.definition import Definition, read_definition

Define = Callable[[str], Definition | None]
"""The definition of a class by its name; None for one that nobody knows."""

_FILE: Final = "comfyui_classes.json"

_VIDEO: Final = "a video model"
_OTHER: Final = "a model of another family (Flux, Stable Diffusion 3, Qwen and their kin)"
NEEDS: Final[Mapping[str, str]] = {
    "ace": "a model for audio",
    "audio": "audio",
    "audio_encoder": "audio",
    "camera_trajectory": _VIDEO,
    "chroma_radiance": _OTHER,
    "cosmos": _VIDEO,
    "edit_model": _OTHER,
    "flux": _OTHER,
    "hidream": _OTHER,
    "hunyuan": _VIDEO,
    "hunyuan3d": "a model for 3D",
    "load_3d": "3D",
    "lora_extract": "training",
    "lotus": "a model for depth (Lotus)",
    "lt": _VIDEO,
    "lumina2": _OTHER,
    "mochi": _VIDEO,
    "model_patch": _OTHER,
    "photomaker": "PhotoMaker",
    "pixart": _OTHER,
    "qwen": _OTHER,
    "sd3": _OTHER,
    "stable3d": "a model for 3D",
    "stable_cascade": "Stable Cascade",
    "torch_compile": "PyTorch",
    "train": "training",
    "video": "video files",
    "video_model": _VIDEO,
    "wan": _VIDEO,
    "webcam": "a camera",
}
"""What the classes of one of ComfyUI's modules (comfy_extras.nodes_NAME) need that is not here."""


@lru_cache(maxsize=1)
def _known() -> Mapping[str, Any]:
    return dict(json.loads(files("onnxflow.workflow").joinpath(_FILE).read_bytes()))


@lru_cache(maxsize=1024)
def comfyui_definition(name: str) -> Definition | None:
    """One of ComfyUI's own classes, None for any other."""
    info = _known().get(name)
    return read_definition(name, info) if info is not None else None


def comfyui_names() -> tuple[str, ...]:
    """The names of ComfyUI's own classes."""
    return tuple(_known())


def needs(name: str) -> str:
    """What one of ComfyUI's own classes needs that is not here; empty when only its turn has not come."""
    definition = comfyui_definition(name)
    return NEEDS.get(definition.module, "") if definition is not None else ""


def definitions(catalog: Mapping[str, NodeSpec], disk: Disk) -> Define:
    """The definitions of ComfyUI's classes and of all others in the catalog, each made when it is asked for."""
    made: dict[str, Definition] = {}

    def define(name: str) -> Definition | None:
        known = comfyui_definition(name)
        if known is not None or name not in catalog:
            return known
        if name not in made:
            made[name] = read_definition(name, catalog[name].describe(disk))
        return made[name]

    return define
