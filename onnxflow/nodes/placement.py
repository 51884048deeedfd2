"""Where the models of a workflow run: OnnxPlaceModel, OnnxPlaceClip, OnnxPlaceVae.

They hand on what they are given. The engine reads which device they name before the run, so that a workflow carries its
places through every editor.
"""

from __future__ import annotations

from typing import Annotated, Final

from onnxflow.models.disk import Disk
from onnxflow.nodes.spec import node
from onnxflow.nodes.widgets import Combo
from onnxflow.values import Clip, Model, Vae

DEVICE_INPUT: Final = "device"

USUAL: Final = (
    *("auto", "cpu", "cuda:0", "cuda:1", "tensorrt:0", "directml:0", "webgpu", "coreml"),
    *("openvino:cpu", "openvino:gpu", "openvino:npu", "qnn", "migraphx:0"),
)
"""What an editor offers; any device that onnxflow knows may be named."""


def _any_text(disk: Disk, value: object) -> bool:
    return isinstance(value, str)


Place = Annotated[str, Combo(USUAL, accepts=_any_text)]


@node("OnnxPlaceModel", category="onnxflow", display_name="Place Model on Device", runs=())
def place_model(model: Model, device: Place = "auto") -> Model:
    """The model, run on a device: the nodes behind this one run its network there."""
    return model


@node("OnnxPlaceClip", category="onnxflow", display_name="Place CLIP on Device", runs=())
def place_clip(clip: Clip, device: Place = "auto") -> Clip:
    """The text encoder, run on a device."""
    return clip


@node("OnnxPlaceVae", category="onnxflow", display_name="Place VAE on Device", runs=())
def place_vae(vae: Vae, device: Place = "auto") -> Vae:
    """The image encoder and decoder, run on a device."""
    return vae


USUAL_DEVICE: Final = "default"
"""What ComfyUI's loaders call the device that a model runs on unless somebody says another."""

LOADED_ON_A_DEVICE: Final = frozenset({"CLIPLoader", "DualCLIPLoader"})
"""The loaders that say where their model runs."""

PLACING: Final = frozenset(spec.name for spec in (place_model, place_clip, place_vae))
