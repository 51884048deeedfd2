"""ONNX Runtime itself, which may be missing: the core package does not require a wheel of it, since it has several."""

from __future__ import annotations

from typing import Any

from onnxflow.errors import ProviderError


def onnxruntime() -> Any:
    """The module; ProviderError when it is not installed, or does not import."""
    try:
        import onnxruntime as module
    except ImportError as error:
        raise ProviderError(f"ONNX Runtime does not import: {error}", hint="onnxflow doctor") from None
    return module
