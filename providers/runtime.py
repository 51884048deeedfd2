"""The package `onnxruntime`, whichever distribution brought it here, or an error that says what to install.

onnxflow-core requires none: onnxruntime, onnxruntime-gpu and the other builds install the same package over each other.
"""

from __future__ import annotations

import os
from typing import Any, Final

from onnxflow.errors import ProviderError

INSTALL = (
    "pip install onnxflow, or instead of it onnxflow-cuda, onnxflow-directml or onnxflow-openvino "
    "(from the sources: pip install '.[cpu]', '.[cuda]', ...)"
)

LOG: Final = "ONNXFLOW_ORT_LOG"
"""Environment variable: what ONNX Runtime logs, 0 (everything) to 4 (nothing but its end)."""

_quiet: list[Any] = []
"""The package whose logger was set."""


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
    if module not in _quiet:
        module.set_default_logger_severity(log_severity())
        _quiet[:] = [module]
    return module


def log_severity() -> int:
    """What ONNX Runtime shall log: nothing, unless the user says otherwise. What goes wrong is raised, and told by us;
    its loggers would write it to stderr besides."""
    severity = os.environ.get(LOG, "")
    return int(severity) if severity in ("0", "1", "2", "3", "4") else 4


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
