"""Headers of safetensors files that are hostile, damaged or cut off: each is refused, in words that help."""

import json
import struct
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from tensor_files import ENTRY, file_bytes, laid_out

from onnxflow.errors import ModelError
from onnxflow.models.mapped_file import MappedFile
from onnxflow.models.tensor_header import MAX_HEADER, TensorHeader, TensorInfo, read_header

CUT_OFF = "cut off: copy or download it again"
AGAIN = "damaged or of another format: copy or download it again"


def opened(folder: Path, data: bytes) -> TensorHeader:
    path = folder / "a.safetensors"
    path.write_bytes(data)
    return read_header(MappedFile.open(path))


def refused(folder: Path, data: bytes) -> ModelError:
    with pytest.raises(ModelError) as caught:
        opened(folder, data)
    assert caught.value.where == str(folder / "a.safetensors")
    assert len(caught.value.message) < 600
    return caught.value


def entry(**changes: Any) -> dict[str, Any]:
    return {"x": {**ENTRY, **changes}}


def two(first: list[Any], second: list[Any]) -> dict[str, Any]:
    """Two tensors of one float each at the given offsets."""
    return {"x": {**ENTRY, "data_offsets": first}, "y": {**ENTRY, "data_offsets": second}}


def test_places_are_places_in_the_file(tmp_path: Path) -> None:
    data = laid_out(
        {"x": ("F32", [1, 2], b"12345678"), "empty": ("I64", [0], b""), "y": ("BOOL", [], b"9")}, {"a": "b"}
    )
    header = opened(tmp_path, data)
    start = len(data) - 9
    assert header.tensors == {
        "x": TensorInfo("F32", (1, 2), start, 8),
        "empty": TensorInfo("I64", (0,), start + 8, 0),
        "y": TensorInfo("BOOL", (), start + 8, 1),
    }
    assert (header.metadata, header.start) == ({"a": "b"}, start)
    assert data[start : start + 8] == b"12345678"


def test_spaces_after_the_header_and_keys_that_nobody_knows(tmp_path: Path) -> None:
    text = json.dumps(entry(note="x", more=[1, 2])).encode() + b"   "
    assert list(opened(tmp_path, file_bytes(text, b"1234")).tensors) == ["x"]


def test_tensors_may_lie_in_another_order_than_they_are_named(tmp_path: Path) -> None:
    header = opened(tmp_path, file_bytes(two([4, 8], [0, 4]), bytes(8)))
    assert [info.offset - header.start for info in header.tensors.values()] == [4, 0]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "0 bytes, fewer than the 8 of its header's length: at least 8 bytes are missing"),
        (b"\0" * 7, "7 bytes, fewer than the 8 of its header's length: at least 1 bytes are missing"),
        (struct.pack("<Q", 3) + b"{}", "claims 3 bytes, after its length there are 2: at least 1 bytes are missing"),
        (file_bytes(entry())[:-30], "at least 30 bytes are missing"),
        (file_bytes(entry(), b""), "its tensors take 4 bytes, it has 0 of them: 4 bytes are missing"),
        (file_bytes(two([0, 4], [4, 8]), bytes(5)), "its tensors take 8 bytes, it has 5 of them: 3 bytes are missing"),
        (
            file_bytes(entry(shape=[2**60], data_offsets=[0, 2**62]), b"1234"),
            "4,611,686,018,427,387,900 bytes are miss",
        ),
    ],
)
def test_files_that_were_cut_off(data: bytes, reason: str, tmp_path: Path) -> None:
    error = refused(tmp_path, data)
    assert reason in error.message
    assert CUT_OFF in error.hint


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (struct.pack("<Q", 2**64 - 1) + b"{}", "claims 18,446,744,073,709,551,615 bytes, allowed are 100,000,000"),
        (b"\0" * 8, "begins with zeros"),
        (file_bytes(b"{"), "not JSON"),
        (file_bytes(entry())[:20].ljust(300, b"\0"), "not JSON"),
        (file_bytes(b"[]"), "begins with b'[]', expected a JSON object"),
        (file_bytes(b" {}"), "begins with b' {}'"),
        (file_bytes(b'{"\xff": 1}'), "not UTF-8: invalid start byte at byte 2"),
        (file_bytes(b"\xef\xbb\xbf{}"), "begins with"),
        (file_bytes(b"{}}"), "not JSON: Extra data at character 2"),
        (file_bytes(b"{" + b'"a":{' * 100_000), "nested 100,001 deep, allowed are 3"),
        (file_bytes(b'{"a":' + b"[" * 100_000), "nested 100,001 deep, allowed are 3"),
        (file_bytes(entry(shape=[[1]]), b"1234"), "nested 4 deep, allowed are 3"),
        (file_bytes(b'{"x":{}, "x":{}}'), "has 'x' twice in one object"),
        (file_bytes(b'{"x":{"dtype":"F32","dtype":"F32"}}'), "has 'dtype' twice in one object"),
        (file_bytes(b'{"x":{"d\\u0074ype":"F32","dtype":"F32"}}'), "has 'dtype' twice in one object"),
        (file_bytes(b'{"__metadata__":{"a":"1","a":"2"}}'), "has 'a' twice in one object"),
        (file_bytes({"__metadata__": {"a": 1}}), "its __metadata__ have 1 as 'a', expected a text"),
        (file_bytes({"__metadata__": {"a": None}}), "its __metadata__ have None as 'a'"),
        (file_bytes({"__metadata__": {"a": {}}}), "its __metadata__ have {} as 'a'"),
        (file_bytes({"__metadata__": ["a"]}), "its __metadata__ are ['a'], expected texts by name"),
        (file_bytes({"__metadata__": None}), "its __metadata__ are None"),
        (file_bytes({"__metadata__": {"a": "\ud800"}}), "'\\ud800', which has half a surrogate pair"),
        (file_bytes({"\ud800": ENTRY}, b"1234"), "'\\ud800', which has half a surrogate pair"),
        (file_bytes({"x": 1}), "tensor 'x' is 1, expected an object with dtype, shape and data_offsets"),
        (file_bytes({"x": {"dtype": "F32", "shape": [1]}}), "tensor 'x' has no data_offsets"),
        (file_bytes({"x": {}}), "tensor 'x' has no dtype and no shape and no data_offsets"),
        (file_bytes(entry(shape=[-1]), b"\0" * 4), "tensor 'x' has the shape [-1], expected up to 32 whole numbers"),
        (file_bytes(entry(shape=[1.0]), b"\0" * 4), "shape [1.0]"),
        (file_bytes(entry(shape=[True]), b"\0" * 4), "shape [True]"),
        (file_bytes(entry(shape="1"), b"\0" * 4), "shape '1'"),
        (file_bytes(entry(shape=None), b"\0" * 4), "shape None"),
        (file_bytes(entry(shape=[1] * 33), b"\0" * 4), "up to 32"),
        (file_bytes(entry(shape=[2**63]), b"\0" * 4), "shape [9223372036854775808]"),
        (file_bytes(entry(shape=[2**62, 2**62]), b"\0" * 4), "more than 9,223,372,036,854,775,807 bytes of F32"),
        (file_bytes(entry(shape=[2**61]), b"\0" * 4), "more than 9,223,372,036,854,775,807 bytes of F32"),
        (file_bytes(entry(shape=[2**32, 0, 2**32], data_offsets=[0, 0])), "more than 9,223,372,036,854,775,807 bytes"),
        (file_bytes(entry(shape=[2**63 - 1, 2, 2**63 - 1]), b"\0" * 4), "more than 9,223,372,036,854,775,807 bytes"),
        (file_bytes(entry(shape=[2]), b"\0" * 4), "tensor 'x' has 4 bytes, its type F32 and its shape [2] need 8"),
        (file_bytes(entry(dtype="F16"), b"\0" * 4), "tensor 'x' has 4 bytes, its type F16 and its shape [1] need 2"),
        (file_bytes(entry(shape=[0]), b"\0" * 4), "tensor 'x' has 4 bytes, its type F32 and its shape [0] need 0"),
        (file_bytes(b'{"x":{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}}'), "holds NaN"),
        (file_bytes(b'{"x":{"dtype":"F32","shape":[Infinity],"data_offsets":[0,4]}}'), "holds Infinity"),
        (file_bytes(b'{"x":{"dtype":"F32","shape":[' + b"9" * 5000 + b"]}}"), "tensor 'x' has no data_offsets"),
        (file_bytes(entry(shape=[10**400]), b"1234"), "tensor 'x' has the shape [inf]"),
        (file_bytes(entry(data_offsets=[0, 10**400]), b"1234"), "tensor 'x' has the data_offsets [0, inf]"),
        (
            file_bytes(entry(data_offsets=[0, 2**63]), b"1234"),
            "tensor 'x' has the data_offsets [0, 9223372036854775808]",
        ),
        (
            file_bytes(entry(data_offsets=[0, 8]), b"\0" * 8),
            "tensor 'x' has 8 bytes, its type F32 and its shape [1] need",
        ),
        (file_bytes(entry(data_offsets=[4, 0]), b"\0" * 4), "data_offsets [4, 0], expected a beginning and an end"),
        (file_bytes(entry(data_offsets=[-4, 0]), b"\0" * 4), "data_offsets [-4, 0]"),
        (file_bytes(entry(data_offsets=[0]), b"\0" * 4), "data_offsets [0]"),
        (file_bytes(entry(data_offsets=[0, 4, 8]), b"\0" * 4), "data_offsets [0, 4, 8]"),
        (file_bytes(entry(data_offsets=[0, 4.0]), b"\0" * 4), "data_offsets [0, 4.0]"),
        (file_bytes(entry(data_offsets=[False, 4]), b"\0" * 4), "data_offsets [False, 4]"),
        (file_bytes(entry(data_offsets={"0": 4}), b"\0" * 4), "data_offsets {'0': 4}"),
        (
            file_bytes(two([0, 4], [0, 4]), b"\0" * 4),
            "tensor 'y' overlaps tensor 'x': it begins at byte 0 of the data, expected 4",
        ),
        (file_bytes(two([0, 4], [2, 6]), b"\0" * 6), "'y' overlaps tensor 'x': it begins at byte 2 of the data"),
        (file_bytes(two([0, 4], [5, 9]), b"\0" * 9), "'y' leaves a hole after tensor 'x': it begins at byte 5 of the"),
        (file_bytes(entry(data_offsets=[4, 8]), b"\0" * 8), "'x' leaves a hole after the header: it begins at byte 4"),
        (file_bytes(entry(), b"\0" * 5), "take 4 bytes, the file has 5 for them: 1 bytes belong to no tensor"),
        (file_bytes({}, b"\0"), "take 0 bytes, the file has 1 for them"),
        (file_bytes({"n" * 100_000: 1}), "nnn..."),
    ],
)
def test_hostile_files(data: bytes, reason: str, tmp_path: Path) -> None:
    error = refused(tmp_path, data)
    assert reason in error.message
    assert AGAIN in error.hint


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("F31", "tensor 'x' has the type 'F31'; types that are read: BOOL, U8"),
        ("f32", "tensor 'x' has the type 'f32'; types"),
        (["F32"], "tensor 'x' has the type ['F32']; types"),
        (None, "tensor 'x' has the type None; types"),
        ("F4", "tensor 'x' has the type 'F4', whose numbers are smaller than a byte; types"),
        ("F6_E2M3", "tensor 'x' has the type 'F6_E2M3', whose numbers are smaller than a byte; types"),
        ("F6_E3M2", "tensor 'x' has the type 'F6_E3M2', whose numbers are smaller than a byte; types"),
        ("F8_E8M0", "tensor 'x' has the type 'F8_E8M0'; types"),
        ("C64", "tensor 'x' has the type 'C64'; types"),
    ],
)
def test_types_that_are_not_read(kind: Any, reason: str, tmp_path: Path) -> None:
    error = refused(tmp_path, file_bytes(entry(dtype=kind), b"\0" * 4))
    assert reason in error.message
    assert "in fp16, bf16, fp32 or fp8" in error.hint


@pytest.mark.parametrize(
    ("beginning", "kind"),
    [
        (b"PK\3\4\0\0\b\b", "a zip archive"),
        (b"\x80\2\x8a\nl\xfc\x9cF", "a pickle"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"GGUF\3\0\0\0", "a GGUF file"),
    ],
)
def test_files_of_other_formats_are_called_by_their_name(beginning: bytes, kind: str, tmp_path: Path) -> None:
    error = refused(tmp_path, beginning + b"more")
    assert kind in error.message
    assert error.hint == "use the .safetensors file of the model"


def test_the_header_has_a_limit_and_is_not_read_beyond_it(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", MAX_HEADER + 1))
        file.truncate(2 * MAX_HEADER)  # sparse: takes no space
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match="allowed are 100,000,000"):
            read_header(MappedFile.open(path))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_million_tensors_are_refused_at_once(tmp_path: Path) -> None:
    names = ",".join(f'"{i}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}' for i in range(1_000_000))
    data = file_bytes(b"{" + names.encode() + b"}")
    began = time.monotonic()
    error = refused(tmp_path, data)
    assert time.monotonic() - began < 2
    assert "1,000,000 tensors, allowed are 200,000" in error.message
