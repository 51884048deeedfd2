"""Tensors that stay in a device's own memory between calls, and between the sessions on it (IOBinding).

The conditioning of a picture is the same array in every step and in every sampler that reads it: it is uploaded once.
An array counts as the same when it is the same object and nobody can write to it, nor to an array that it is a view of.
What is uploaded is dropped with the array.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from onnxflow.providers.device import Device
from onnxflow.providers.runtime import onnxruntime

SMALLEST: Final = 4096
"""Smaller arrays are uploaded with every call: keeping track of them costs as much."""

_uploaded: dict[tuple[Device, int, str], Any] = {}
"""OrtValues by device, identity of the array, and type."""


class Resident:
    """Runs one session with its inputs bound in the memory of its device."""

    def __init__(self, session: Any, device: Device, places: Mapping[str, Any]) -> None:
        self._session = session
        self._device = device
        self._places = places

    @classmethod
    def of(cls, session: Any, device: Device) -> Resident | None:
        """The way to run ``session``; None when its inputs lie in the memory of the CPU."""
        names = [item.name for item in session.get_inputs()]
        places = dict(zip(names, session.get_input_memory_infos(), strict=True))
        away = {name: info for name, info in places.items() if "cpu" not in info.name.lower()}
        return cls(session, device, away) if away else None

    def run(
        self,
        feeds: Mapping[str, NDArray[Any]],
        given: Mapping[str, Any],
        outputs: Sequence[str],
        options: Any,
    ) -> list[NDArray[Any]]:
        """The outputs, in the memory of the CPU; ``given`` are the feeds before they were converted to the graph's
        types."""
        binding = self._session.io_binding()
        for name, array in feeds.items():
            kept = self._kept(name, array, given[name])
            if kept is None:
                binding.bind_cpu_input(name, np.ascontiguousarray(array))
            else:
                binding.bind_ortvalue_input(name, kept)
        for name in outputs:
            binding.bind_output(name, "cpu")
        self._session.run_with_iobinding(binding, options)
        found: list[NDArray[Any]] = binding.copy_outputs_to_cpu()
        return found

    def _kept(self, name: str, array: NDArray[Any], given: Any) -> Any:
        """The array in the device's memory; None for one that may change, is small, or is not wanted there."""
        if array.nbytes < SMALLEST or name not in self._places or not _constant(given):
            return None
        key = (self._device, id(given), str(array.dtype))
        found = _uploaded.get(key)
        if found is None:
            try:
                found = _upload(array, self._places[name])
            except Exception:  # an older onnxruntime cannot reach this memory: the array goes with every call
                self._places = {}
                return None
            _uploaded[key] = found
            weakref.finalize(given, _uploaded.pop, key, None)
        return found


def _constant(array: Any) -> bool:
    """Whether nobody can write to an array, nor to one that it is a view of."""
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return False
        if array.base is None:
            return True
        array = array.base
    return False  # memory that is not numpy's


def _upload(array: NDArray[Any], place: Any) -> Any:
    """A copy of an array where an OrtMemoryInfo says."""
    module = onnxruntime()
    here = module.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))
    # "gpu" and a vendor is how memories are named since plug-ins exist, whichever provider owns them.
    there = module.OrtValue.ortvalue_from_shape_and_type(
        list(array.shape), array.dtype.type, "gpu", place.device_id, place.device_vendor_id
    )
    module.copy_tensors([here], [there])
    return there
