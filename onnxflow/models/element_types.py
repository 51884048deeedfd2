"""The element type of a value inside an ONNX graph, without shape inference and without reading weights.

Weights, inputs and declared values have theirs written down. Any other value is followed back through the node that
makes it, to the input that has the same type: for almost every operator the first. Beside that, the numbers of the
types that checkpoints store.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import BinaryIO, Final

from onnxflow.models.onnx_file import BFLOAT16, FLOAT, FLOAT16, INITIALIZER, INPUT, INT64, NODE, OUTPUT, VALUE_INFO
from onnxflow.models.protobuf import all_bytes, fields, last_bytes, last_number, message

STORED: Final[Mapping[str, int]] = MappingProxyType(
    {
        "BOOL": 9,
        "U8": 2,
        "I8": 3,
        "F8_E5M2": 19,
        "F8_E4M3": 17,
        "I16": 5,
        "U16": 4,
        "F16": FLOAT16,
        "BF16": BFLOAT16,
        "I32": 6,
        "U32": 12,
        "F32": FLOAT,
        "F64": 11,
        "I64": INT64,
        "U64": 13,
    }
)
"""TensorProto's numbers of the types that safetensors files store, by their names there; both store the same bytes."""

_LARGEST: Final = 1024 * 1024  # bytes; no name or declaration has more
# Which input has the output's type, where it is not the first: operators whose output is something floating.
_SAME_AS: Final = {
    b"CastLike": 1,
    b"DequantizeLinear": 1,
    b"Where": 1,
    b"MatMulIntegerToFloat": 2,
    b"OneHot": 2,
}
# Operators whose attributes or graphs hold the type; Cast and Constant are read.
_UNKNOWN: Final = {b"If", b"Loop", b"Scan", b"SequenceAt", b"EyeLike", b"RandomNormal", b"RandomUniform"}


class ElementTypes:
    """The types of one graph's values; made in one pass that keeps places, not contents."""

    def __init__(self, file: BinaryIO, start: int, end: int) -> None:
        """The graph whose message lies from ``start`` to ``end``; ValueError when it is damaged."""
        self._file = file
        self._known: dict[bytes, int] = {}
        self._makers: dict[bytes, tuple[int, int]] = {}
        file.seek(start)
        for number, at, size in fields(file, end):
            if size < 0:
                continue
            if number == NODE:
                self._add_node(at, size)
            elif number == INITIALIZER:
                self._add_weight(at, size)
            elif number in (INPUT, OUTPUT, VALUE_INFO) and size <= _LARGEST:
                entry = message(self._read(at, size))
                kind = last_number(message(last_bytes(message(last_bytes(entry, 2)), 1)), 1)
                if kind:
                    self._known[last_bytes(entry, 1)] = kind

    def of(self, name: bytes) -> int | None:
        """TensorProto's number of the type of the value ``name``; None when it cannot be told."""
        passed = set[bytes]()
        found: int | bytes | None = name
        while isinstance(found, bytes) and found not in passed:
            passed.add(found)
            found = self._known.get(found) or self._follow(found)
        if not isinstance(found, int):
            return None
        self._known.update(dict.fromkeys(passed, found))  # the next search often comes by the same way
        return found

    def _follow(self, name: bytes) -> int | bytes | None:
        """Of a value that a node makes, the type, or a value of the same."""
        at, size = self._makers.get(name, (0, 0))
        node = message(self._read(at, size))
        inputs, operator = all_bytes(node, 1), last_bytes(node, 4)
        if operator in (b"Cast", b"Constant"):
            for attribute in map(message, all_bytes(node, 5)):
                match last_bytes(attribute, 1):
                    case b"to":
                        return last_number(attribute, 3)
                    case b"value":
                        return last_number(message(last_bytes(attribute, 5)), 2)
                    case b"value_float" | b"value_floats":
                        return FLOAT
            return None
        place = _SAME_AS.get(operator, 0)
        return None if operator in _UNKNOWN or place >= len(inputs) else inputs[place]

    def _add_node(self, start: int, size: int) -> None:
        self._file.seek(start)
        for number, at, length in fields(self._file, start + size):
            if number == 2 and 0 <= length <= _LARGEST:
                self._makers[self._read(at, length)] = (start, size)

    def _add_weight(self, start: int, size: int) -> None:
        self._file.seek(start)
        name, kind = b"", 0
        for number, at, length in fields(self._file, start + size):
            if number == 2 and length < 0:
                kind = -length - 1
            elif number == 8 and 0 <= length <= _LARGEST:
                name = self._read(at, length)
        self._known[name] = kind

    def _read(self, at: int, size: int) -> bytes:
        self._file.seek(at)
        return self._file.read(size)
