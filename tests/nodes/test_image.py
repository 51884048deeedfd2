import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import PIL.Image
import pytest
from operations import arrays

from onnxflow.errors import Cancelled, InputError, OutputError
from onnxflow.models.disk import Disk, Folders
from onnxflow.models.store import ModelStore
from onnxflow.nodes import image, latent_file, png
from onnxflow.nodes.context import Context
from onnxflow.nodes.spec import NodeResult, NodeSpec
from onnxflow.values import Image, Mask

PROMPT = {"9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "text": "é日本"}, "_meta": {"title": "Save"}}}
WORKFLOW = {"nodes": [{"id": 9, "type": "SaveImage"}], "version": 0.4}


@dataclass
class FakeContext:
    disk: Disk
    metadata: bool = True
    record: Mapping[str, Any] = field(default_factory=dict)
    cancelled: bool = False

    def check_cancelled(self) -> None:
        if self.cancelled:
            raise Cancelled


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    (tmp_path / "input").mkdir()
    return FakeContext(Disk(Folders(tmp_path / "input", tmp_path / "output", tmp_path / "temp"), ModelStore()))


def call(spec: NodeSpec, ctx: FakeContext, **inputs: Any) -> Any:
    return spec.function(cast(Context, ctx), **inputs)


def picture(*values: float, channels: int = 3, batch: int = 1) -> Image:
    """``batch`` equal pictures, one pixel high, of pixels whose channels all have one value."""
    row = np.array(values, np.float32)[None, None, :, None]
    return Image(np.tile(row, (batch, 1, 1, channels)))


def texts(path: Path) -> Mapping[str, str]:
    return png.read_texts(path.read_bytes())


# SaveImage


def test_saves_by_cutting_off_not_by_rounding(ctx: FakeContext) -> None:
    values = [-1.0, 0.0, 0.0039, 0.00393, 0.5, 0.9999, 1.0, 1.7]
    result: NodeResult = call(image.save_image, ctx, images=picture(*values))
    expected = [0, 0, 0, 1, 127, 254, 255, 255]
    (saved,) = result.saved
    assert saved.array is not None
    assert saved.array.dtype == np.uint8
    assert saved.array[0, :, 1].tolist() == expected
    with PIL.Image.open(ctx.disk.folders.output / "ComfyUI_00001_.png") as file:
        assert file.mode == "RGB"
        assert np.array_equal(np.asarray(file), saved.array)


def test_names_ui_and_values(ctx: FakeContext) -> None:
    result = call(image.save_image, ctx, images=picture(0.5, 0.5, batch=2), filename_prefix="a/%width%x%height%_b")
    assert [file.path for file in result.saved] == [
        ctx.disk.folders.output / "a" / "2x1_b_00001_.png",
        ctx.disk.folders.output / "a" / "2x1_b_00002_.png",
    ]
    assert all(file.path.is_file() for file in result.saved)
    assert result.ui == {
        "images": [
            {"filename": "2x1_b_00001_.png", "subfolder": "a", "type": "output"},
            {"filename": "2x1_b_00002_.png", "subfolder": "a", "type": "output"},
        ]
    }
    assert result.values == ()


def test_the_workflow_is_in_the_file(ctx: FakeContext) -> None:
    result = call(
        image.save_image, ctx, images=picture(0.5), prompt=PROMPT, extra_pnginfo={"workflow": WORKFLOW, "note": "x"}
    )
    found = texts(result.saved[0].path)
    assert found["prompt"] == (
        '{"9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "text": "\\u00e9\\u65e5\\u672c"}, '
        '"_meta": {"title": "Save"}}}'
    )
    assert list(found) == ["prompt", "workflow", "note"]
    assert json.loads(found["workflow"]) == WORKFLOW
    assert found["note"] == '"x"'


def test_no_metadata_when_it_is_off_or_there_is_none(ctx: FakeContext) -> None:
    assert texts(call(image.save_image, ctx, images=picture(0.5)).saved[0].path) == {}
    ctx.metadata = False
    result = call(image.save_image, ctx, images=picture(0.5), prompt=PROMPT, extra_pnginfo={"workflow": WORKFLOW})
    assert texts(result.saved[0].path) == {}


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_channels(channels: int, mode: str, ctx: FakeContext) -> None:
    result = call(image.save_image, ctx, images=picture(0.0, 1.0, channels=channels))
    with PIL.Image.open(result.saved[0].path) as file:
        assert file.mode == mode
        assert np.asarray(file).reshape(-1).tolist() == [0] * channels + [255] * channels


def test_nan_and_infinity_are_refused_with_their_share(ctx: FakeContext) -> None:
    for bad in (float("nan"), float("inf"), float("-inf")):
        with pytest.raises(InputError, match=r"25\.0% of the image's values are NaN or infinite") as caught:
            call(image.save_image, ctx, images=picture(0.1, bad, 0.2, 0.3))
        assert "32-bit" in caught.value.hint
    assert not ctx.disk.folders.output.exists()


@pytest.mark.parametrize("shape", [(0, 2, 2, 3), (1, 0, 2, 3), (1, 2, 2, 2), (1, 2, 2, 0), (1, 2, 2, 5)])
def test_shapes_that_are_no_picture(shape: tuple[int, ...], ctx: FakeContext) -> None:
    with pytest.raises(InputError, match=r"cannot write images of shape \["):
        call(image.save_image, ctx, images=Image(np.zeros(shape, np.float32)))
    assert not ctx.disk.folders.output.exists()


@pytest.mark.parametrize("prefix", ["../x", "/tmp/x", "C:\\x", "a\0"])
def test_a_prefix_that_leaves_the_output_folder(prefix: str, ctx: FakeContext, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="the file name prefix"):
        call(image.save_image, ctx, images=picture(0.5), filename_prefix=prefix)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["input"]


@pytest.mark.parametrize("spec", [image.save_image, latent_file.save_latent], ids=lambda spec: spec.name)
def test_where_files_go_is_checked_before_anything_is_made(spec: NodeSpec, ctx: FakeContext, tmp_path: Path) -> None:
    assert spec.validate is not None and spec.validated == ("filename_prefix",)
    for fine in ("ComfyUI", "a/%width%", "", None):
        assert spec.validate(ctx.disk, filename_prefix=fine) is None
    assert "such as 'ComfyUI'" in spec.validate(ctx.disk, filename_prefix="../x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["input"]
    ctx.disk.folders.output.write_bytes(b"")
    for prefix in ("ComfyUI", None):
        assert "is a file, not a folder" in spec.validate(ctx.disk, filename_prefix=prefix)


def test_metadata_that_cannot_be_written(ctx: FakeContext) -> None:
    deep: Any = None
    for _ in range(100_000):
        deep = [deep]
    for prompt, extra, match in [
        ({"a": object()}, None, "'prompt' cannot be written"),
        ({"a": deep}, None, "'prompt' cannot be written"),
        (PROMPT, ["workflow"], "extra_pnginfo is a list"),
        (PROMPT, {"鍵": 1}, "PNG keyword"),
    ]:
        with pytest.raises(OutputError, match=match):
            call(image.save_image, ctx, images=picture(0.5), prompt=prompt, extra_pnginfo=extra)
    assert not ctx.disk.folders.output.exists() or not list(ctx.disk.folders.output.iterdir())
    while deep:  # taken apart by hand, or freeing it would recurse
        deep = deep.pop()


def test_cancelling_stops_before_the_next_picture(ctx: FakeContext) -> None:
    ctx.cancelled = True
    with pytest.raises(Cancelled):
        call(image.save_image, ctx, images=picture(0.5))
    assert list(ctx.disk.folders.output.iterdir()) == []


def test_saved_arrays_are_read_only(ctx: FakeContext) -> None:
    (saved,) = call(image.save_image, ctx, images=picture(0.5)).saved
    with pytest.raises(ValueError, match="read-only"):
        saved.array[0] = 1


# PreviewImage


def test_preview(ctx: FakeContext) -> None:
    noise = Image(np.random.default_rng(0).random((2, 40, 40, 3), np.float32))
    result = call(image.preview_image, ctx, images=noise, prompt=PROMPT)
    names = [file.filename for file in result.saved]
    letters = names[0].split("_")[2]
    assert len(letters) == 5
    assert letters.isalpha()
    assert letters.islower()
    assert names == [f"ComfyUI_temp_{letters}_0000{k}_.png" for k in (1, 2)]
    assert [file.path.parent for file in result.saved] == [ctx.disk.folders.temp] * 2
    assert result.ui["images"][0] == {"filename": names[0], "subfolder": "", "type": "temp"}
    assert json.loads(texts(result.saved[0].path)["prompt"]) == PROMPT
    assert not ctx.disk.folders.output.exists()


def test_preview_is_compressed_less(ctx: FakeContext) -> None:
    # zlib's level shows in the two bits FLEVEL (RFC 1950, 2.2) of the stream's second byte: 0 fastest, 1 fast.
    smooth = Image(np.tile(np.linspace(0, 1, 64, dtype=np.float32)[None, :, None, None], (1, 1, 64, 3)))
    levels = []
    for spec in (image.preview_image, image.save_image):
        data = call(spec, ctx, images=smooth).saved[0].path.read_bytes()
        levels.append(data[data.index(b"IDAT") + 5] >> 6)
    assert levels == [0, 1]


# LoadImage


def write(ctx: FakeContext, pixels: Any, name: str = "a.png") -> None:
    path = ctx.disk.folders.input / name
    path.parent.mkdir(exist_ok=True)
    PIL.Image.fromarray(np.array(pixels, np.uint8)).save(path)


def test_load_without_alpha(ctx: FakeContext) -> None:
    write(ctx, [[[0, 127, 255], [51, 0, 0]]])
    found, mask = call(image.load_image, ctx, image="a.png")
    assert isinstance(found, Image)
    assert isinstance(mask, Mask)
    assert found.pixels.tolist() == [[[[0, float(np.float32(127 / 255)), 1], [float(np.float32(0.2)), 0, 0]]]]
    assert mask.values.shape == (1, 64, 64)
    assert not mask.values.any()


def test_load_with_alpha_from_a_subfolder(ctx: FakeContext) -> None:
    write(ctx, [[[1, 2, 3, 255], [1, 2, 3, 0], [1, 2, 3, 51]]], "sub/a.png")
    found, mask = call(image.load_image, ctx, image="sub/a.png")
    assert found.pixels.shape == (1, 1, 3, 3)
    assert mask.values.tolist() == [[[0, 1, float(np.float32(1) - np.float32(0.2))]]]


def test_what_was_saved_can_be_loaded(ctx: FakeContext) -> None:
    saved = call(image.save_image, ctx, images=picture(0.0, 0.3, 1.0, channels=4)).saved[0]
    found, mask = call(image.load_image, ctx, image=f"{saved.filename} [output]")
    assert found.pixels[0, 0, :, 0].tolist() == [0, float(np.float32(76) / np.float32(255)), 1]
    assert mask.values[0, 0].tolist() == [1, float(np.float32(1) - np.float32(76) / np.float32(255)), 0]


def test_damaged_and_missing_files_are_input_errors(ctx: FakeContext) -> None:
    write(ctx, np.random.default_rng(0).integers(0, 255, (50, 50, 3)))
    path = ctx.disk.folders.input / "a.png"
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError, match=r"cannot read 'a\.png'") as caught:
        call(image.load_image, ctx, image="a.png")
    assert caught.value.where == str(path)
    assert "truncated" in caught.value.message
    with pytest.raises(InputError, match=r"there is no file 'b\.png'"):
        call(image.load_image, ctx, image="b.png")
    with pytest.raises(InputError, match="leads out of the folder"):
        call(image.load_image, ctx, image="../a.png")


def test_validate(ctx: FakeContext) -> None:
    validate = image.load_image.validate
    assert validate is not None
    write(ctx, [[[0, 0, 0]]], "castle.png")
    assert validate(ctx.disk, image="castle.png") is None
    assert validate(ctx.disk, image=None) is None
    reason = validate(ctx.disk, image="castel.png")
    assert reason is not None
    assert reason.startswith("Invalid image file: castel.png (")
    assert "did you mean 'castle.png'" in reason
    for name in ("../x.png", "/x.png", "x\0.png", ""):
        reason = validate(ctx.disk, image=name)
        assert reason is not None
        assert reason.startswith("Invalid image file: ")
        assert "\n" not in reason


def test_fingerprint_follows_the_contents(ctx: FakeContext) -> None:
    fingerprint = image.load_image.fingerprint
    assert fingerprint is not None
    write(ctx, [[[0, 0, 0]]])
    first = fingerprint(ctx.disk, image="a.png")
    assert first == fingerprint(ctx.disk, image="a.png")
    write(ctx, [[[1, 0, 0]]])
    assert fingerprint(ctx.disk, image="a.png") != first


# LoadImageOutput


def test_load_from_outputs(ctx: FakeContext) -> None:
    saved = call(image.save_image, ctx, images=picture(0.0, 1.0)).saved[0]
    write(ctx, [[[7, 7, 7]]], saved.filename)
    for name, expected in ((f"{saved.filename} [output]", [0, 1]), (saved.filename, [float(np.float32(7 / 255))])):
        assert call(image.load_image_output, ctx, image=name)[0].pixels[0, 0, :, 0].tolist() == expected
        assert image.load_image_output.validate is not None
        assert image.load_image_output.validate(ctx.disk, image=name) is None
    assert image.load_image_output.describe(ctx.disk)["input"]["required"]["image"][0] == "COMBO"


# LoadImageMask


@pytest.mark.parametrize("channel", ["alpha", "red", "green", "blue"])
def test_one_channel_of_every_kind_of_file(channel: str, ctx: FakeContext) -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (5, 7, 4), np.uint8)
    write(ctx, rgba, "rgba.png")
    write(ctx, rgba[..., :3], "rgb.png")
    write(ctx, rgba[..., 0], "grey.png")
    at = ["red", "green", "blue", "alpha"].index(channel)
    unit = rgba.astype(np.float32) / np.float32(255)
    nothing = np.zeros((5, 7), np.float32)
    expected = {
        "rgba.png": 1 - unit[..., 3] if channel == "alpha" else unit[..., at],
        "rgb.png": nothing if channel == "alpha" else unit[..., at],
        "grey.png": nothing if channel == "alpha" else unit[..., 0],
    }
    for name, values in expected.items():
        found = call(image.load_image_mask, ctx, image=name, channel=channel)
        assert isinstance(found, Mask)
        assert np.array_equal(found.values, values[np.newaxis]), name


def test_a_mask_file_that_is_damaged_or_missing(ctx: FakeContext) -> None:
    (ctx.disk.folders.input / "a.png").write_bytes(b"no picture")
    for name, match in (("a.png", "damaged or not a picture"), ("b.png", "no file"), ("../a.png", "leads out")):
        with pytest.raises(InputError, match=match):
            call(image.load_image_mask, ctx, image=name, channel="red")
    validate, fingerprint = image.load_image_mask.validate, image.load_image_mask.fingerprint
    assert validate is not None and fingerprint is not None
    assert validate(ctx.disk, image="a.png") is None
    assert "Invalid image file: b.png" in (validate(ctx.disk, image="b.png") or "")
    assert fingerprint(ctx.disk, image="a.png") == image.load_image.fingerprint(ctx.disk, image="a.png")  # type: ignore[misc]


@pytest.mark.parametrize(
    "spec", [image.load_image, image.load_image_output, image.load_image_mask], ids=lambda s: s.name
)
def test_links_out_of_the_folder_are_not_followed(spec: NodeSpec, ctx: FakeContext, tmp_path: Path) -> None:
    PIL.Image.new("RGB", (1, 1)).save(tmp_path / "secret.png")
    (ctx.disk.folders.input / "link.png").symlink_to(tmp_path / "secret.png")
    (ctx.disk.folders.input / "folder").symlink_to(tmp_path)
    channel = {"channel": "red"} if spec is image.load_image_mask else {}
    for name in (
        "link.png",
        "folder/secret.png",
        "../secret.png",
        "../secret.png [output]",
        str(tmp_path / "secret.png"),
    ):
        with pytest.raises(InputError, match=r"leads out of the folder|is an absolute path"):
            call(spec, ctx, image=name, **channel)
        assert spec.validate is not None
        assert "Invalid image file" in (spec.validate(ctx.disk, image=name) or "")


# MaskPreview


def test_mask_preview(ctx: FakeContext) -> None:
    mask = Mask(np.array([[[0, 0.5, 1.7]], [[1, 0, -1]]], np.float32))
    result = call(image.mask_preview, ctx, mask=mask, prompt=PROMPT)
    assert [file.path.parent for file in result.saved] == [ctx.disk.folders.temp] * 2
    assert result.ui == {"images": [file.as_ui() for file in result.saved]}
    assert {file.type for file in result.saved} == {"temp"}
    for file, row in zip(result.saved, [[0, 127, 255], [255, 0, 0]], strict=True):
        with PIL.Image.open(file.path) as found:
            assert found.mode == "RGB"
            assert np.array_equal(np.asarray(found)[0], np.repeat(np.array(row)[:, None], 3, 1))
    assert json.loads(texts(result.saved[0].path)["prompt"]) == PROMPT


def test_masks_that_cannot_be_shown(ctx: FakeContext) -> None:
    for values in (np.zeros((0, 4, 4)), np.full((1, 2, 2), np.nan)):
        with pytest.raises(InputError):
            call(image.mask_preview, ctx, mask=Mask(values))
    assert not ctx.disk.folders.temp.exists()


# ComfyUI's results


@pytest.mark.parametrize(
    ("name", "source"), [("rgba", "rgba_u8"), ("rgb", "rgb_u8"), ("gray", "gray_u8"), ("i16", "i16")]
)
def test_loaded_as_by_comfyui(name: str, source: str, ctx: FakeContext) -> None:
    PIL.Image.fromarray(arrays()[f"in_png_{source}"]).save(ctx.disk.folders.input / "a.png")
    found, mask = call(image.load_image, ctx, image="a.png")
    assert np.array_equal(found.pixels, arrays()[f"LoadImage_{name}.image"])
    assert np.array_equal(mask.values, arrays()[f"LoadImage_{name}.mask"])


@pytest.mark.parametrize("channel", ["alpha", "red"])
def test_loaded_as_a_mask_as_by_comfyui(channel: str, ctx: FakeContext) -> None:
    write(ctx, arrays()["in_png_rgba_u8"])
    found = call(image.load_image_mask, ctx, image="a.png", channel=channel)
    assert np.array_equal(found.values, arrays()[f"LoadImageMask_rgba_{channel}"])


def test_saved_as_by_comfyui(ctx: FakeContext) -> None:
    values = arrays()["in_save_values"]
    saved = call(image.save_image, ctx, images=Image(values[..., np.newaxis, np.newaxis]))
    assert np.array_equal(saved.saved[0].array[..., 0, 0], arrays()["SaveImage_u8"][0])
