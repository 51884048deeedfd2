"""The package `onnxruntime`, whichever distribution brought it here, or an error that says what to install.

onnxflow-core requires none: onnxruntime, onnxruntime-gpu and the other builds install the same package over each other.
"""

from __future__ import annotations

from typing import Any

from onnxflow.errors import ProviderError

INSTALL = (
    "pip install onnxflow, or instead of it onnxflow-cuda, onnxflow-directml or onnxflow-openvino "
    "(from the sources: pip install '.[cpu]', '.[cuda]', ...)"
)


def onnxruntime() -> Any:
    """The package, imported; ProviderError where it is not installed, or is and cannot be imported."""
    try:
        import onnxruntime as module
    except ModuleNotFoundError as error:
        if error.name == "onnxruntime":
            raise ProviderError("no ONNX Runtime is installed here", hint=INSTALL) from error
        raise _broken(str(error)) from error
    except Exception as error:  # whatever a library that does not load raises
        raise _broken(str(error)) from error
    if not hasattr(module, "InferenceSession"):  # a folder that an uninstalled build left behind
        raise _broken("its files are incomplete")
    return module


def _broken(message: str) -> ProviderError:
    """The error for a package that is here and does not import; its hint tells from which distributions it comes."""
    from importlib.metadata import packages_distributions

    builds = sorted(set(packages_distributions().get("onnxruntime", ())))
    if len(builds) > 1:
        hint = f"pip uninstall {' '.join(builds)}: each overwrites the others' files; then install one of them again"
    elif builds:
        hint = f"pip install --force-reinstall {builds[0]}"
    else:
        hint = INSTALL
    return ProviderError(f"ONNX Runtime is installed here but does not import: {message}", hint=hint)
