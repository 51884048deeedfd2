"""Picture files as people and attackers have them: read right, or refused with a reason, in bounded time and memory.

Names and links that lead out of the folder are in test_input_files.py.
"""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from onnxflow.nodes import picture
from onnxflow.nodes.png import SIGNATURE

RNG = np.random.default_rng(3)
RGBA = RNG.integers(0, 256, (4, 6, 4), np.uint8)
SECONDS = 20.0
"""What a refusal may take on a machine that does much else besides; it is below a second when it is idle."""


def unit(values: Any) -> NDArray[np.float32]:
    return np.asarray(values).astype(np.float32) / np.float32(255)


def stored(folder: Path, data: bytes, name: str = "a.png") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def encoded(image: PIL.Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def raw_png(width: int, height: int, depth: int, colours: int, rows: bytes, *before: bytes) -> bytes:
    """A PNG file from its rows, each after its filter byte; ``before`` are chunks before the pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0))
    return SIGNATURE + header + b"".join(before) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def refused(path: Path) -> str:
    """Why both readers refuse the file; within SECONDS and with little memory."""
    reasons = set()
    readers: list[Callable[[], object]] = [
        lambda: picture.read(path),
        lambda: picture.read_channel(path, "alpha"),
    ]
    for read in readers:
        started = time.monotonic()
        with pytest.raises(ValueError, match=r".") as caught:
            read()
        assert time.monotonic() - started < SECONDS
        reasons.add(str(caught.value))
    assert len(reasons) == 1
    return reasons.pop()


# What is unusual and right


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "1", "P"])
def test_one_pixel(mode: str, tmp_path: Path) -> None:
    path = stored(tmp_path, encoded(PIL.Image.new("RGBA", (1, 1), (255, 255, 255, 51)).convert(mode)))
    found = picture.read(path)
    assert found.pixels.tolist() == [[[[1, 1, 1]]]]
    assert (found.mask is not None) is (mode in ("RGBA", "LA", "P"))
    assert picture.read_channel(path, "alpha").shape == (1, 1)


def test_sixteen_bits_of_colour_keep_their_upper_eight(tmp_path: Path) -> None:
    values = RNG.integers(0, 65536, (2, 3, 3))
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    found = picture.read(stored(tmp_path, raw_png(3, 2, 16, 2, rows)))
    assert np.array_equal(found.pixels[0], unit(values >> 8))


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_few_bits(depth: int, tmp_path: Path) -> None:
    most = 2**depth - 1
    row = np.arange(8) % (most + 1)
    bits = "".join(f"{value:0{depth}b}" for value in row)
    packed = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    found = picture.read(stored(tmp_path, raw_png(8, 1, depth, 0, b"\0" + packed)))
    assert np.array_equal(found.pixels[0, 0, :, 0], unit(row * 255 // most))


def test_palettes(tmp_path: Path) -> None:
    palette = chunk(b"PLTE", bytes([255, 0, 0, 0, 255, 0, 0, 0, 255]))
    alpha = chunk(b"tRNS", bytes([255, 51]))
    rows = b"\0" + bytes([0, 1, 2])
    colours = [[[[1, 0, 0], [0, 1, 0], [0, 0, 1]]]]
    plain = stored(tmp_path, raw_png(3, 1, 8, 3, rows, palette), "plain.png")
    assert picture.read(plain).pixels.tolist() == colours
    assert picture.read(plain).mask is None
    clear = stored(tmp_path, raw_png(3, 1, 8, 3, rows, palette, alpha), "clear.png")
    found = picture.read(clear)
    assert found.pixels.tolist() == colours
    assert found.mask is not None
    assert np.array_equal(found.mask, 1 - unit([[[255, 51, 255]]]))
    assert np.array_equal(picture.read_channel(clear, "alpha"), found.mask[0])
    assert picture.read_channel(clear, "green").tolist() == [[0, 1, 0]]


def test_one_transparent_colour_shows_in_the_mask_of_load_image_mask_only(tmp_path: Path) -> None:
    """ComfyUI's LoadImage looks for an alpha channel or a palette, LoadImageMask converts to RGBA first."""
    key = chunk(b"tRNS", struct.pack(">HHH", 1, 2, 3))
    path = stored(tmp_path, raw_png(2, 1, 8, 2, bytes([0, 1, 2, 3, 9, 9, 9]), key))
    assert picture.read(path).mask is None
    assert picture.read_channel(path, "alpha").tolist() == [[1, 0]]


@pytest.mark.parametrize("adobe", [True, False])
def test_cmyk(adobe: bool, tmp_path: Path) -> None:
    """Pillow takes the inks of a JPEG as inverted, as Adobe's programs write them, whether it says so or not."""
    inks = (0, 255, 128, 64)
    data = encoded(PIL.Image.new("CMYK", (16, 16), inks), "JPEG", quality=100)
    marker = data.index(b"\xff\xeeAdobe"[:2])
    if not adobe:
        data = data[:marker] + data[marker + 2 + struct.unpack_from(">H", data, marker + 2)[0] :]
    assert (b"Adobe" in data) is adobe
    path = stored(tmp_path, data, "a.jpg")
    found = picture.read(path)
    cyan, magenta, yellow, black = inks
    expected = [(255 - ink) * (255 - black) / 255**2 for ink in (cyan, magenta, yellow)]
    assert np.abs(found.pixels - np.array(expected)).max() < 0.02
    assert found.mask is None
    assert not picture.read_channel(path, "alpha").any()


TURNS: dict[int, Callable[[Any], Any]] = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.swapaxes(a, 0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(np.swapaxes(a, 0, 1), 2),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", TURNS)
def test_all_orientations(orientation: int, tmp_path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    path = stored(tmp_path, encoded(PIL.Image.fromarray(RGBA), exif=exif))
    turned = unit(TURNS[orientation](RGBA))
    found = picture.read(path)
    assert np.array_equal(found.pixels[0], turned[..., :3])
    assert found.mask is not None
    assert np.array_equal(found.mask[0], 1 - turned[..., 3])
    assert np.array_equal(picture.read_channel(path, "alpha"), 1 - turned[..., 3])
    jpeg = stored(tmp_path, encoded(PIL.Image.fromarray(RGBA[..., :3]), "JPEG", exif=exif, quality=100), "a.jpg")
    assert picture.read(jpeg).pixels.shape[1:3] == turned.shape[:2]


def moving(kind: str) -> tuple[bytes, NDArray[np.uint8]]:
    """A file of three frames of few colours, and the frames."""
    frames = np.zeros((3, 8, 8, 3), np.uint8)
    for number in range(3):
        frames[number, 2 * number : 2 * number + 2] = (255, 0, 0)
        frames[number, :, number] = (0, 0, 255)
    images = [PIL.Image.fromarray(frame) for frame in frames]
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    return encoded(images[0], kind, save_all=True, append_images=images[1:], duration=100, **options), frames


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_moving_pictures_are_a_batch_and_masks_of_the_first_frame(kind: str, tmp_path: Path) -> None:
    data, frames = moving(kind)
    path = stored(tmp_path, data)
    assert np.array_equal(picture.read(path).pixels, unit(frames))
    assert np.array_equal(picture.read_channel(path, "blue"), unit(frames[0, ..., 2]))


def test_a_moving_gif_with_holes(tmp_path: Path) -> None:
    frames = [PIL.Image.new("RGBA", (4, 4), (255, 0, 0, 255)) for _ in range(2)]
    for number, frame in enumerate(frames):
        frame.putpixel((number, 0), (0, 0, 0, 0))
    path = stored(tmp_path, encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], disposal=2))
    found = picture.read(path)
    assert found.pixels.shape == (2, 4, 4, 3)
    assert found.mask is not None
    assert found.mask[:, 0, :2].tolist() == [[1, 0], [0, 1]]


def test_an_mpo_of_several_sizes_is_its_first_picture(tmp_path: Path) -> None:
    # Two, because Pillow 11.0 writes a damaged file of three.
    pictures = [PIL.Image.new("RGB", size, (200, 0, 0)) for size in ((32, 16), (16, 8))]
    path = stored(tmp_path, encoded(pictures[0], "MPO", save_all=True, append_images=pictures[1:]), "a.mpo")
    assert picture.read(path).pixels.shape == (1, 16, 32, 3)
    assert picture.read_channel(path, "red").shape == (16, 32)


# What is damaged


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_truncated(kind: str, tmp_path: Path) -> None:
    data = encoded(PIL.Image.fromarray(RNG.integers(0, 256, (64, 64, 3), np.uint8)), kind)
    for share in (0.1, 0.5, 0.9):
        path = stored(tmp_path, data[: int(len(data) * share)])
        for read in (picture.read, lambda p: picture.read_channel(p, "red")):
            with pytest.raises(ValueError, match=r"."):
                read(path)


def test_a_moving_picture_that_ends_in_its_second_frame(tmp_path: Path) -> None:
    data, _ = moving("PNG")
    with pytest.raises(ValueError, match=r"."):
        picture.read(stored(tmp_path, data[: data.index(b"fdAT") + 10]))


@pytest.mark.parametrize("data", [b"", b"\0" * 1000, b"A cat, as a text.\n" * 100, b"<svg xmlns=''/>", b"%PDF-1.7\n"])
def test_what_is_no_picture(data: bytes, tmp_path: Path) -> None:
    assert refused(stored(tmp_path, data)) == "it is damaged or not a picture file"


@pytest.mark.parametrize("tail", [b"\xff" * 40, b"\0" * 4, b"II*\0\x08\0\0\0\xff\xff"])
def test_damaged_exif_is_passed_over_or_refused(tail: bytes, tmp_path: Path) -> None:
    path = stored(tmp_path, encoded(PIL.Image.fromarray(RGBA), exif=b"Exif\0\0" + tail))
    try:
        assert picture.read(path).pixels.shape == (1, 4, 6, 3)
    except ValueError as error:
        assert str(error)


# What is meant to hurt


@pytest.mark.parametrize(("width", "height"), [(20_000, 20_000), (13_378, 13_378), (2**31 - 1, 1), (1, 2**30)])
def test_headers_that_claim_too_much(width: int, height: int, tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        assert "pixels" in refused(stored(tmp_path, raw_png(width, height, 8, 2, b"\0" * 1000)))
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def test_pixels_that_go_on_after_the_picture(tmp_path: Path) -> None:
    """A megabyte that unpacks to 256, of which the picture needs fourteen bytes."""
    packer = zlib.compressobj(1)
    zeros = bytes(2**20)
    packed = b"".join(packer.compress(zeros) for _ in range(256)) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 8, 2, 0, 0, 0))
    path = stored(tmp_path, SIGNATURE + header + chunk(b"IDAT", packed) + chunk(b"IEND", b""))
    started = time.monotonic()
    assert not picture.read(path).pixels.any()
    assert time.monotonic() - started < SECONDS


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_texts_that_unpack_to_too_much(kind: bytes, tmp_path: Path) -> None:
    packed = zlib.compress(bytes(2**27), 9)
    body = b"k\0\1\0\0\0" + packed if kind == b"iTXt" else b"k\0\0" + packed
    tracemalloc.start()
    try:
        path = stored(tmp_path, raw_png(1, 1, 8, 2, b"\0\0\0\0", chunk(kind, body)))
        assert refused(path) == "its texts or its colour profile unpack to too much"
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def many_texts() -> Iterator[bytes]:
    for number in range(100):
        yield chunk(b"zTXt", b"k%d\0\0" % number + zlib.compress(b"a" * 1_000_000))


def test_many_texts_that_together_are_too_much(tmp_path: Path) -> None:
    path = stored(tmp_path, raw_png(1, 1, 8, 2, b"\0\0\0\0", *many_texts()))
    assert refused(path) == "its texts or its colour profile unpack to too much"


def gif_of(frames: int, side: int) -> bytes:
    """A GIF that says it is ``side`` pixels wide and high, with frames of one pixel each."""
    screen = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    frame = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return screen + frame * frames + b";"


@pytest.mark.parametrize(("frames", "side"), [(10_000, 2_000), (100_000, 500), (2, 65_535)])
def test_thousands_of_huge_frames(frames: int, side: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "MAX_PIXELS", 20_000_000)  # whose floats a small machine can hold as well
    path = stored(tmp_path, gif_of(frames, side), "a.gif")
    tracemalloc.start()
    started = time.monotonic()
    try:
        with pytest.raises(ValueError, match="pixels"):
            picture.read(path)
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()
    assert time.monotonic() - started < SECONDS


def test_a_multitude_of_tiny_frames(tmp_path: Path) -> None:
    path = stored(tmp_path, gif_of(picture.MAX_FRAMES + 1, 1), "a.gif")
    started = time.monotonic()
    with pytest.raises(ValueError, match="more than 10,000 frames"):
        picture.read(path)
    assert time.monotonic() - started < SECONDS
