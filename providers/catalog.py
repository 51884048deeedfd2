"""The execution providers that onnxflow knows, as an explicit list."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from onnxflow.providers.acl import ACL
from onnxflow.providers.coreml import COREML
from onnxflow.providers.cpu import CPU
from onnxflow.providers.cuda import CUDA
from onnxflow.providers.directml import DIRECTML
from onnxflow.providers.migraphx import MIGRAPHX
from onnxflow.providers.openvino import OPENVINO
from onnxflow.providers.provider import Provider
from onnxflow.providers.qnn import QNN
from onnxflow.providers.tensorrt import TENSORRT
from onnxflow.providers.webgpu import WEBGPU
from onnxflow.providers.xnnpack import XNNPACK

PROVIDERS: Final[tuple[Provider, ...]] = (
    CPU,
    CUDA,
    TENSORRT,
    DIRECTML,
    COREML,
    OPENVINO,
    QNN,
    WEBGPU,
    MIGRAPHX,
    XNNPACK,
    ACL,
)

CATALOG: Final[Mapping[str, Provider]] = MappingProxyType(
    {name: provider for provider in PROVIDERS for name in (provider.name, *provider.aliases)}
)
"""By our name, and by what else people call it."""


def provider_names() -> list[str]:
    """Our names, in the order of the list."""
    return [provider.name for provider in PROVIDERS]


def provider_named(name: str) -> Provider:
    """The provider of a name that is known to be in the catalog."""
    return CATALOG[name]


def title_of(ep: str) -> str:
    """Our name for an execution provider of ONNX Runtime, or its own where we have none."""
    return next((provider.name for provider in PROVIDERS if provider.ep == ep), ep)
