from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import PIL.Image
import PIL.ImageSequence
import pytest
from numpy.typing import NDArray

from onnxflow.errors import Cancelled, InputError, OutputError
from onnxflow.models.disk import Disk, Folders
from onnxflow.models.store import ModelStore
from onnxflow.nodes import animation, exif, output_files, png, webp
from onnxflow.nodes.context import Context
from onnxflow.nodes.spec import NodeResult, NodeSpec
from onnxflow.pixels.eight_bit import to_bytes
from onnxflow.values import Image

PROMPT = {"9": {"class_type": "SaveAnimatedWEBP", "inputs": {"text": "é日本: a cat"}}}
WORKFLOW = {"nodes": [{"id": 9, "title": "日本"}], "version": 0.4}
FRAMES = Image(np.random.default_rng(0).random((3, 12, 16, 3), np.float32))


@dataclass
class FakeContext:
    disk: Disk
    metadata: bool = True
    record: Mapping[str, Any] = field(default_factory=dict)
    checks: int = 10**9

    def check_cancelled(self) -> None:
        self.checks -= 1
        if self.checks < 0:
            raise Cancelled


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    return FakeContext(Disk(Folders(tmp_path / "input", tmp_path / "output", tmp_path / "temp"), ModelStore()))


def save_webp(ctx: FakeContext, images: Image = FRAMES, **inputs: Any) -> NodeResult:
    return called(animation.save_animated_webp, ctx, images=images, **{"method": "default", **inputs})


def save_png(ctx: FakeContext, images: Image = FRAMES, **inputs: Any) -> NodeResult:
    return called(animation.save_animated_png, ctx, images=images, **inputs)


def called(spec: NodeSpec, ctx: FakeContext, **inputs: Any) -> NodeResult:
    result = spec.function(cast(Context, ctx), **inputs)
    assert isinstance(result, NodeResult)
    return result


def frames_of(path: Path) -> tuple[NDArray[np.uint8], list[int]]:
    """The frames of a file and how long each is shown, in milliseconds."""
    with PIL.Image.open(path) as file:
        found, durations = [], []
        for frame in PIL.ImageSequence.Iterator(file):
            found.append(np.asarray(frame.convert(frame.mode)))
            durations.append(round(frame.info["duration"]))
    return np.stack(found), durations


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(png.SIGNATURE)
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + 8 + length]
        at += 12 + length


@pytest.mark.parametrize("save", [save_webp, save_png])
@pytest.mark.parametrize(("fps", "milliseconds"), [(6.0, 166), (25.0, 40), (0.5, 2000), (1000.0, 1)])
def test_frames_and_times(save: Any, fps: float, milliseconds: int, ctx: FakeContext) -> None:
    (file,) = save(ctx, fps=fps).saved
    found, durations = frames_of(file.path)
    assert np.array_equal(found, to_bytes(FRAMES.pixels))
    assert durations == [milliseconds] * 3


def test_names_and_what_clients_are_told(ctx: FakeContext) -> None:
    names = [save(ctx, filename_prefix="a/%width%x%height%").saved[0] for save in (save_webp, save_png, save_webp)]
    output = ctx.disk.folders.output / "a"
    assert [file.path for file in names] == [
        output / "16x12_00001_.webp",
        output / "16x12_00002_.png",
        output / "16x12_00003_.webp",
    ]
    entry = {"filename": "ComfyUI_00001_.webp", "subfolder": "", "type": "output"}
    assert save_webp(ctx).ui == {"images": [entry], "animated": [True]}


def test_a_single_frame_moves_as_png_only(ctx: FakeContext) -> None:
    one = Image(FRAMES.pixels[:1])
    for save, animated in ((save_webp, False), (save_png, True)):
        result = save(ctx, one)
        assert result.ui["animated"] == [animated]
        with PIL.Image.open(result.saved[0].path) as file:
            assert np.array_equal(np.asarray(file), to_bytes(one.pixels[0]))


@pytest.mark.parametrize(("channels", "mode"), [(1, "RGB"), (3, "RGB"), (4, "RGBA")])
def test_channels(channels: int, mode: str, ctx: FakeContext) -> None:
    pixels = np.random.default_rng(1).random((2, 5, 7, channels), np.float32)
    pixels[..., 3:] = np.maximum(pixels[..., 3:], 0.5)  # WebP keeps no colours where nothing is seen
    found, _ = frames_of(save_webp(ctx, Image(pixels)).saved[0].path)
    assert np.array_equal(found[..., :channels], to_bytes(pixels)), mode
    found, _ = frames_of(save_png(ctx, Image(pixels)).saved[0].path)
    assert np.array_equal(found.reshape(pixels.shape), to_bytes(pixels))


def test_webp_options(ctx: FakeContext) -> None:
    smooth = Image(np.tile(np.linspace(0, 1, 64, dtype=np.float32)[:, None, None], (2, 1, 64, 3)))
    sizes = {
        (lossless, quality): save_webp(ctx, smooth, lossless=lossless, quality=quality).saved[0].path.stat().st_size
        for lossless, quality in ((True, 80), (False, 100), (False, 10))
    }
    assert sizes[False, 10] < sizes[False, 100]
    found, _ = frames_of(save_webp(ctx, FRAMES, lossless=False).saved[0].path)
    assert not np.array_equal(found, to_bytes(FRAMES.pixels))


@pytest.mark.parametrize(("method", "number"), [("default", 4), ("fastest", 0), ("slowest", 6)])
def test_webp_methods(method: str, number: int, ctx: FakeContext, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    encode = webp.encode
    monkeypatch.setattr(webp, "encode", lambda *args, **options: asked.append(options) or encode(*args, **options))
    save_webp(ctx, method=method)
    assert [options["method"] for options in asked] == [number]


@pytest.mark.parametrize("single", [True, False])
def test_the_workflow_is_in_a_webp_file(single: bool, ctx: FakeContext) -> None:
    ctx.record = {"unet": "cpu"}
    images = Image(FRAMES.pixels[:1]) if single else FRAMES
    (file,) = save_webp(ctx, images, prompt=PROMPT, extra_pnginfo={"workflow": WORKFLOW, "note": 1}).saved
    with PIL.Image.open(file.path) as image:
        found = dict(image.getexif())
    assert found == {
        0x0110: f"prompt:{json.dumps(PROMPT)}",
        0x010F: f"workflow:{json.dumps(WORKFLOW)}",
        0x010E: "note:1",
        0x010D: 'onnxflow:{"unet": "cpu"}',
    }


def test_the_workflow_is_in_a_png_file_behind_the_pixels(ctx: FakeContext) -> None:
    (file,) = save_png(ctx, prompt=PROMPT, extra_pnginfo={"workflow": WORKFLOW}).saved
    kinds, bodies = zip(*chunks(file.path.read_bytes()), strict=True)
    assert kinds == (b"IHDR", b"acTL", b"fcTL", b"IDAT", *((b"fcTL", b"fdAT") * 2), b"comf", b"comf", b"IEND")
    assert bodies[-3] == b"prompt\0" + json.dumps(PROMPT).encode()
    assert bodies[-2] == b"workflow\0" + json.dumps(WORKFLOW).encode()


@pytest.mark.parametrize("save", [save_webp, save_png])
def test_no_metadata_when_it_is_off(save: Any, ctx: FakeContext) -> None:
    ctx.metadata = False
    data = save(ctx, prompt=PROMPT, extra_pnginfo={"workflow": WORKFLOW}).saved[0].path.read_bytes()
    assert b"class_type" not in data
    assert b"EXIF" not in data


@pytest.mark.parametrize("save", [save_webp, save_png])
@pytest.mark.parametrize("checks", [0, 1])
def test_a_stopped_run_leaves_nothing(save: Any, checks: int, ctx: FakeContext) -> None:
    ctx.checks = checks
    with pytest.raises(Cancelled):
        save(ctx)
    assert not ctx.disk.folders.output.exists() or not list(ctx.disk.folders.output.iterdir())


@pytest.mark.parametrize("save", [save_webp, save_png])
def test_a_file_that_cannot_be_written_whole_is_not_there(
    save: Any, ctx: FakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(draft: Path, final: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(output_files, "_publish", full)
    with pytest.raises(OutputError, match="No space"):
        save(ctx)
    assert list(ctx.disk.folders.output.iterdir()) == []


@pytest.mark.parametrize("save", [save_webp, save_png])
def test_what_is_no_picture(save: Any, ctx: FakeContext) -> None:
    for pixels in (np.zeros((0, 4, 4, 3)), np.zeros((1, 4, 4, 2)), np.full((2, 4, 4, 3), np.nan)):
        with pytest.raises(InputError):
            save(ctx, Image(pixels))
    with pytest.raises(OutputError, match="leads out"):
        save(ctx, filename_prefix="../x")
    assert not ctx.disk.folders.output.exists()


def test_pictures_too_large_for_webp(ctx: FakeContext) -> None:
    with pytest.raises(InputError, match="16384 x 1 pixels"):
        save_webp(ctx, Image(np.zeros((2, 1, 16384, 3), np.float32)))


def test_equal_frames_only_lengthen_a_png(ctx: FakeContext) -> None:
    still = Image(np.concatenate([np.repeat(FRAMES.pixels[:1], 4, 0), FRAMES.pixels[1:2]]))
    found, durations = frames_of(save_png(ctx, still, fps=10.0).saved[0].path)
    assert len(found) == 2
    assert durations == [400, 100]


def test_frames_of_a_minute_are_written_or_refused(ctx: FakeContext) -> None:
    try:
        (file,) = save_png(ctx, fps=0.01).saved
    except OutputError as error:
        assert "more frames per second" in error.hint  # Pillow 11
    else:
        assert frames_of(file.path)[1] == [100_000] * 3


def test_keys_that_a_file_cannot_hold(ctx: FakeContext) -> None:
    with pytest.raises(OutputError, match="PNG keyword"):
        save_png(ctx, extra_pnginfo={"鍵": 1})
    many = {f"k{n}": n for n in range(271)}
    (file,) = save_webp(ctx, extra_pnginfo=many).saved
    assert file.path.stat().st_size > 0
    with pytest.raises(OutputError, match="more than a WebP file can carry"):
        save_webp(ctx, extra_pnginfo={**many, "one": "more"})


def test_exif_of_short_and_long_texts() -> None:
    assert exif.encode({}) == b""
    data = exif.encode({"workflow": "{}", "prompt": "[1]", "é": "", "a": "b"})
    found = PIL.Image.Exif()
    found.load(b"Exif\0\0" + data)
    assert found[0x0110] == "prompt:[1]"
    assert found[0x010F] == "workflow:{}"
    assert found[0x010D] == "a:b"
    assert "é:".encode() in data
