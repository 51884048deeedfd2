"""One component's graph in ONNX Runtime: loading it, running it, and saying what went wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from onnxflow.cancel import CancelToken
from onnxflow.errors import Cancelled, InputError, MemoryLimitError, ModelError, OnnxflowError, ProviderError
from onnxflow.providers.saturation import EXACT_OPTION, saturates

if TYPE_CHECKING:
    from onnxflow.values import Feeds


class LoadedGraph(Protocol):
    """A graph in memory: the boundary that a fake replaces in tests."""

    def run(self, feeds: Feeds, cancel: CancelToken) -> dict[str, NDArray[Any]]:
        """All outputs by name; Cancelled when ``cancel`` is thrown meanwhile."""
        ...

    def close(self) -> None:
        """Give the memory back."""
        ...


class OrtGraph:
    """A graph loaded into ONNX Runtime on the CPU."""

    def __init__(self, file: Path, name: str, cancel: CancelToken) -> None:
        """Load ``file``, called ``name`` in messages; ModelError when damaged, MemoryLimitError when too big."""
        import onnxruntime

        self._name = name
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what goes wrong is raised, and told by us
        if saturates():
            options.add_session_config_entry(*EXACT_OPTION)
        try:
            with cancel.calling(lambda: options.set_load_cancellation_flag(True)):
                self._session: Any = onnxruntime.InferenceSession(
                    str(file), sess_options=options, providers=["CPUExecutionProvider"]
                )
        except Exception as error:  # ONNX Runtime's errors share no base class
            if cancel.cancelled:
                raise Cancelled() from None
            raise _loading_error(error, name, file) from error
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._inputs = {i.name: (list(i.shape), _NUMPY_TYPES.get(i.type)) for i in self._session.get_inputs()}

    @property
    def inputs(self) -> Mapping[str, tuple[Any, ...]]:
        """The shape of every input: sizes, and names or None for free ones."""
        return {name: tuple(shape) for name, (shape, _) in self._inputs.items()}

    @property
    def outputs(self) -> tuple[str, ...]:
        """The outputs' names."""
        return tuple(self._outputs)

    def run(self, feeds: Feeds, cancel: CancelToken) -> dict[str, NDArray[Any]]:
        import onnxruntime

        cancel.check()
        typed = self._typed(feeds)
        options = onnxruntime.RunOptions()
        options.log_severity_level = 4
        try:
            with cancel.calling(_terminator(options)):
                found = self._session.run(self._outputs, typed, options)
        except Exception as error:
            if cancel.cancelled:
                raise Cancelled() from None
            raise _running_error(error, self._name) from error
        return dict(zip(self._outputs, found, strict=True))

    def close(self) -> None:
        self._session = None

    def _typed(self, feeds: Feeds) -> dict[str, NDArray[Any]]:
        """The feeds in the graph's types; ModelError for other names, InputError for shapes it cannot take."""
        if feeds.keys() != self._inputs.keys():
            missing = sorted(self._inputs.keys() - feeds.keys())
            unknown = sorted(feeds.keys() - self._inputs.keys())
            parts = [f"it also needs {', '.join(missing)}"] if missing else []
            parts += [f"it does not know {', '.join(unknown)}"] if unknown else []
            raise ModelError(
                f"the graph of {self._name} is not what its manifest says: {' and '.join(parts)}",
                hint="export the model again",
            )
        typed = {}
        for name, value in feeds.items():
            shape, kind = self._inputs[name]
            array = np.asarray(value, dtype=kind)
            fits = len(shape) == array.ndim and all(
                not isinstance(size, int) or size == given for size, given in zip(shape, array.shape, strict=True)
            )
            if not fits:
                raise InputError(f"{self._name} takes {name} of shape {shape}, it was given {list(array.shape)}")
            typed[name] = array
        return typed


def _terminator(options: Any) -> Callable[[], None]:
    def terminate() -> None:
        options.terminate = True

    return terminate


_NUMPY_TYPES: Mapping[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}


def _out_of_memory(error: Exception) -> bool:
    marks = ("Failed to allocate memory", "bfc_arena", "bad_alloc")
    return isinstance(error, MemoryError) or any(mark in str(error) for mark in marks)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__


def _loading_error(error: Exception, name: str, file: Path) -> OnnxflowError:
    if _out_of_memory(error):
        hint = "close other programs, or use a smaller model"
        return MemoryLimitError(f"not enough memory to load {name}", where=str(file), hint=hint)
    return ModelError(
        f"cannot load {name}: {_first_line(error)}",
        where=str(file),
        hint="the file may be truncated or made for a newer ONNX Runtime: copy it again, or export the model again",
    )


def _running_error(error: Exception, name: str) -> OnnxflowError:
    if _out_of_memory(error):
        return MemoryLimitError(f"not enough memory to run {name}", hint="use a smaller picture or a smaller batch")
    return ProviderError(f"{name} failed: {_first_line(error)}")
