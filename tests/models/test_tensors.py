import json
import os
import re
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tensor_files import ENTRY, file_bytes, laid_out

from onnxflow.errors import ModelError
from onnxflow.models import tensors
from onnxflow.models.tensor_header import ITEM_BYTES, TensorInfo


def opened(folder: Path, data: bytes) -> tensors.TensorFile:
    path = folder / "a.safetensors"
    path.write_bytes(data)
    return tensors.open_tensors(path)


# Writing


def test_bytes_as_the_reference_implementation_writes_them() -> None:
    found = tensors.encode_tensors(
        {"b": np.array([[1.0], [-2.0]], np.float32), "a": np.zeros(0, np.float32), "i": np.array(3, np.int64)},
        {"prompt": '{"é": 1}'},
    )
    header = (
        '{"__metadata__":{"prompt":"{\\"é\\": 1}"},'
        '"i":{"dtype":"I64","shape":[],"data_offsets":[0,8]},'
        '"a":{"dtype":"F32","shape":[0],"data_offsets":[8,8]},'
        '"b":{"dtype":"F32","shape":[2,1],"data_offsets":[8,16]}}'
    ).encode()
    length = (len(header) + 7) // 8 * 8
    assert found == (
        length.to_bytes(8, "little") + header.ljust(length) + b"\x03" + b"\0" * 7 + b"\0\0\x80\x3f" + b"\0\0\0\xc0"
    )


@pytest.mark.parametrize("dtype", [*"?bBhHiIqQefd", ">f4", ">i8"])
def test_what_was_written_is_read(dtype: str, tmp_path: Path) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    for sample in (array, array.T, array[:, ::2], array[0, 1], array[:0]):
        file = opened(tmp_path, tensors.encode_tensors({"x": np.asarray(sample)}, {"k": "v"}))
        found = file.read("x")
        assert found.dtype == np.dtype(dtype).newbyteorder("=")
        assert found.shape == sample.shape
        assert np.array_equal(found, sample)
        assert not found.flags.writeable
        assert file.metadata == {"k": "v"}


@pytest.mark.parametrize("array", [np.zeros(1, np.complex64), np.array(["a"]), np.array([None])])
def test_types_that_cannot_be_written(array: NDArray[Any]) -> None:
    with pytest.raises(ModelError, match="tensor 'x' of type") as caught:
        tensors.encode_tensors({"x": array})
    assert "F32" in caught.value.hint


def test_names_and_texts_that_cannot_be_written() -> None:
    with pytest.raises(ModelError, match="__metadata__"):
        tensors.encode_tensors({"__metadata__": np.zeros(1)})
    with pytest.raises(ModelError, match="surrogate"):
        tensors.encode_tensors({}, {"\ud800": "x"})


# Reading


def test_bfloat16_becomes_float32(tmp_path: Path) -> None:
    header = {"x": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}
    found = opened(tmp_path, file_bytes(header, b"\x80\x3f\x00\xc0\x80\x7f\x01\x00")).read("x")
    assert found.dtype == np.float32
    assert found.tolist() == [[1.0, -2.0], [float("inf"), 2.0**-133]]
    assert not found.flags.writeable
    single = {"x": {"dtype": "BF16", "shape": [], "data_offsets": [0, 2]}}
    assert opened(tmp_path, file_bytes(single, b"\x80\x3f")).read("x").tolist() == 1.0


def test_booleans_of_any_byte(tmp_path: Path) -> None:
    header = {"x": {"dtype": "BOOL", "shape": [3], "data_offsets": [0, 3]}}
    assert opened(tmp_path, file_bytes(header, b"\0\1\xff")).read("x").tolist() == [False, True, True]


def test_data_at_odd_places_and_spaces_after_the_header(tmp_path: Path) -> None:
    header = json.dumps(
        {
            "byte": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
            "x": {"dtype": "F64", "shape": [1], "data_offsets": [1, 9]},
        }
    ).encode()
    file = opened(tmp_path, file_bytes(header + b"   ", b"\x07" + struct.pack("<d", 0.1)))
    assert file.read("byte").tolist() == [7]
    assert file.read("x").tolist() == [0.1]
    assert file.tensors["x"] == TensorInfo("F64", (1,), 8 + len(header) + 3 + 1, 8)


def test_empty_files_of_tensors(tmp_path: Path) -> None:
    assert opened(tmp_path, file_bytes({})).tensors == {}
    assert opened(tmp_path, file_bytes({"__metadata__": {"a": "b"}})).metadata == {"a": "b"}


def test_a_missing_tensor_names_those_there_are(tmp_path: Path) -> None:
    file = opened(tmp_path, file_bytes({"weight": ENTRY}, b"\0" * 4))
    with pytest.raises(ModelError, match="no tensor 'weights'") as caught:
        file.read("weights")
    assert "'weight'" in caught.value.hint


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No such file"):
        tensors.open_tensors(tmp_path / "missing")
    with pytest.raises(ModelError, match="it is a folder"):
        tensors.open_tensors(tmp_path)


def test_a_file_that_shrank_after_it_was_opened(tmp_path: Path) -> None:
    file = opened(tmp_path, laid_out({"x": ("F32", [2, 4096], bytes(32768)), "none": ("F32", [0], b"")}))
    os.truncate(file.path, 5000)  # what is mapped beyond that would end the process when it is read
    for read in (lambda: file.read("x"), lambda: file.read_rows("x", 1, 2), lambda: file.read("none")):
        with pytest.raises(ModelError, match=r"changed while it was in use: it had 32,\d\d\d bytes, now it has 5,000"):
            read()


def test_an_empty_tensor_of_a_large_shape(tmp_path: Path) -> None:
    file = opened(tmp_path, laid_out({"x": ("F32", [0, 2**30, 2**30], b"")}))
    assert file.read("x").shape == (0, 2**30, 2**30)
    assert file.read_rows("x", 0, 0).shape == (0, 2**30, 2**30)


def test_floats_of_eight_bits_become_float32(tmp_path: Path) -> None:
    data = laid_out({"x": ("F8_E4M3", [2, 2], b"\x38\xc0\x01\x7e"), "y": ("F8_E5M2", [], b"\xbc")})
    file = opened(tmp_path, data)
    assert file.read("x").tolist() == [[1.0, -2.0], [2.0**-9, 448.0]]
    assert file.read("y").tolist() == -1.0
    assert {file.read(name).dtype for name in "xy"} == {np.dtype(np.float32)}


# Rows


def test_rows_are_mapped_not_copied(tmp_path: Path) -> None:
    values = np.arange(3 * 100_000, dtype=np.float32).reshape(3, 100_000)
    file = opened(tmp_path, tensors.encode_tensors({"x": values}))
    tracemalloc.start()
    try:
        rows = file.read_rows("x", 1, 3)
        whole = file.read("x")
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
    assert np.array_equal(rows, values[1:]) and np.array_equal(whole, values)
    assert not rows.flags.writeable and not rows.flags.owndata
    del file, whole
    assert rows[1, -1] == 299_999  # the map lives as long as the array


@pytest.mark.parametrize("dtype", [*tensors.DTYPES])
def test_rows_are_those_of_the_whole_tensor(tmp_path: Path, dtype: str) -> None:
    item = np.dtype(tensors.DTYPES[dtype]).itemsize
    content = np.random.default_rng(1).bytes(6 * item)
    file = opened(tmp_path, laid_out({"odd": ("U8", [1], b"\1"), "x": (dtype, [3, 2], content)}))
    whole = file.read("x")
    for start in range(4):
        for stop in range(start, 4):
            rows = file.read_rows("x", start, stop)
            assert (rows.shape, rows.dtype) == ((stop - start, 2), whole.dtype)
            assert rows.tobytes() == whole[start:stop].tobytes()


@pytest.mark.parametrize(("start", "stop"), [(-1, 1), (0, 4), (2, 1), (3, 4)])
def test_rows_that_are_not_there(tmp_path: Path, start: int, stop: int) -> None:
    file = opened(tmp_path, laid_out({"x": ("U8", [3, 2], b"123456"), "single": ("U8", [], b"1")}))
    for name, shape in (("x", "[3, 2]"), ("single", "[]")):
        with pytest.raises(ModelError, match=re.escape(f"rows {start} to {stop} of tensor '{name}'")) as caught:
            file.read_rows(name, start, stop)
        assert shape in caught.value.message and caught.value.hint


def test_every_type_has_its_width() -> None:
    assert {name: np.dtype(code).itemsize for name, code in tensors.DTYPES.items()} == ITEM_BYTES


# Anything


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.getbasetemp()
    for candidate in (data, struct.pack("<Q", len(data)) + data, file_bytes(b"{" + data)):
        read_all(folder, candidate)


NUMBERS = st.integers(-2, 40) | st.sampled_from([2**31, 2**63, 2**64, 1.5, None, True, "4"])
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from([*tensors.DTYPES, "F8", 1, None]),
        "shape": st.lists(NUMBERS, max_size=3) | NUMBERS,
        "data_offsets": st.lists(NUMBERS, min_size=2, max_size=2) | st.lists(NUMBERS, max_size=3),
    },
)
HEADERS = st.dictionaries(st.sampled_from(["a", "b", "__metadata__", ""]), ENTRIES | NUMBERS | st.text(), max_size=3)


@given(HEADERS, st.binary(max_size=40))
@settings(deadline=None, max_examples=200)
def test_any_header_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, header: dict[str, Any], data: bytes
) -> None:
    read_all(tmp_path_factory.getbasetemp(), file_bytes(header, data))


def read_all(folder: Path, data: bytes) -> None:
    """Open and read everything; only ModelError may come of it, and what is read takes no more than the file has."""
    try:
        file = opened(folder, data)
        total = sum(info.length for info in file.tensors.values())
        assert total <= len(data)
        for name, info in file.tensors.items():
            assert file.read(name).shape == info.shape
    except ModelError:
        pass


@given(
    st.dictionaries(st.text(max_size=5).filter(lambda name: name != "__metadata__"), st.lists(st.integers(0, 3))),
    st.dictionaries(st.text(), st.text()),
)
@settings(deadline=None)
def test_names_shapes_and_texts_survive(
    tmp_path_factory: pytest.TempPathFactory, shapes: dict[str, list[int]], metadata: dict[str, str]
) -> None:
    given_tensors = {name: np.zeros(shape[:4], np.float16) for name, shape in shapes.items()}
    file = opened(tmp_path_factory.getbasetemp(), tensors.encode_tensors(given_tensors, metadata))
    assert {name: info.shape for name, info in file.tensors.items()} == {
        name: array.shape for name, array in given_tensors.items()
    }
    assert file.metadata == metadata
