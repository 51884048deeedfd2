"""Products with stored matrices as standard nodes: the same numbers."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnxruntime import InferenceSession

from onnxflow.models.onnx_file import FLOAT
from onnxflow.models.plain_products import without_fused_products
from onnxflow.models.protobuf import encoded


def value(name: str, *sizes: int) -> bytes:
    dims = b"".join(encoded(1, encoded(1, size)) for size in sizes)
    return encoded(1, name.encode()) + encoded(2, encoded(1, encoded(1, FLOAT) + encoded(2, dims)))


def model(*attributes: tuple[str, int], name: bytes = b"") -> bytes:
    node = encoded(1, b"x") + encoded(1, b"w") + encoded(2, b"y") + (encoded(3, name) if name else b"")
    node += encoded(4, b"FusedMatMul") + encoded(7, b"com.microsoft")
    for key, number in attributes:
        node += encoded(5, encoded(1, key.encode()) + encoded(3, number) + encoded(20, 2))
    graph = encoded(1, node) + encoded(2, b"g") + encoded(11, value("x", 2, 5, 3)) + encoded(11, value("w", 4, 3))
    graph += encoded(12, value("y", 2, 5, 4))
    opsets = encoded(8, encoded(1, b"") + encoded(2, 19)) + encoded(8, encoded(1, b"com.microsoft") + encoded(2, 1))
    return encoded(1, 9) + encoded(7, graph) + opsets


def answer(data: bytes) -> Any:
    session = InferenceSession(data, providers=["CPUExecutionProvider"])
    x = np.arange(30, dtype=np.float32).reshape(2, 5, 3)
    return session.run(None, {"x": x, "w": np.arange(12, dtype=np.float32).reshape(4, 3)})[0]


@pytest.mark.parametrize("name", [b"", b"product"])
def test_the_numbers_are_the_same(name: bytes) -> None:
    data = model(("transB", 1), name=name)
    plain = without_fused_products(data)
    assert b"FusedMatMul" not in plain
    assert np.array_equal(answer(plain), answer(data))


@pytest.mark.parametrize("attributes", [(("transB", 1), ("transA", 1)), (("transB", 0),), ()])
def test_other_products_are_left_alone(attributes: tuple[tuple[str, int], ...]) -> None:
    data = model(*attributes)
    assert without_fused_products(data) == data


@given(st.binary(max_size=200))
def test_what_is_no_model_is_refused(data: bytes) -> None:
    whole = model(("transB", 1))
    for damaged in (data, whole[: len(data)], data + whole):
        with contextlib.suppress(ValueError):
            without_fused_products(damaged)
