"""Files of tensors that end in zeros where weights should be: downloads whose room was set aside and never filled.

Zeros alone prove nothing: a bias may be zero, and so may the layers that a ControlNet begins its training with. But
where tensors are zero, the zeros begin with a tensor, while a download stops anywhere. So the place is found where the
zeros begin; nothing is read of a sound file but its last 64 KB.
"""

from __future__ import annotations

from typing import Final

from onnxflow.errors import ModelError, shown
from onnxflow.models.tensors import TensorFile

_LEAST: Final = 64 * 1024  # bytes of zeros that are looked into: fewer may be a bias or two
_LEAST_IN_ONE: Final = 1024 * 1024  # the same if they lie in the last tensor alone: rows may fill up a table
_MARGIN: Final = 4096  # bytes of zeros that any tensor may end in
_MOST: Final = 64 * 1024 * 1024  # bytes of zeros that no model ends in, wherever they begin
_SMALL: Final = 1024 * 1024  # bytes of a file that is not looked at
_CHUNK: Final = 1024 * 1024


def check_not_blank(file: TensorFile) -> None:
    """ModelError when a file of more than 1 MB ends in zeros that begin inside a tensor, or are all there is."""
    tensors = sorted((info.offset, info.length, name) for name, info in file.tensors.items() if info.length)
    if not tensors or file.source.state.size <= _SMALL:
        return
    start, end = tensors[0][0], file.source.state.size
    begin = _zeros_begin(file, start, end)
    if end - begin < _LEAST:
        return
    offset, length, name = next(entry for entry in reversed(tensors) if entry[0] < begin or entry[0] == start)
    least = _LEAST_IN_ONE if offset + length == end else _LEAST
    inside = offset + length - begin
    if begin == start or end - begin >= _MOST or (inside >= _MARGIN and end - begin >= least):
        raise ModelError(
            f"the file ends in zeros: the download is incomplete; the last {end - begin:,} of {end:,} bytes are zero,"
            f" in tensor {shown(name)} and all after it",
            where=str(file.path),
            hint="download the file again, and compare its SHA-256 with the one that the site states",
        )


def _zeros_begin(file: TensorFile, start: int, end: int) -> int:
    """Where the zeros begin that the bytes from ``start`` to ``end`` end in; of more than _MOST, somewhere in them."""
    size = _LEAST
    at = end
    while at > start and end - at < _MOST:
        size = min(size, at - start)
        block = file.source.read(at - size, size)
        used = len(block.rstrip(b"\0"))
        if used:
            return at - size + used
        at, size = at - size, _CHUNK
    return at
