"""Stand-ins for the modules of ComfyUI that node packs import and that need no PyTorch, small and of our own.

They are in ``sys.modules`` only while packs are loaded; torch itself is kept out meanwhile, for a pack that finds it
would compute with tensors where it is given numpy arrays.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypedDict

from onnxflow.models import file_guard
from onnxflow.models.disk import Disk
from onnxflow.models.folders import NAMES
from onnxflow.nodes import comfy_io, graph_builder, input_files, output_files
from onnxflow.nodes.comfy_progress import ProgressBar
from onnxflow.values import ExecutionBlocker

KEPT_OUT: Final = ("torch", "torchvision", "torchaudio")

_SOCKETS: Final = (
    "STRING IMAGE MASK LATENT CONDITIONING MODEL CLIP VAE CONTROL_NET SAMPLER SIGMAS NOISE GUIDER INT FLOAT BOOLEAN"
    " COMBO UPSCALE_MODEL CLIP_VISION CLIP_VISION_OUTPUT STYLE_MODEL GLIGEN AUDIO VIDEO WEBCAM POINT FACE_ANALYSIS"
    " BBOX SEGS LOAD3D SVG"
)


_NAMED: Final = {**{name: name for name in _SOCKETS.split()}, "NUMBER": "FLOAT,INT", "ANY": "*"}

IO: Any = StrEnum("IO", _NAMED)  # type: ignore[misc]  # made from the list above
"""The types of sockets by name; ``IO.ANY`` is any."""


class InputTypeDict(TypedDict, total=False):
    """What INPUT_TYPES gives."""

    required: dict[str, Any]
    optional: dict[str, Any]
    hidden: dict[str, Any]


class ComfyNodeABC:
    """The base that typed node classes name."""


class FileLocator(TypedDict, total=False):
    """How clients name a file."""

    filename: str
    subfolder: str
    type: str


@contextmanager
def stand_ins(disk: Disk) -> Iterator[None]:
    """While inside, packs can import them."""
    found = {**_modules(disk), **dict.fromkeys(KEPT_OUT)}
    before = {name: sys.modules[name] for name in found if name in sys.modules}
    sys.modules.update(found)  # type: ignore[arg-type]  # None keeps a module out
    try:
        yield
    finally:
        for name in found:
            sys.modules.pop(name, None)
        sys.modules.update(before)


def _modules(disk: Disk) -> dict[str, ModuleType]:
    graph = {"ExecutionBlocker": ExecutionBlocker}
    builder = {name: getattr(graph_builder, name) for name in ("GraphBuilder", "Node", "is_link", "add_graph_prefix")}
    typing_ = {
        "IO": IO,
        "InputTypeDict": InputTypeDict,
        "ComfyNodeABC": ComfyNodeABC,
        "FileLocator": FileLocator,
        "InputTypeOptions": dict,
        "HiddenInputTypeDict": dict,
        "CheckLazyMixin": object,
    }
    latest = {"io": comfy_io, "ComfyExtension": comfy_io.ComfyExtension}
    return {
        "comfy_execution": _module("comfy_execution", package=True),
        "comfy_execution.graph": _module("comfy_execution.graph", graph),
        "comfy_execution.graph_utils": _module("comfy_execution.graph_utils", {**graph, **builder}),
        "comfy": _module("comfy", package=True),
        "comfy.comfy_types": _module("comfy.comfy_types", typing_, package=True),
        "comfy.comfy_types.node_typing": _module("comfy.comfy_types.node_typing", typing_),
        "comfy.utils": _module("comfy.utils", {"ProgressBar": ProgressBar}),
        "comfy_api": _module("comfy_api", package=True),
        "comfy_api.latest": _module("comfy_api.latest", latest),
        "folder_paths": _module("folder_paths", _folder_paths(disk)),
    }


def _module(name: str, members: Mapping[str, Any] | None = None, *, package: bool = False) -> ModuleType:
    module = ModuleType(name, "A stand-in for ComfyUI's module, by onnxflow.")
    if package:
        module.__path__ = []
    vars(module).update(members or {})
    return module


def _folder_paths(disk: Disk) -> dict[str, Any]:
    """What ``folder_paths`` answers: the folders of the run, the models by ComfyUI's kinds."""
    folders, store = disk.folders, disk.store

    def kinds(name: str) -> str:
        return {"unet": "diffusion_models", "clip": "text_encoders"}.get(name, name)

    def paths(name: str) -> list[str]:
        return [str(path) for path in store.folders(kinds(name))] if kinds(name) in NAMES else []

    def names(name: str) -> list[str]:
        return store.names(kinds(name)) if kinds(name) in NAMES else []

    def full_path(name: str, file: str) -> str | None:
        try:  # the name may come from a workflow: it stays in its folder, though links there are the user's own
            parts = file_guard.split(str(file))
        except ValueError:
            return None
        found = (Path(folder, *parts) for folder in paths(name))
        return next((str(path) for path in found if parts and path.exists()), None)

    def full_path_or_raise(name: str, file: str) -> str:
        found = full_path(name, file)
        if found is None:
            raise FileNotFoundError(f"there is no {name} model {file}")
        return found

    def annotated(name: str, default_dir: str | None = None) -> str:
        return str(input_files.find(name, folders, lambda _: True))

    def exists(name: str) -> bool:
        return input_files.problem("input", name, folders, lambda _: True) is None

    def save_path(
        prefix: str, output_dir: str, image_width: int = 0, image_height: int = 0
    ) -> tuple[str, str, int, str, str]:
        now = time.localtime()
        place = output_files.target(Path(output_dir), "output", prefix, now=now, width=image_width, height=image_height)
        place.folder.mkdir(parents=True, exist_ok=True)
        counter = output_files.next_counter((path.name for path in place.folder.iterdir()), [place.stem])
        return str(place.folder), place.stem, counter, place.subfolder, prefix

    return {
        "base_path": str(folders.output.parent),
        "models_dir": str(store.roots[0]) if store.roots else str(folders.output.parent / "models"),
        "supported_pt_extensions": {".ckpt", ".pt", ".pt2", ".bin", ".pth", ".safetensors", ".pkl", ".sft"},
        "folder_names_and_paths": {name: (paths(name), set()) for name in NAMES},
        "get_input_directory": lambda: str(folders.input),
        "get_output_directory": lambda: str(folders.output),
        "get_temp_directory": lambda: str(folders.temp),
        "get_folder_paths": paths,
        "get_filename_list": names,
        "get_full_path": full_path,
        "get_full_path_or_raise": full_path_or_raise,
        "get_annotated_filepath": annotated,
        "exists_annotated_filepath": exists,
        "get_save_image_path": save_path,
    }
