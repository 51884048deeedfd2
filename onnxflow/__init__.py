"""onnxflow: saved image-generation workflows (ComfyUI JSON), run through ONNX Runtime without PyTorch.

Importing this costs next to nothing: numpy and ONNX Runtime are loaded by the first run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnxflow.api import run as run
    from onnxflow.engine.report import RunReport as RunReport

__version__ = "0.1.0"
__all__ = ["RunReport", "__version__", "run"]

_LAZY = {"run": "onnxflow.api", "RunReport": "onnxflow.engine.report"}


def __getattr__(name: str) -> Any:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module 'onnxflow' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(module), name)
