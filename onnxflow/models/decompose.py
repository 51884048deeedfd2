"""Graphs without the node com.microsoft.MultiHeadAttention, for execution providers that have no kernel for it.

Such a node takes query, key and value as [b, s, heads * d] and is softmax(q k^T / sqrt(d)) v for every head (Vaswani et
al. 2017, eq. 1). In its place come the standard nodes of that formula, which every provider has; what is none of it,
weights above all, is copied as it lies, and so are attentions inside other nodes' graphs (If, Loop) and in functions.

The node does not say d, so it is taken from a shape when the graph runs; where shapes are fixed, ONNX Runtime and the
providers compute that once. Nor does it say its type, which is found in the graph and written into Cast: CastLike would
need no search, but is a function to ONNX Runtime, which opens it only after a provider without it was asked for its
nodes, too late to keep the graph whole. The query is divided before the product, not the scores after it, which
overflow in half precision; to share the divisor with the key would cost a second pass and leave the scores as they are.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Final

from onnxflow.errors import ModelError
from onnxflow.models.element_types import ElementTypes
from onnxflow.models.graph_file import GraphFile
from onnxflow.models.onnx_file import BFLOAT16, FLOAT, FLOAT16, GRAPH, INITIALIZER, INT64, NODE, OPSETS, open_graph
from onnxflow.models.protobuf import Message, all_bytes, encoded, fields, last_bytes, last_number, message, prefix

_LARGEST: Final = 2**31  # bytes: no message of protocol buffers is longer
_OPSET: Final = 15  # the first in which Shape can give a part
_MOST_HEADS: Final = 65_536
_OP, _DOMAIN = b"MultiHeadAttention", b"com.microsoft"
_INPUTS: Final = (
    "query",
    "key",
    "value",
    "bias",
    "key_padding_mask",
    "attention_bias",
    "past_key",
    "past_value",
    "past_sequence_length",
    "cache_indirection",
)
_ATTRIBUTES: Final = {"num_heads", "unidirectional", "scale", "mask_filter_value"}
_KINDS: Final = (FLOAT, FLOAT16, BFLOAT16)
# Added to the score of a later token. Finite in half precision even with a score below zero, and far below any score;
# infinity is not for every provider.
_MASKED: Final = -32768.0


class AttentionError(ModelError):
    """An attention that cannot be written as standard nodes; the graph itself is fine."""


def without_fused_attention(source: Path | GraphFile) -> bytes:
    """The ONNX file ``source`` with standard nodes in the place of its MultiHeadAttention nodes; else its own bytes.

    External data stays where it is: ONNX Runtime must be told the file's folder. ModelError when the file cannot be
    read or is no ONNX graph, or has an attention of more than query, key and value.
    """
    path = source if isinstance(source, Path) else source.path
    with open_graph(source) as graph:
        if graph.size > _LARGEST:
            raise ValueError(f"it has {graph.size:,} bytes, and none has more than {_LARGEST:,}")
        graph.file.seek(0)
        data = graph.file.read()
        if len(data) != graph.size:
            raise ValueError("it changed while it was read")
        places = _places(data, graph.start, graph.end)
        if not places:
            return data
        types = ElementTypes(BytesIO(data), graph.start, graph.end)
        attentions = [_attention(message(data[at : at + size]), types, path) for _, at, size in places]
        _check_opset(data, path)
        pieces = _pieces(data, graph.start, graph.end, places, attentions)
        head, rest = memoryview(data)[: graph.begin], memoryview(data)[graph.end :]
        return b"".join([head, prefix(GRAPH, sum(map(len, pieces))), *pieces, rest])


@dataclass(frozen=True, slots=True)
class _Attention:
    """A node, its names in UTF-8, its own maybe empty.

    ``scale`` is 0 for 1/sqrt(d), ``kind`` TensorProto's number of the type.
    """

    name: bytes
    query: bytes
    key: bytes
    value: bytes
    output: bytes
    heads: int
    causal: bool
    scale: float
    kind: int


def _places(data: bytes, start: int, end: int) -> list[tuple[int, int, int]]:
    """Where the graph's attentions lie: the beginning of the field, that of the node, and the node's length."""
    file, found = BytesIO(data), []  # shares the bytes
    file.seek(start)
    begin = start
    for number, at, size in fields(file, end):
        if number == NODE and size >= 0 and data.find(_OP, at, at + size) >= 0:
            node = message(data[at : at + size])
            if last_bytes(node, 4) == _OP and last_bytes(node, 7) == _DOMAIN:
                found.append((begin, at, size))
        begin = at + max(size, 0)
    return found


def _attention(node: Message, types: ElementTypes, path: Path) -> _Attention:
    """What a NodeProto says: inputs (1), outputs (2), name (3) and attributes (5)."""
    inputs, outputs = all_bytes(node, 1), all_bytes(node, 2)
    name = last_bytes(node, 3) or (outputs[0] if outputs else b"")
    attributes = {last_bytes(entry, 1).decode("utf-8"): entry for entry in map(message, all_bytes(node, 5))}
    extra = [_INPUTS[i] if i < len(_INPUTS) else f"input {i}" for i, given in enumerate(inputs) if given and i > 2]
    extra += [f"output {i}" for i, given in enumerate(outputs) if given and i > 0]
    extra += [f"attribute {key}" for key in attributes if key not in _ATTRIBUTES]
    if extra:
        raise _unknown(f"the attention {name.decode('utf-8')} has more than query, key and value", extra, path)
    if len(inputs) < 3 or not all(inputs[:3]):
        raise _unknown(f"the attention {name.decode('utf-8')} lacks its query, key or value", [], path)
    if not outputs or not outputs[0]:
        raise ValueError("an attention has no output")
    heads, scale = last_number(attributes.get("num_heads", {}), 3), last_bytes(attributes.get("scale", {}), 2)
    if not 0 < heads <= _MOST_HEADS:
        raise ValueError(f"an attention has {heads} heads")
    factor = struct.unpack("<f", scale)[0] if len(scale) == 4 else 0.0
    if not math.isfinite(factor):
        raise ValueError(f"an attention has the scale {factor}")
    causal = last_number(attributes.get("unidirectional", {}), 3) != 0
    kind = next((found for found in map(types.of, (*inputs[:3], outputs[0])) if found in _KINDS), None)
    if kind is None:
        raise _unknown(f"the type of the attention {name.decode('utf-8')} is not to be seen in the graph", [], path)
    return _Attention(last_bytes(node, 3), inputs[0], inputs[1], inputs[2], outputs[0], heads, causal, factor, kind)


def _unknown(message: str, extra: list[str], path: Path) -> AttentionError:
    return AttentionError(
        f"{message}{': ' if extra else ''}{', '.join(extra)}",
        where=str(path),
        hint="run it on the CPU, or export the model again with 'onnxflow export'",
    )


def _check_opset(data: bytes, path: Path) -> None:
    """ModelError when the standard operators are older than those we write."""
    file, version = BytesIO(data), 0
    for number, at, size in fields(file, len(data)):
        if number == OPSETS and size >= 0:
            entry = message(data[at : at + size])
            if last_bytes(entry, 1) in (b"", b"ai.onnx"):
                version = last_number(entry, 2)
    if version < _OPSET:
        raise _unknown(f"the graph is of opset {version}; its attentions can be replaced from {_OPSET} on", [], path)


def _pieces(
    data: bytes, start: int, end: int, places: list[tuple[int, int, int]], attentions: list[_Attention]
) -> list[bytes | memoryview]:
    """The graph's message anew, in parts; those that stay are not copied."""
    # What occurs nowhere in the file is part of no name, at whatever depth: names with it are new.
    mark = next(mark for mark in (b"/split%d/" % i for i in count()) if mark not in data)
    view, pieces = memoryview(data), list[bytes | memoryview]()
    for (begin, at, size), attention in zip(places, attentions, strict=True):
        pieces += [view[start:begin], b"".join(encoded(NODE, node) for node in _nodes(attention, mark))]
        start = at + size
    return [*pieces, view[start:end], b"".join(encoded(INITIALIZER, weight) for weight in _weights(attentions, mark))]


def _nodes(attention: _Attention, mark: bytes) -> Iterator[bytes]:
    """The NodeProtos of one attention, each after those it needs."""

    def node(op: bytes, inputs: list[bytes], output: bytes, *attributes: bytes) -> bytes:
        content = b"".join(encoded(1, name) for name in inputs) + encoded(2, output)
        if attention.name:  # a node need not have one, but no two may have the same
            content += encoded(3, attention.name + mark + output.removeprefix(own))
        content += encoded(4, op)
        return content + b"".join(encoded(5, attribute) for attribute in attributes)

    own = attention.output + mark
    split, to = mark + b"heads%d" % attention.heads, _int(b"to", attention.kind)
    for part, given in ((b"query", attention.query), (b"key", attention.key), (b"value", attention.value)):
        yield node(b"Reshape", [given, split], own + part + b"_by_head")
    if attention.scale:
        yield node(b"Cast", [_scale_name(attention, mark)], own + b"factor", to)
        yield node(b"Mul", [own + b"query_by_head", own + b"factor"], own + b"query_scaled")
    else:
        yield node(b"Shape", [own + b"query_by_head"], own + b"size", _int(b"start", 3), _int(b"end", 4))
        # In single precision first: a root in half precision is for few providers, and less exact.
        yield node(b"Cast", [own + b"size"], own + b"size_float", _int(b"to", FLOAT))
        yield node(b"Sqrt", [own + b"size_float"], own + b"root_float")
        yield node(b"Cast", [own + b"root_float"], own + b"root", to)
        yield node(b"Div", [own + b"query_by_head", own + b"root"], own + b"query_scaled")
    yield node(b"Transpose", [own + b"query_scaled"], own + b"query", _ints(b"perm", 0, 2, 1, 3))
    yield node(b"Transpose", [own + b"key_by_head"], own + b"key", _ints(b"perm", 0, 2, 3, 1))
    yield node(b"Transpose", [own + b"value_by_head"], own + b"value", _ints(b"perm", 0, 2, 1, 3))
    scores = own + b"scores"
    yield node(b"MatMul", [own + b"query", own + b"key"], scores)
    if attention.causal:
        yield node(b"Shape", [scores], own + b"sizes", _int(b"start", 2), _int(b"end", 4))
        yield node(b"Expand", [mark + b"masked", own + b"sizes"], own + b"masked")
        yield node(b"Trilu", [own + b"masked", mark + b"one"], own + b"later_float", _int(b"upper", 1))
        yield node(b"Cast", [own + b"later_float"], own + b"later", to)
        yield node(b"Add", [scores, own + b"later"], own + b"scores_masked")
        scores = own + b"scores_masked"
    yield node(b"Softmax", [scores], own + b"weights", _int(b"axis", 3))
    yield node(b"MatMul", [own + b"weights", own + b"value"], own + b"mixed")
    yield node(b"Transpose", [own + b"mixed"], own + b"mixed_by_token", _ints(b"perm", 0, 2, 1, 3))
    yield node(b"Reshape", [own + b"mixed_by_token", mark + b"joined"], attention.output)


def _weights(attentions: list[_Attention], mark: bytes) -> Iterator[bytes]:
    """The TensorProtos that the nodes of all attentions name; 0 in a new shape keeps a size, -1 takes the rest."""
    for heads in sorted({attention.heads for attention in attentions}):
        yield _tensor(mark + b"heads%d" % heads, INT64, "q", 0, 0, heads, -1)
    scales = {_scale_name(attention, mark): attention.scale for attention in attentions if attention.scale}
    for name, scale in sorted(scales.items()):
        yield _tensor(name, FLOAT, "f", scale)
    yield _tensor(mark + b"joined", INT64, "q", 0, 0, -1)
    if any(attention.causal for attention in attentions):
        yield _tensor(mark + b"masked", FLOAT, "f", _MASKED)
        yield _tensor(mark + b"one", INT64, "q", 1)


def _scale_name(attention: _Attention, mark: bytes) -> bytes:
    return mark + b"scale_" + repr(attention.scale).encode()


def _tensor(name: bytes, kind: int, code: str, *values: float) -> bytes:
    """A TensorProto: sizes (1), of which a single number has none, type (2), name (8), and the values' bytes (9)."""
    sizes = encoded(1, len(values)) if len(values) > 1 else b""
    return sizes + encoded(2, kind) + encoded(8, name) + encoded(9, struct.pack(f"<{len(values)}{code}", *values))


def _int(name: bytes, value: int) -> bytes:
    """An AttributeProto of a whole number: name (1), value (3), and in type (20) that it is one."""
    return encoded(1, name) + encoded(3, value) + encoded(20, 2)


def _ints(name: bytes, *values: int) -> bytes:
    """An AttributeProto of several, which are its fields 8."""
    return encoded(1, name) + b"".join(encoded(8, value) for value in values) + encoded(20, 7)
