"""Texts in EXIF data: tags, both byte orders, comments in several encodings, directories that go wrong."""

from __future__ import annotations

import struct

import pytest
from picture_files import EXIF_DIRECTORY, USER_COMMENT, tiff

from onnxflow.workflow.carried import Damaged, Room
from onnxflow.workflow.exif_text import exif_texts

PARAMETERS = "cat\nSteps: 20, Sampler: Euler"


def texts(data: bytes) -> dict[str, str]:
    room = Room()
    return {found.key: found.read(room) for found in exif_texts(memoryview(data))}


def comment(value: bytes, order: str = "<") -> str | None:
    return texts(tiff({}, order, exif={USER_COMMENT: value})).get("parameters")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
def test_tags_are_split_at_the_first_colon(order: str, prefix: bytes) -> None:
    tags = {0x010E: b"workflow:{}\0", 0x0110: b'prompt:{"a:b": 1}\0', 0x0131: b"software:x\0", 0x013B: b"nobody\0"}
    assert texts(prefix + tiff(tags, order)) == {"workflow": "{}", "prompt": '{"a:b": 1}'}


def test_keys_may_be_capitalised() -> None:
    assert texts(tiff({0x010E: b"Workflow:{}\0", 0x0110: b"PROMPT:[]\0"})) == {"workflow": "{}", "prompt": "[]"}


@pytest.mark.parametrize("value", [b"", b":", b"prompt", b"prompts:{}", b" prompt:{}", b"a:prompt:{}"])
def test_other_values_are_passed_over(value: bytes) -> None:
    assert texts(tiff({0x0110: value})) == {}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "value",
    [
        b"ASCII\0\0\0" + PARAMETERS.encode(),
        b"ASCII\0\0\0" + PARAMETERS.encode() + b"\0\0",
        bytes(8) + PARAMETERS.encode(),
        PARAMETERS.encode(),
        b"UNICODE\0" + PARAMETERS.encode("utf-16-be"),
        b"UNICODE\0" + PARAMETERS.encode("utf-16-le"),
        b"UNICODE\0" + PARAMETERS.encode("utf-16"),
    ],
)
def test_comments_in_any_encoding(value: bytes, order: str) -> None:
    assert comment(value, order) == PARAMETERS


def test_a_comment_of_other_letters() -> None:
    text = "猫" * 300 + "\nSteps: 20"
    assert comment(b"UNICODE\0" + text.encode("utf-16-le"), ">") == text
    assert comment(b"UNICODE\0" + text.encode("utf-16-be"), "<") == text


@pytest.mark.parametrize("value", [b"", b"ASCII\0\0\0Screenshot", b"UNICODE\0\0h\0i", bytes(200), b"UNICODE\0\xd8\0"])
def test_comments_of_cameras_are_empty(value: bytes) -> None:
    assert not comment(value)


def test_a_comment_may_lie_in_the_first_directory() -> None:
    assert texts(tiff({USER_COMMENT: b"ASCII\0\0\0" + PARAMETERS.encode()})) == {"parameters": PARAMETERS}


def test_directories_that_name_themselves_end() -> None:
    entries = struct.pack("<HHHII", 1, EXIF_DIRECTORY, 4, 1, 8) + struct.pack("<I", 8)
    assert texts(b"II*\0\x08\0\0\0" + entries) == {}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"II*\0",
        b"II+\0\x08\0\0\0\0\0",  # BigTIFF
        b"II*\0\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0",
        b"II*\0\x08\0\0\0\xff\xff",
        b"MM\0*\0\0\0\x08\0\1" + struct.pack(">HHII", 0x0110, 2, 2**32 - 1, 2**32 - 1),
        b"MM\0*\0\0\0\x08\0\1" + struct.pack(">HHII", EXIF_DIRECTORY, 4, 1, 2**32 - 1),
    ],
)
def test_data_that_is_cut_off_or_no_exif(data: bytes) -> None:
    with pytest.raises(Damaged, match="EXIF data"):
        texts(data)


def test_a_value_outside_of_the_data_does_not_hide_the_others() -> None:
    data = tiff({0x0110: b"prompt:{}\0", 0x010F: b"workflow:{}\0"})[:-1]
    found = exif_texts(memoryview(data))
    assert next(found).read(Room()) == "{}"
    with pytest.raises(Damaged, match="cut off"):
        next(found)
