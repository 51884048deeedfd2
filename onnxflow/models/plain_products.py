"""com.microsoft.FusedMatMul, which multiplies with a matrix as it is stored, as standard nodes, for providers without a
kernel for it."""

from __future__ import annotations

from io import BytesIO
from typing import Final

from onnxflow.models.onnx_file import GRAPH, NODE, graph_place
from onnxflow.models.protobuf import Message, all_bytes, encoded, fields, last_bytes, last_number, message, prefix

_OP, _DOMAIN = b"FusedMatMul", b"com.microsoft"
_TRANSPOSED: Final = "transB"


def without_fused_products(model: bytes) -> bytes:
    """An ONNX model with Transpose and MatMul in the place of the products that templates have; else its own bytes.
    Products that do more are left alone. ValueError when it is no model."""
    file = BytesIO(model)
    begin, start, end = graph_place(file, len(model))
    file.seek(start)
    pieces, kept, before = [], start, start
    for number, at, length in fields(file, end):
        stop = at + max(length, 0)
        if number == NODE and length >= 0 and model.find(_OP, at, stop) >= 0:
            nodes = _plain(message(model[at:stop]))
            if nodes:
                pieces += [model[kept:before], *(encoded(NODE, node) for node in nodes)]
                kept = stop
        before = stop
    pieces.append(model[kept:end])
    graph = b"".join(pieces)
    return b"".join([model[:begin], prefix(GRAPH, len(graph)), graph, model[end:]])


def _plain(node: Message) -> list[bytes]:
    """The nodes that stand for one; none when it is not a product with a transposed matrix and nothing else."""
    attributes = {last_bytes(entry, 1).decode("utf-8"): entry for entry in map(message, all_bytes(node, 5))}
    inputs, outputs = all_bytes(node, 1), all_bytes(node, 2)
    known = attributes.keys() == {_TRANSPOSED} and last_number(attributes[_TRANSPOSED], 3) == 1
    if last_bytes(node, 4) != _OP or last_bytes(node, 7) != _DOMAIN or not known or len(inputs) != 2:
        return []
    turned, name = outputs[0] + b"/transposed", last_bytes(node, 3)
    named = encoded(3, name + b"/transpose") if name else b""
    transpose = encoded(1, inputs[1]) + encoded(2, turned) + named + encoded(4, b"Transpose")
    named = encoded(3, name) if name else b""
    product = encoded(1, inputs[0]) + encoded(1, turned) + encoded(2, outputs[0]) + named + encoded(4, b"MatMul")
    return [transpose, product]
