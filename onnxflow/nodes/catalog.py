"""The node classes there are: an immutable mapping from class name to NodeSpec, built from modules named here."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any

from onnxflow.nodes.spec import NodeSpec

if TYPE_CHECKING:
    from onnxflow.models.disk import Disk

BUILTIN_MODULES = (
    "onnxflow.nodes.loaders",
    "onnxflow.nodes.text",
    "onnxflow.nodes.conditioning",
    "onnxflow.nodes.latent",
    "onnxflow.nodes.latent_arithmetic",
    "onnxflow.nodes.latent_batch",
    "onnxflow.nodes.latent_layout",
    "onnxflow.nodes.latent_operation",
    "onnxflow.nodes.sampling",
    "onnxflow.nodes.custom_sampling",
    "onnxflow.nodes.samplers",
    "onnxflow.nodes.model_sampling",
    "onnxflow.nodes.schedulers",
    "onnxflow.nodes.sigmas",
    "onnxflow.nodes.vae",
    "onnxflow.nodes.image",
    "onnxflow.nodes.image_scale",
    "onnxflow.nodes.image_batch",
    "onnxflow.nodes.image_layout",
    "onnxflow.nodes.image_filter",
    "onnxflow.nodes.image_colour",
    "onnxflow.nodes.composite",
    "onnxflow.nodes.mask",
    "onnxflow.nodes.rebatch",
    "onnxflow.nodes.animation",
    "onnxflow.nodes.latent_file",
    "onnxflow.nodes.primitive",
    "onnxflow.nodes.preview_any",
    "onnxflow.nodes.string",
    "onnxflow.nodes.regex",
    "onnxflow.nodes.placement",
)


class NodeCatalog(Mapping[str, NodeSpec]):
    """Class name -> NodeSpec. Two specs of one name are refused with ValueError."""

    def __init__(self, specs: Iterable[NodeSpec] = ()) -> None:
        found: dict[str, NodeSpec] = {}
        for spec in specs:
            if spec.name in found:
                raise ValueError(f"two node classes are called {spec.name!r}")
            found[spec.name] = spec
        self._specs = MappingProxyType(found)

    def __getitem__(self, name: str) -> NodeSpec:
        return self._specs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._specs)

    def __len__(self) -> int:
        return len(self._specs)

    def with_specs(self, specs: Iterable[NodeSpec]) -> NodeCatalog:
        """A copy with more classes; ValueError when a name is already taken."""
        return NodeCatalog([*self._specs.values(), *specs])

    def describe(self, disk: Disk) -> dict[str, Any]:
        """All classes as ComfyUI's /object_info writes them."""
        return {name: spec.describe(disk) for name, spec in self._specs.items()}


def specs_of(module: ModuleType) -> list[NodeSpec]:
    """The node classes a module defines, in the order of their definition."""
    return [value for value in vars(module).values() if isinstance(value, NodeSpec)]


def builtin_catalog() -> NodeCatalog:
    """All node classes that come with onnxflow."""
    return NodeCatalog(spec for name in BUILTIN_MODULES for spec in specs_of(importlib.import_module(name)))
