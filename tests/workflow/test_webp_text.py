"""Texts of WebP files: chunks, padding, sizes that are wrong."""

from __future__ import annotations

import pytest
from picture_files import tiff, webp

from onnxflow.workflow.embedded import Embedded, embedded_texts

EXIF = tiff({0x0110: b"prompt:{}", 0x010F: b"workflow:[]"})


def read(data: bytes) -> Embedded:
    found = embedded_texts(data, "a.webp")
    assert found is not None and found.kind == "WebP picture"
    return found


@pytest.mark.parametrize("before", [b"", b"x", b"xx"])
@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
def test_the_chunk_is_found_behind_odd_and_even_ones(before: bytes, prefix: bytes) -> None:
    found = read(webp((b"VP8 ", before), (b"EXIF", prefix + EXIF)))
    assert found == Embedded("WebP picture", prompt="{}", workflow="[]")


@pytest.mark.parametrize("size", [b"\0\0\0\0", b"\4\0\0\0"])
def test_a_file_that_says_too_small_a_size_is_read_to_its_end(size: bytes) -> None:
    whole = webp((b"EXIF", EXIF))
    assert read(whole[:4] + size + whole[8:]).prompt == "{}"


def test_a_file_that_is_cut_off_between_chunks_says_so() -> None:
    whole = webp((b"EXIF", EXIF), (b"VP8 ", b"1234"))
    assert "cut off" in read(whole[:-12]).damage and read(whole[:-12]).prompt == "{}"
    assert "cut off" in read(whole[:-1][:-2]).damage


def test_the_last_padding_may_be_missing() -> None:
    assert read(webp((b"VP8 ", b"123"))[:-1]).damage == ""


def test_a_damaged_chunk_of_exif_does_not_hide_the_next() -> None:
    found = read(webp((b"EXIF", b"nothing"), (b"EXIF", EXIF)))
    assert found.prompt == "{}" and "TIFF" in found.damage
