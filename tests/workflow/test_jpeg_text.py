"""Texts of JPEG files: segments, comments, markers."""

from __future__ import annotations

import pytest
from picture_files import jpeg, tiff

from onnxflow.workflow.embedded import Embedded, embedded_texts

EXIF = b"Exif\0\0" + tiff({0x0110: b"prompt:{}"})


def read(data: bytes) -> Embedded:
    found = embedded_texts(data, "a.jpg")
    assert found is not None and found.kind == "JPEG picture"
    return found


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        (b"prompt:{}", ("{}", None, None)),
        (b"workflow:{}\0", (None, "{}", None)),
        (b"cat\nSteps: 1, Size: 8x8", (None, None, "cat\nSteps: 1, Size: 8x8")),
        (b"parameters:cat\nSteps: 1", (None, None, "cat\nSteps: 1")),
        (b"CREATOR: gd-jpeg v1.0", (None, None, None)),
        (b"", (None, None, None)),
    ],
)
def test_comments(comment: bytes, expected: tuple[str | None, ...]) -> None:
    found = read(jpeg((0xFE, comment)))
    assert (found.prompt, found.workflow, found.parameters) == expected and not found.damage


def test_segments_before_and_fill_bytes_are_passed_over() -> None:
    whole = jpeg((0xE0, b"JFIF\0"), (0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>"), (0xE1, EXIF))
    assert read(whole).prompt == "{}"
    filled = whole.replace(b"\xff\xe1", b"\xff" * 9 + b"\xe1").replace(b"\xff\xe0", b"\xff\x01\xff\xd0\xff\xe0")
    assert read(filled).prompt == "{}"


def test_pixels_end_the_search() -> None:
    assert read(jpeg() + b"\xff\xfe\0\x0bprompt:{}").prompt is None
    assert read(b"\xff\xd8\xff\xd9").damage == ""


def test_a_damaged_segment_of_exif_does_not_hide_the_next() -> None:
    found = read(jpeg((0xE1, b"Exif\0\0nothing"), (0xE1, EXIF)))
    assert found.prompt == "{}" and "TIFF" in found.damage


@pytest.mark.parametrize("rest", [b"", b"\xe1", b"\xe1\0", b"\xe1\0\0", b"\xe1\0\1", b"\xe1\0\x09Exif", b"\xff" * 50])
def test_a_file_that_is_cut_off_says_so(rest: bytes) -> None:
    assert "cut off" in read(b"\xff\xd8\xff" + rest).damage


def test_a_file_without_a_marker_says_so() -> None:
    assert "damaged at byte 6" in read(b"\xff\xd8\xff\xfe\0\2nothing").damage
