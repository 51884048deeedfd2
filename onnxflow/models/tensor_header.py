"""The header of a safetensors file, of which nothing is trusted.

The format: 8 bytes header length (little-endian), a JSON header ``{name: {dtype, shape, data_offsets}}`` with texts
under ``__metadata__`` if any, spaces, then the tensors, little-endian, in row-major order, with neither gaps nor
overlaps (https://github.com/huggingface/safetensors, README, "Format").
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from onnxflow.errors import ModelError, shown
from onnxflow.models.header_bounds import check_bounds
from onnxflow.models.mapped_file import MappedFile

ITEM_BYTES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "BOOL": 1,
        "U8": 1,
        "I8": 1,
        "F8_E5M2": 1,
        "F8_E4M3": 1,
        "I16": 2,
        "U16": 2,
        "F16": 2,
        "BF16": 2,
        "I32": 4,
        "U32": 4,
        "F32": 4,
        "F64": 8,
        "I64": 8,
        "U64": 8,
    }
)
"""The types that are read, and the bytes of a number; in the reference implementation's order, widest last."""
MAX_HEADER: Final = 100_000_000
"""Bytes; the format's own limit."""
MAX_RANK: Final = 32
"""Dimensions; numpy's own limit."""
METADATA: Final = "__metadata__"
"""What is no tensor, but texts by name."""

_SMALLER_THAN_A_BYTE: Final = ("F4", "F6_E2M3", "F6_E3M2")
_LARGEST: Final = 2**63 - 1
_AGAIN: Final = "the file is damaged or of another format: copy or download it again"
_CUT_OFF: Final = "the download or copy was cut off: copy or download it again"
_OTHERS: Final = {
    b"PK\3\4": "a zip archive, as PyTorch's .ckpt and .pt files are",
    **{bytes([0x80, version]): "a pickle, as older .ckpt and .pt files are" for version in (2, 3, 4, 5)},
    b"version ": "a text, perhaps Git LFS's pointer to the model",
    b"<": "a web page, perhaps one that asks to log in",
    b"GGUF": "a GGUF file",
}
"""How files begin that are taken for this format, and what they are."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor of a file: its type as the file calls it, its shape, where in the file its bytes begin, how many."""

    dtype: str
    shape: tuple[int, ...]
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class TensorHeader:
    """The tensors of a file by name, in the header's order, and its texts; the tensors' bytes begin at ``start``."""

    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]
    start: int


def read_header(file: MappedFile) -> TensorHeader:
    """The header of a file whose tensors fill the rest of it; ModelError says what is wrong, where, and what to do."""
    where, size = str(file.path), file.state.size
    if size < 8:
        missing = f"it has {size} bytes, fewer than the 8 of its header's length: at least {8 - size} bytes are missing"
        raise _refusal(where, missing, _CUT_OFF)
    prefix = file.read(0, 8)
    length = int.from_bytes(prefix, "little")
    if not length:
        raise _refusal(where, "it begins with zeros, as a file does that was never filled")
    if length > MAX_HEADER:
        for beginning, kind in _OTHERS.items():
            if prefix.startswith(beginning):
                raise _refusal(where, f"it is {kind}", "use the .safetensors file of the model")
        raise _refusal(where, f"its header claims {length:,} bytes, allowed are {MAX_HEADER:,}")
    if length > size - 8:
        missing = f"its header claims {length:,} bytes, after its length there are {size - 8:,}: at least"
        raise _refusal(where, f"{missing} {length - size + 8:,} bytes are missing", _CUT_OFF)
    entries = _parse(file.read(8, length), where)
    metadata = _texts(entries.pop(METADATA, {}), where)
    tensors = {name: _tensor(name, entry, 8 + length, where) for name, entry in entries.items()}
    _check_places(tensors, 8 + length, size, where)
    return TensorHeader(tensors, metadata, 8 + length)


def _parse(header: bytes, where: str) -> dict[str, Any]:
    """The header's JSON object."""
    if not header.startswith(b"{"):
        raise _refusal(where, f"its header begins with {shown(header[:8])}, expected a JSON object")
    try:
        check_bounds(header)
        found = json.loads(
            header.decode("utf-8"), object_pairs_hook=_unique, parse_int=_whole, parse_constant=_no_constant
        )
    except RecursionError:
        raise _refusal(where, "its header is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise _refusal(where, f"its header is not UTF-8: {error.reason} at byte {error.start:,}") from None
    except json.JSONDecodeError as error:
        raise _refusal(where, f"its header is not JSON: {error.msg} at character {error.pos:,}") from None
    except ValueError as reason:
        raise _refusal(where, str(reason)) from None
    if not isinstance(found, dict):
        raise _refusal(where, "its header is not a JSON object")
    return found


def _texts(metadata: Any, where: str) -> dict[str, str]:
    if not isinstance(metadata, dict):
        raise _refusal(where, f"its {METADATA} are {shown(metadata)}, expected texts by name")
    for name, text in metadata.items():
        if not isinstance(text, str):
            raise _refusal(where, f"its {METADATA} have {shown(text)} as {shown(name)}, expected a text")
        _check_text(name, where)
        _check_text(text, where)
    return metadata


def _tensor(name: str, entry: Any, start: int, where: str) -> TensorInfo:
    """One entry of the header, all of it but whether its bytes are where the others leave room."""
    tensor = f"tensor {shown(name)}"
    _check_text(name, where)
    if not isinstance(entry, dict):
        raise _refusal(where, f"{tensor} is {shown(entry)}, expected an object with dtype, shape and data_offsets")
    if missing := [key for key in ("dtype", "shape", "data_offsets") if key not in entry]:
        raise _refusal(where, f"{tensor} has no {' and no '.join(missing)}")
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(kind, str) or kind not in ITEM_BYTES:
        raise _unknown_type(tensor, kind, where)
    if not _whole_numbers(shape) or len(shape) > MAX_RANK:
        allowed = f"expected up to {MAX_RANK} whole numbers from 0 to {_LARGEST:,}"
        raise _refusal(where, f"{tensor} has the shape {shown(shape)}, {allowed}")
    if not _whole_numbers(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _refusal(where, f"{tensor} has the data_offsets {shown(offsets)}, expected a beginning and an end")
    if math.prod(size for size in shape if size) * ITEM_BYTES[kind] > _LARGEST:
        raise _refusal(where, f"{tensor} has the shape {shown(shape)}, more than {_LARGEST:,} bytes of {kind}")
    begin, end = offsets
    length = math.prod(shape) * ITEM_BYTES[kind]
    if end - begin != length:
        need = f"its type {kind} and its shape {shown(shape)} need {length:,}"
        raise _refusal(where, f"{tensor} has {end - begin:,} bytes, {need}")
    return TensorInfo(kind, tuple(shape), start + begin, length)


def _check_places(tensors: Mapping[str, TensorInfo], start: int, size: int, where: str) -> None:
    """ModelError unless the tensors follow each other from ``start`` to the end of the file of ``size`` bytes."""
    end, before = start, "the header"
    for name, info in sorted(tensors.items(), key=lambda item: (item[1].offset, item[1].length)):
        if info.offset != end:
            relation = "overlaps" if info.offset < end else "leaves a hole after"
            places = f"it begins at byte {info.offset - start:,} of the data, expected {end - start:,}"
            raise _refusal(where, f"tensor {shown(name)} {relation} {before}: {places}")
        if info.length:
            end, before = end + info.length, f"tensor {shown(name)}"
    if end > size:
        missing = f"its tensors take {end - start:,} bytes, it has {size - start:,} of them"
        raise _refusal(where, f"{missing}: {end - size:,} bytes are missing", _CUT_OFF)
    if end < size:
        spare = f"its tensors take {end - start:,} bytes, the file has {size - start:,} for them"
        raise _refusal(where, f"{spare}: {size - end:,} bytes belong to no tensor")


def _whole_numbers(values: Any) -> bool:
    """Whether ``values`` is a list of integers (no booleans) from 0 to 2**63 - 1."""
    return isinstance(values, list) and all(type(value) is int and 0 <= value <= _LARGEST for value in values)


def _check_text(text: str, where: str) -> None:
    """ModelError for a text with half a surrogate pair, which JSON can write and nothing can print."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise _refusal(where, f"its header holds {shown(text)}, which has half a surrogate pair") from None


def _unknown_type(tensor: str, kind: Any, where: str) -> ModelError:
    why = ", whose numbers are smaller than a byte" if kind in _SMALLER_THAN_A_BYTE else ""
    return ModelError(
        f"{tensor} has the type {shown(kind)}{why}; types that are read: {', '.join(ITEM_BYTES)}",
        where=where,
        hint="use a file of the model in fp16, bf16, fp32 or fp8, or, if it should be one, download it again",
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"its header has {shown(twice)} twice in one object")
    return found


def _whole(digits: str) -> int | float:
    """A whole number; of one beyond every limit a float, which is nowhere allowed, for int takes long over it."""
    return int(digits) if len(digits) <= 20 else float(digits)


def _no_constant(name: str) -> Any:
    raise ValueError(f"its header holds {name}, which is not JSON")


def _refusal(where: str, reason: str, hint: str = _AGAIN) -> ModelError:
    return ModelError(f"not a sound safetensors file: {reason}", where=where, hint=hint)
