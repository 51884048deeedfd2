"""Texts of PNG files: every kind of chunk, and chunks that are none."""

from __future__ import annotations

import zlib

import pytest
from picture_files import chunk, png

from onnxflow.workflow.embedded import embedded_texts


def prompt(part: bytes) -> str | None:
    found = embedded_texts(png(part), "a.png")
    assert found is not None
    return found.prompt


PACKED = zlib.compress(b'{"a": 1}')


@pytest.mark.parametrize(
    ("kind", "rest", "text"),
    [
        (b"tEXt", b'{"a": 1}', '{"a": 1}'),
        (b"tEXt", "é".encode(), "é"),
        (b"tEXt", "é".encode("latin-1"), "é"),
        (b"tEXt", b"", None),
        (b"comf", b'{"a": 1}', '{"a": 1}'),
        (b"zTXt", b"\0" + PACKED, '{"a": 1}'),
        (b"zTXt", b"\1" + PACKED, None),  # a compression that there is not
        (b"zTXt", b"", None),
        (b"iTXt", b'\0\0\0\0{"a": 1}', '{"a": 1}'),
        (b"iTXt", b"\0\0en\0key\0" + "日".encode(), "日"),
        (b"iTXt", b"\1\0\0\0" + PACKED, '{"a": 1}'),
        (b"iTXt", b'{"a": 1}', '{"a": 1}'),  # as ComfyUI's editor reads it
        (b"iTXt", b"\0\0en", None),
        (b"iTXt", b"\0\0en\0key", None),
        (b"iTXt", b"\0", None),
        (b"iTXt", b"\0\0" + b"a" * 1024 + b"\0\0{}", None),  # no language has such a name
        (b"tXMP", b'{"a": 1}', None),
    ],
)
def test_each_kind_of_chunk(kind: bytes, rest: bytes, text: str | None) -> None:
    assert prompt(chunk(kind, b"prompt\0" + rest)) == text


@pytest.mark.parametrize("body", [b"prompt", b"prompt2\0{}", b"Prompt\0{}", b"\0{}", b"", b"a\0prompt\0{}"])
def test_other_keywords_are_passed_over(body: bytes) -> None:
    assert prompt(chunk(b"tEXt", body)) is None


def test_a_checksum_may_be_wrong() -> None:
    assert prompt(chunk(b"tEXt", b"prompt\0{}")[:-4] + b"none") == "{}"


@pytest.mark.parametrize("packed", [PACKED[:-6], PACKED[:-1], b"x\x9c" + b"\xff" * 20, b"", b"not deflated"])
def test_a_text_that_does_not_inflate_is_said_and_does_not_hide_the_next(packed: bytes) -> None:
    part = chunk(b"zTXt", b"prompt\0\0" + packed) + chunk(b"tEXt", b"workflow\0{}")
    found = embedded_texts(png(part), "a.png")
    assert found is not None and found.workflow == "{}" and found.prompt is None
    assert "compressed text 'prompt'" in found.damage


def test_a_long_text_that_deflates_well_is_whole() -> None:
    text = "{" + " " * 3_000_000 + "}"
    assert prompt(chunk(b"zTXt", b"prompt\0\0" + zlib.compress(text.encode(), 9))) == text


def test_what_follows_the_end_is_not_looked_at() -> None:
    found = embedded_texts(png() + chunk(b"tEXt", b"prompt\0{}"), "a.png")
    assert found is not None and found.prompt is None and not found.damage
