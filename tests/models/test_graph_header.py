"""Inputs and outputs of ONNX files, read without an ONNX library."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from graph_file import FLOAT, HALF, INT64, field, graph_file, varint
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.errors import ModelError
from onnxflow.models.graph_header import Declared, read_header
from onnxflow.models.store import embedded_folder

INPUTS = {"ids": (INT64, ("batch", None)), "scalar": (HALF, ()), "image": (FLOAT, ("b", 3, "h * 8", 1_000_000))}
WHOLE = graph_file(INPUTS, {"out": (FLOAT, (2, 0, 10**12))})


def write(folder: Path, data: bytes) -> Path:
    (folder / "unet").mkdir(exist_ok=True)
    (folder / "unet" / "model.onnx").write_bytes(data)
    return folder / "unet" / "model.onnx"


def test_names_types_and_sizes_are_read(tmp_path: Path) -> None:
    header = read_header(write(tmp_path, WHOLE))
    assert dict(header.inputs) == {
        "ids": Declared(INT64, ("batch", "")),
        "scalar": Declared(HALF, ()),
        "image": Declared(FLOAT, ("b", 3, "h * 8", 1_000_000)),
    }
    assert dict(header.outputs) == {"out": Declared(FLOAT, (2, "", ""))}


def test_weights_that_are_declared_as_inputs_are_none(tmp_path: Path) -> None:
    data = graph_file({"x": (FLOAT, (1,)), "w": (FLOAT, (3,))}, {}, weights={"w": bytes(300_000), "v": b""})
    assert list(read_header(write(tmp_path, data)).inputs) == ["x"]


def test_the_graphs_of_the_embedded_model_are_what_its_manifest_says() -> None:
    folder = embedded_folder()
    components = json.loads((folder / "onnxflow.json").read_text("utf-8"))["components"]
    for name, component in components.items():
        header = read_header(folder / name / "model.onnx")
        for kind, values in (("inputs", header.inputs), ("outputs", header.outputs)):
            assert {key: list(value.shape) for key, value in values.items()} == component[kind]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "it holds 0 graphs"),
        (b"\x80", "it is cut off"),
        (b"\xff" * 20, "a number has no end"),
        (b"PK\x03\x04" * 9, "is no ONNX graph"),
        (WHOLE[:-9], "a field is damaged or cut off"),
        (WHOLE[:60], "a field is damaged or cut off"),
        (field(7, b"") * 2, "it holds 2 graphs"),
        (field(7, 5), "it holds 0 graphs"),
        (field(7, field(11, field(1, b"\xff"))), "is no ONNX graph"),
        (field(7, field(11, bytes(2**21))), "a declaration has 2,097,152 bytes"),
        (varint(7 << 3 | 3), "a field is damaged or cut off"),
    ],
)
def test_what_is_no_graph_is_said(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(ModelError) as caught:
        read_header(write(tmp_path, data))
    assert words in caught.value.message
    assert caught.value.message.startswith("unet/model.onnx is no ONNX graph")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot read nothing/model\.onnx: No such file"):
        read_header(tmp_path / "nothing" / "model.onnx")


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=4), st.integers(0, len(WHOLE)))
def test_any_bytes_are_read_or_refused(changes: list[tuple[int, int]], end: int) -> None:
    data = bytearray(WHOLE)
    for place, byte in changes:
        data[place] = byte
    with tempfile.TemporaryDirectory() as folder:
        try:
            read_header(write(Path(folder), bytes(data[:end]) if len(changes) < 2 else bytes(data)))
        except ModelError as error:
            assert folder in error.render()
