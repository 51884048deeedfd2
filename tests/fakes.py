"""Nodes, folders and sessions for tests that need neither ONNX Runtime nor a model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from onnxflow.cancel import CancelToken
from onnxflow.models.disk import Disk, Folders
from onnxflow.models.store import ModelStore, embedded_folder
from onnxflow.nodes.catalog import NodeCatalog
from onnxflow.nodes.context import Context
from onnxflow.nodes.spec import NodeResult, node
from onnxflow.nodes.widgets import Combo, Float, Hidden, Int, String
from onnxflow.providers.device import CPU, Device, parse_device
from onnxflow.providers.graph import NO_FACTS, Facts
from onnxflow.providers.machine import Health
from onnxflow.providers.session import ModelSource, SessionCache, SessionKey
from onnxflow.workflow.read import workflow_from_document
from onnxflow.workflow.workflow import Workflow


class Number:
    """A socket type."""

    SOCKET = "NUMBER"


class Other:
    """Another socket type."""

    SOCKET = "OTHER"


calls: list[str] = []
"""What ran, in order; tests clear it."""


@node("Start", category="test")
def start(value: Annotated[int, Int(0, 100, step=2)] = 1) -> Number:
    calls.append(f"Start {value}")
    return value  # type: ignore[return-value]


@node("Add", category="test")
def add(a: Number, b: Number, scale: Annotated[float, Float(-10.0, 10.0)] = 1.0) -> Number:
    calls.append(f"Add {a} {b}")
    return (a + b) * scale  # type: ignore[operator, no-any-return]


@node("Spread", category="test", output_is_list=(True,))
def spread(count: Annotated[int, Int(0, 10)] = 3) -> Number:
    return list(range(count))  # type: ignore[return-value]


@node("Gather", category="test", input_is_list=True)
def gather(numbers: Number, times: Annotated[int, Int(0, 10)] = 1) -> Number:
    return sum(numbers) * times[0]  # type: ignore[call-overload, index, no-any-return]


@node("Pair", category="test", output_names=("first", "second"))
def pair(name: Annotated[str, Combo(("left", "right"))]) -> tuple[Number, Other]:
    return 1, name  # type: ignore[return-value]


@node("Fail", category="test")
def fail(number: Number) -> Number:
    raise RuntimeError("what nobody foresaw")


@node("Steps", category="test")
def steps(ctx: Context, number: Number, count: Annotated[int, Int(1, 10**9)] = 3) -> Number:
    for step in range(count):
        ctx.progress(step + 1, count)
    return number


@node("Show", category="test", output_node=True)
def show(
    number: Number,
    label: Annotated[str, String()] = "",
    prompt: Annotated[Any, Hidden("PROMPT")] = None,
    extra: Annotated[Any, Hidden("EXTRA_PNGINFO")] = None,
    unique_id: Annotated[str, Hidden("UNIQUE_ID")] = "",
) -> NodeResult:
    calls.append(f"Show {number}")
    return NodeResult(ui={"text": [f"{label}{number}"], "id": [unique_id], "ids": [",".join(prompt)]})


@node("Watch", category="test", output_node=True, validate=lambda disk, label: "no x" if label == "x" else None)
def watch(number: Number, label: Annotated[str, String()] = "") -> NodeResult:
    return NodeResult(ui={"text": [str(number)]})


CATALOG = NodeCatalog([start, add, spread, gather, pair, fail, steps, show, watch])


def disk_at(folder: Path, *models: Path) -> Disk:
    """Input, output and temp below ``folder``."""
    return Disk(Folders(folder / "input", folder / "output", folder / "temp"), ModelStore(models))


DISK = disk_at(Path("nowhere"))


def workflow(**nodes: tuple[str, Mapping[str, Any]]) -> Workflow:
    """A workflow from ``id=(class, inputs)``; an input ("id", 0) is a link."""
    return workflow_from_document(
        {
            name: {
                "class_type": kind,
                "inputs": {k: list(v) if isinstance(v, tuple) else v for k, v in inputs.items()},
                "_meta": {"title": f"The {name}"},
            }
            for name, (kind, inputs) in nodes.items()
        },
        "test.json",
    )


def int8_model(folder: Path, name: str) -> Path:
    """The embedded model once more in ``folder/checkpoints``, saying that its text encoder and unet are int8 as well.

    The int8 graphs are the fp32 ones. Returns ``folder``.
    """
    bundle = folder / "checkpoints" / name
    shutil.copytree(embedded_folder(), bundle)
    document = json.loads((bundle / "onnxflow.json").read_text("utf-8"))
    for part in ("text_encoder", "unet"):
        variants = document["components"][part]["variants"]
        document["components"][part]["variants"] = {"fp32": variants["fp32"], "int8": variants["fp32"]}
    document["components"]["vae_decoder"]["variants"].pop("int8", None)
    (bundle / "onnxflow.json").write_text(json.dumps(document))
    return folder


class FakeGraph:
    """A loaded graph that computes with a Python function."""

    def __init__(self, compute: Callable[[Mapping[str, Any]], dict[str, NDArray[Any]]]) -> None:
        self.compute = compute
        self.closed = False

    def run(self, feeds: Mapping[str, Any], cancel: CancelToken) -> dict[str, NDArray[Any]]:
        assert not self.closed, "run after close"
        cancel.check()
        return self.compute(feeds)

    @property
    def facts(self) -> Facts:
        return NO_FACTS

    def ready(self, feeds: Mapping[str, Any]) -> bool:
        return True

    def prepare(self, feeds: Mapping[str, Any], cancel: CancelToken) -> None:
        pass

    def close(self) -> None:
        self.closed = True


class FakeLoader:
    """Loads FakeGraphs shaped like a Stable Diffusion 1.x model's, and remembers which."""

    def __init__(self) -> None:
        self.loaded: list[str] = []
        self.variants: list[str] = []
        self.graphs: dict[str, FakeGraph] = {}

    def __call__(self, source: ModelSource, key: SessionKey, cancel: CancelToken) -> FakeGraph:
        self.loaded.append(key.component)
        self.variants.append(key.variant)
        graph = self.graphs[key.component] = FakeGraph(getattr(self, key.component))
        return graph

    @staticmethod
    def text_encoder(feeds: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        embeds = np.asarray(feeds["inputs_embeds"])
        states = np.stack([embeds, embeds])
        return {"hidden_states": states, "normed_hidden_states": states, "pooled": embeds[:, 0]}

    @staticmethod
    def unet(feeds: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        shift = np.float32(np.asarray(feeds["encoder_hidden_states"]).mean())
        return {"out_sample": np.asarray(feeds["sample"]) * np.float32(0.5) + shift}

    @staticmethod
    def vae_decoder(feeds: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        latent = np.asarray(feeds["latent"])[:, :3]
        return {"image": np.tanh(np.repeat(np.repeat(latent, 8, axis=2), 8, axis=3))}

    @staticmethod
    def vae_encoder(feeds: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        image = np.asarray(feeds["image"])
        b, _, h, w = image.shape
        mean = image.reshape(b, 3, h // 8, 8, w // 8, 8).mean(axis=(3, 5))
        mean = np.concatenate([mean, mean[:, :1]], axis=1)
        return {"mean": mean, "logvar": np.zeros_like(mean)}


def no_sessions() -> SessionCache:
    """A session cache that must not be asked."""

    def load(source: ModelSource, key: SessionKey, cancel: CancelToken) -> FakeGraph:
        raise AssertionError(f"{key.component} was loaded")

    return SessionCache(load)


class FakeMachine:
    """A machine with the CPU (100 GFLOP/s) and what is given: a device's speeds by precision, its health, or what is
    wrong; ``mended`` is what devices are found to be when they are tried again."""

    def __init__(self, **devices: Mapping[str, float] | str | Health) -> None:
        self.asked: list[str] = []
        self.mended: dict[Device, Health] = {}
        self._found = {CPU: Health(CPU, True, speed={"fp32": 100.0})}
        for name, told in devices.items():
            device = parse_device(name.replace("_", ":"))
            if isinstance(told, Health):
                self._found[device] = told
            elif isinstance(told, str):
                self._found[device] = Health(device, False, told, f"mend {device}")
            else:
                self._found[device] = Health(device, True, speed=told)

    def health(self, device: Device, *, again: bool = False) -> Health:
        self.asked.append(str(device))
        if again and device in self.mended:
            self._found[device] = self.mended[device]
        return self._found.get(device) or Health(device, False, f"{device} is not installed", f"install {device}")

    def devices(self) -> tuple[Device, ...]:
        return tuple(self._found)
