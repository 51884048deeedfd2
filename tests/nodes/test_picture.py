import io
import os
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxflow.nodes import picture
from onnxflow.nodes.png import SIGNATURE

RNG = np.random.default_rng(1)
RGB = RNG.integers(0, 256, (4, 6, 3), np.uint8)
RGBA = RNG.integers(0, 256, (4, 6, 4), np.uint8)


def written(folder: Path, image: PIL.Image.Image, name: str = "a.png", **options: Any) -> Path:
    image.save(folder / name, **options)
    return folder / name


def test_rgb(tmp_path: Path) -> None:
    found = picture.read(written(tmp_path, PIL.Image.fromarray(RGB)))
    assert found.mask is None
    assert found.pixels.dtype == np.float32
    assert np.array_equal(found.pixels, RGB[None].astype(np.float32) / np.float32(255))


def test_alpha_becomes_a_mask_and_leaves_the_colours(tmp_path: Path) -> None:
    found = picture.read(written(tmp_path, PIL.Image.fromarray(RGBA)))
    assert np.array_equal(found.pixels, RGBA[None, ..., :3].astype(np.float32) / np.float32(255))
    assert found.mask is not None
    assert found.mask.dtype == np.float32
    assert np.array_equal(found.mask, 1 - RGBA[None, ..., 3].astype(np.float32) / np.float32(255))


def test_grey_grey_with_alpha_and_palette(tmp_path: Path) -> None:
    grey = picture.read(written(tmp_path, PIL.Image.fromarray(RGB[..., 0])))
    assert np.array_equal(grey.pixels, np.repeat(RGB[None, ..., :1], 3, -1).astype(np.float32) / np.float32(255))
    both = picture.read(written(tmp_path, PIL.Image.merge("LA", [PIL.Image.fromarray(RGBA[..., i]) for i in (0, 3)])))
    assert both.mask is not None
    assert np.array_equal(both.mask, 1 - RGBA[None, ..., 3].astype(np.float32) / np.float32(255))
    palette = PIL.Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette([255, 0, 0, 0, 0, 255])
    assert picture.read(written(tmp_path, palette)).mask is None
    found = picture.read(written(tmp_path, palette, transparency=1))
    assert found.mask is not None
    assert found.mask.tolist() == [[[0, 1]]]
    assert found.pixels.tolist() == [[[[1, 0, 0], [0, 0, 1]]]]


def test_sixteen_bits_are_cut_off_at_255_and_32_scaled_by_a_255th(tmp_path: Path) -> None:
    values = np.array([[0, 254, 255, 256, 510, 32768, 65279, 65280, 65535]], np.uint16)
    cut_off = np.array([0, 254, 255, 255, 255, 255, 255, 255, 255], np.float32) / np.float32(255)
    scaled = np.array([0, 0, 1, 1, 2, 128, 255, 255, 255], np.float32) / np.float32(255)
    for name, image, expected in [
        ("short.png", PIL.Image.fromarray(values), cut_off),
        ("short.tiff", PIL.Image.fromarray(values), cut_off),
        ("long.tiff", PIL.Image.fromarray(values.astype(np.int32)), scaled),
    ]:
        path = written(tmp_path, image, name)
        assert np.array_equal(picture.read(path).pixels[0, 0, :, 1], expected), name
        assert np.array_equal(picture.read_channel(path, "red")[0], expected), name
        assert not picture.read_channel(path, "alpha").any()


def test_frames_become_a_batch(tmp_path: Path) -> None:
    frames = [PIL.Image.fromarray(np.roll(RGB, k, 0)) for k in range(3)]
    for name in ("a.webp", "a.png", "a.tiff"):
        options = {"save_all": True, "append_images": frames[1:]} | ({"lossless": True} if "webp" in name else {})
        found = picture.read(written(tmp_path, frames[0], name, **options))
        expected = np.stack([np.asarray(f) for f in frames]).astype(np.float32) / np.float32(255)
        assert np.array_equal(found.pixels, expected), name


def test_frames_of_another_size_are_left_out(tmp_path: Path) -> None:
    frames = [PIL.Image.new("RGB", size, (k, 0, 0)) for k, size in enumerate([(6, 4), (5, 4), (6, 4)])]
    found = picture.read(written(tmp_path, frames[0], "a.tiff", save_all=True, append_images=frames[1:]))
    assert (found.pixels[:, 0, 0, 0] * 255).tolist() == [0, 2]


def test_an_opaque_frame_among_transparent_ones_has_an_empty_mask(tmp_path: Path) -> None:
    frames = [PIL.Image.fromarray(RGB), PIL.Image.fromarray(RGBA)]
    found = picture.read(written(tmp_path, frames[0], "a.tiff", save_all=True, append_images=frames[1:]))
    assert found.mask is not None
    assert found.mask.shape == (2, 4, 6)
    assert not found.mask[0].any()
    assert found.mask[1].any()


def test_only_the_first_picture_of_an_mpo_file(tmp_path: Path) -> None:
    frames = [PIL.Image.fromarray(RGB), PIL.Image.fromarray(RGB)]
    path = written(tmp_path, frames[0], "a.mpo", save_all=True, append_images=frames[1:])
    assert len(picture.read(path).pixels) == 1


def damaged(folder: Path, data: bytes) -> str:
    path = folder / "damaged.png"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r".") as caught:
        picture.read(path)
    return str(caught.value)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.bmp", "a.tiff"])
def test_truncated_files_are_refused(name: str, tmp_path: Path) -> None:
    noise = PIL.Image.fromarray(RNG.integers(0, 256, (64, 64, 3), np.uint8))
    data = written(tmp_path, noise, name).read_bytes()
    for size in (0, 1, 10, len(data) // 2, len(data) - 100):
        assert damaged(tmp_path, data[:size])


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return SIGNATURE + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [13_378, 100_000, 2**31 - 1])
def test_decompression_bombs_are_refused(side: int, tmp_path: Path) -> None:
    assert "pixels" in damaged(tmp_path, png_header(side, side)) or side > 2**30


def test_many_frames_share_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "MAX_PIXELS", 4 * 6 * 2)
    frames = [PIL.Image.fromarray(RGB)] * 3
    path = written(tmp_path, frames[0], "a.tiff", save_all=True, append_images=frames[1:2])
    assert len(picture.read(path).pixels) == 2
    path = written(tmp_path, frames[0], "a.tiff", save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match="more than 48 pixels in 3"):
        picture.read(path)


def test_no_program_is_started_for_postscript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("a program was started")

    path = written(tmp_path, PIL.Image.fromarray(RGB), "a.eps")
    os.rename(path, tmp_path / "a.png")
    for name in ("Popen", "check_call", "run"):
        monkeypatch.setattr(subprocess, name, refuse)
    with pytest.raises(ValueError, match="EPS files are not read"):
        picture.read(tmp_path / "a.png")


@pytest.mark.parametrize(("name", "expected"), [("a.PNG", True), ("a.b.webp", True), ("a.txt", False), ("png", False)])
def test_is_picture(name: str, expected: bool) -> None:
    assert picture.is_picture(name) is expected


def _sample(kind: str) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(RGB).save(file, kind)
    return file.getvalue()


SAMPLES = [_sample(kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "TGA", "PPM", "ICO")]


@given(st.sampled_from(SAMPLES), st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=6))
@settings(max_examples=150, deadline=None)
def test_altered_files_are_read_or_refused(data: bytes, changes: list[tuple[int, int]]) -> None:
    altered = bytearray(data)
    for at, value in changes:
        altered[at % len(altered)] = value
    try:
        found = picture.read(io.BytesIO(bytes(altered)))  # type: ignore[arg-type]  # Pillow reads both
    except (ValueError, MemoryError):
        return
    assert found.pixels.ndim == 4
