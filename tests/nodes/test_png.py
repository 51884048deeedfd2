import contextlib
import io
import struct
import zlib

import numpy as np
import PIL.Image
import PIL.PngImagePlugin
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.errors import InputError, OutputError
from onnxflow.nodes import png

GREY = np.array([[[0], [128]], [[255], [7]]], np.uint8)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_texts_come_before_the_pixels_as_text_chunks() -> None:
    data = png.encode(GREY, {"prompt": '{"a": "\\u00e9"}', "workflow": "{}"}, 4)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 0))
    texts = chunk(b"tEXt", b'prompt\0{"a": "\\u00e9"}') + chunk(b"tEXt", b"workflow\0{}")
    assert data.startswith(png.SIGNATURE + header + texts + struct.pack(">I", len(data) - 128)[:2])
    assert data[len(png.SIGNATURE + header + texts) + 4 :][:4] == b"IDAT"
    assert data.endswith(chunk(b"IEND", b""))
    assert png.read_texts(data) == {"prompt": '{"a": "\\u00e9"}', "workflow": "{}"}


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pixels_survive(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), np.uint8)
    with PIL.Image.open(io.BytesIO(png.encode(pixels, {}, 1))) as image:
        assert image.mode == {1: "L", 3: "RGB", 4: "RGBA"}[channels]
        assert np.array_equal(np.asarray(image).reshape(pixels.shape), pixels)


@pytest.mark.parametrize("key", ["", "k" * 80, "schlüssel\n", "鍵", "a\0b"])
def test_keys_that_png_cannot_hold(key: str) -> None:
    with pytest.raises(OutputError, match="PNG keyword"):
        png.encode(GREY, {key: "1"}, 4)


def test_reads_international_texts_and_the_first_of_two() -> None:
    info = PIL.PngImagePlugin.PngInfo()
    info.add_itxt("plain", "日本")
    info.add_itxt("packed", "é" * 1000, zip=True)
    info.add_text("twice", "first")
    info.add_text("twice", "second")
    file = io.BytesIO()
    PIL.Image.new("L", (1, 1)).save(file, "PNG", pnginfo=info)
    assert png.read_texts(file.getvalue()) == {"plain": "日本", "packed": "é" * 1000, "twice": "first"}


def test_a_compressed_text_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png, "MAX_TEXT", 1000)
    bomb = b"k\0\1\0\0\0" + zlib.compress(b"0" * (png.MAX_TEXT + 1))
    with pytest.raises(InputError, match="more than"):
        png.read_texts(png.SIGNATURE + chunk(b"iTXt", bomb) + chunk(b"IEND", b""))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "signature"),
        (b"GIF89a", "signature"),
        (png.SIGNATURE, "truncated"),
        (png.SIGNATURE + chunk(b"tEXt", b"a\0b"), "truncated"),
        (png.SIGNATURE + struct.pack(">I4s", 2**31, b"IDAT") + b"0" * 20, "claims 2,147,483,648 bytes"),
        (png.SIGNATURE + chunk(b"iTXt", b"k\0"), "no text"),
        (png.SIGNATURE + chunk(b"iTXt", b"k\0\1\0\0\0junk"), "cannot be read"),
    ],
)
def test_damaged_files(data: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        png.read_texts(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(tail: bytes) -> None:
    for data in (tail, png.SIGNATURE + tail, png.SIGNATURE + chunk(b"iTXt", tail) + chunk(b"IEND", b"")):
        with contextlib.suppress(InputError):
            png.read_texts(data)
