import json
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from onnxflow.errors import ModelError
from onnxflow.models import tensors

ENTRY = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


def file_bytes(header: Any, data: bytes = b"") -> bytes:
    """A file with ``header`` (JSON text, or something to be written as JSON) and ``data``."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def opened(folder: Path, data: bytes) -> tensors.TensorFile:
    path = folder / "a.safetensors"
    path.write_bytes(data)
    return tensors.open_tensors(path)


def refused(folder: Path, data: bytes) -> ModelError:
    with pytest.raises(ModelError) as caught:
        opened(folder, data)
    assert caught.value.where == str(folder / "a.safetensors")
    assert len(caught.value.message) < 600
    return caught.value


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
    assert file.tensors["x"] == tensors.TensorInfo("F64", (1,), 8 + len(header) + 3 + 1, 8)


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
    with pytest.raises(ModelError, match="Is a directory"):
        tensors.open_tensors(tmp_path)


def test_a_file_that_shrank_after_it_was_opened(tmp_path: Path) -> None:
    file = opened(tmp_path, file_bytes({"x": ENTRY}, b"\0" * 4))
    file.path.write_bytes(b"short")
    with pytest.raises(ModelError, match="cannot be mapped"):
        file.read("x")


def entry(**changes: Any) -> dict[str, Any]:
    return {"x": {**ENTRY, **changes}}


def two(first: list[Any], second: list[Any]) -> dict[str, Any]:
    """Two tensors of one float each at the given offsets."""
    return {"x": {**ENTRY, "data_offsets": first}, "y": {**ENTRY, "data_offsets": second}}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "0 bytes, fewer"),
        (b"\0" * 7, "7 bytes, fewer"),
        (struct.pack("<Q", 2**64 - 1) + b"{}", "claims 18,446,744,073,709,551,615 bytes"),
        (struct.pack("<Q", 3) + b"{}", "claims 3 bytes"),
        (b"\0" * 8, "not JSON"),
        (file_bytes(b"{"), "not JSON"),
        (file_bytes(b"[]"), "not a JSON object"),
        (file_bytes(b" {}"), "not a JSON object"),
        (file_bytes(b'{"\xff": 1}'), "not UTF-8"),
        (file_bytes(b"\xef\xbb\xbf{}"), "not JSON"),
        (file_bytes(b"{" + b'"a":{' * 100_000), "nested too deeply"),
        (file_bytes(b'{"a":' + b"[" * 100_000), "nested too deeply"),
        (file_bytes(b'{"x":{}, "x":{}}'), "twice"),
        (file_bytes(b'{"x":{"dtype":"F32","dtype":"F32"}}'), "twice"),
        (file_bytes(b'{"__metadata__":{"a":"1","a":"2"}}'), "twice"),
        (file_bytes({"__metadata__": {"a": 1}}), "metadata are not texts"),
        (file_bytes({"__metadata__": ["a"]}), "metadata are not texts"),
        (file_bytes({"x": 1}), "lacks one of"),
        (file_bytes({"x": {"dtype": "F32", "shape": [1]}}), "lacks one of"),
        (file_bytes(entry(dtype="F31"), b"\0" * 4), "type 'F31', known are BOOL"),
        (file_bytes(entry(dtype=["F32"]), b"\0" * 4), "type ['F32']"),
        (file_bytes(entry(shape=[-1]), b"\0" * 4), "shape [-1]"),
        (file_bytes(entry(shape=[1.0]), b"\0" * 4), "shape [1.0]"),
        (file_bytes(entry(shape=[True]), b"\0" * 4), "shape [True]"),
        (file_bytes(entry(shape="1"), b"\0" * 4), "shape '1'"),
        (file_bytes(entry(shape=[1] * 33), b"\0" * 4), "up to 32"),
        (file_bytes(entry(shape=[2**63]), b"\0" * 4), "shape [9223372036854775808]"),
        (file_bytes(entry(shape=[2**62, 2**62]), b"\0" * 4), "has 4 bytes"),
        (file_bytes(entry(shape=[2]), b"\0" * 4), "need 8"),
        (file_bytes(b'{"x":{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}}'), "holds NaN"),
        (file_bytes(b'{"x":{"dtype":"F32","shape":[' + b"9" * 5000 + b"]}}"), "Exceeds the limit"),
        (file_bytes(entry(data_offsets=[0, 8]), b"\0" * 4), "offsets [0, 8], the data have 4 bytes"),
        (file_bytes(entry(data_offsets=[4, 0]), b"\0" * 4), "offsets [4, 0]"),
        (file_bytes(entry(data_offsets=[-4, 0]), b"\0" * 4), "offsets [-4, 0]"),
        (file_bytes(entry(data_offsets=[0]), b"\0" * 4), "offsets [0]"),
        (file_bytes(entry(data_offsets=[0, 4.0]), b"\0" * 4), "offsets [0, 4.0]"),
        (file_bytes(two([0, 4], [0, 4]), b"\0" * 4), "'y' begins at byte 0 of the data, expected 4"),
        (file_bytes(two([0, 4], [2, 6]), b"\0" * 6), "'y' begins at byte 2 of the data, expected 4"),
        (file_bytes(two([0, 4], [5, 9]), b"\0" * 9), "'y' begins at byte 5 of the data, expected 4"),
        (file_bytes(entry(data_offsets=[4, 8]), b"\0" * 8), "begins at byte 4 of the data, expected 0"),
        (file_bytes(entry(), b"\0" * 5), "take 4 bytes, the file has 5"),
        (file_bytes({}, b"\0"), "take 0 bytes, the file has 1"),
        (file_bytes({"n" * 100_000: 1}), "nnn..."),
    ],
)
def test_hostile_files(data: bytes, reason: str, tmp_path: Path) -> None:
    error = refused(tmp_path, data)
    assert reason in error.message
    assert "copy or download it again" in error.hint


def test_an_empty_tensor_of_a_huge_shape(tmp_path: Path) -> None:
    header = {"x": {"dtype": "F32", "shape": [0, 2**62, 2**62], "data_offsets": [0, 0]}}
    file = opened(tmp_path, file_bytes(header))
    with pytest.raises(ModelError, match="cannot be mapped"):
        file.read("x")


def test_the_header_has_a_limit_and_is_not_read_beyond_it(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", tensors.MAX_HEADER + 1))
        file.truncate(10 * tensors.MAX_HEADER)  # sparse: takes no space
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match="allowed are 16,777,216"):
            tensors.open_tensors(path)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


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
        total = sum(info.size for info in file.tensors.values())
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
