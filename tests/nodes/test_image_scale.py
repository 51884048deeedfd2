from typing import Any

import numpy as np
import operations
import pytest

from onnxflow.errors import InputError
from onnxflow.nodes.image_scale import (
    image_scale,
    image_scale_by,
    image_scale_to_max_dimension,
    image_scale_to_total_pixels,
    resize_and_pad_image,
)
from onnxflow.values import Array, Image

ARRAYS = operations.arrays()
IMAGE = Image(ARRAYS["in_img"])


def named(prefix: str) -> list[tuple[str, dict[str, Any]]]:
    found = [(key, args) for key, args in operations.arguments().items() if key.startswith(prefix)]
    assert found
    return found


@pytest.mark.parametrize(("key", "args"), named("ImageScale_"))
def test_image_scale_as_comfyui(key: str, args: dict[str, Any]) -> None:
    found = image_scale.function(
        image=IMAGE,
        upscale_method=args["method"],
        width=args["width"],
        height=args["height"],
        crop=args["crop"],
    )
    assert operations.relative_error(found.pixels, ARRAYS[key]) <= operations.CLOSE


@pytest.mark.parametrize(("key", "args"), named("ImageScaleBy_"))
def test_image_scale_by_as_comfyui(key: str, args: dict[str, Any]) -> None:
    found = image_scale_by.function(image=IMAGE, upscale_method=args["method"], scale_by=args["scale_by"])
    assert operations.relative_error(found.pixels, ARRAYS[key]) <= operations.CLOSE


@pytest.mark.parametrize(("key", "args"), named("ImageScaleToTotalPixels_"))
def test_image_scale_to_total_pixels_as_comfyui(key: str, args: dict[str, Any]) -> None:
    found = image_scale_to_total_pixels.function(
        image=Image(ARRAYS[f"in_{args['input']}"]), upscale_method=args["method"], megapixels=args["megapixels"]
    )
    assert operations.relative_error(found.pixels, ARRAYS[key]) <= operations.tolerance(args["method"])


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("method", image_scale.by_name["upscale_method"].choices or ())
def test_every_method_takes_batches_and_any_channels(method: str, channels: int) -> None:
    given = Image(np.full((2, 6, 8, channels), 1, np.float32))
    found = image_scale.function(image=given, upscale_method=method, width=3, height=9, crop="center")
    assert found.pixels.shape == (2, 9, 3, channels)
    assert found.pixels == pytest.approx(1)
    assert not found.pixels.flags.writeable


def test_without_a_size_the_image_is_the_same() -> None:
    assert image_scale.function(image=IMAGE, upscale_method="lanczos", width=0, height=0, crop="center") is IMAGE


def test_a_side_of_0_comes_to_a_pixel_at_least() -> None:
    thin = Image(np.zeros((1, 1, 100, 3), np.float32))
    found = image_scale.function(image=thin, upscale_method="area", width=10, height=0, crop="disabled")
    assert found.pixels.shape == (1, 1, 10, 3)


def test_a_scale_that_leaves_no_pixel_is_refused() -> None:
    with pytest.raises(InputError, match="18x13 to 0x0: a side is less than 1\n  try: ask for a larger"):
        image_scale_by.function(image=IMAGE, upscale_method="bilinear", scale_by=0.01)
    thin = Image(np.zeros((1, 1, 100000, 3), np.float32))
    with pytest.raises(InputError, match="100000x1 to 32381x0"):
        image_scale_to_total_pixels.function(image=thin, upscale_method="bilinear", megapixels=0.01)


@pytest.mark.parametrize("shape", [(0, 8, 8, 3), (1, 0, 8, 3), (1, 8, 0, 3)])
def test_an_empty_image_is_refused(shape: tuple[int, ...]) -> None:
    empty: Array = np.zeros(shape, np.float32)
    for width, height in ((0, 8), (8, 0), (8, 8)):
        with pytest.raises(InputError, match="the image is empty"):
            image_scale.function(image=Image(empty), upscale_method="area", width=width, height=height, crop="disabled")
    for node in (image_scale_by, image_scale_to_total_pixels):
        with pytest.raises(InputError, match="the image is empty"):
            node.function(image=Image(empty), upscale_method="area")


def test_nan_passes_through() -> None:
    pixels = np.array(IMAGE.pixels)
    pixels[0, 3, 3, 1] = np.nan
    for method in ("nearest-exact", "bilinear", "area", "bicubic"):
        found = image_scale_by.function(image=Image(pixels), upscale_method=method, scale_by=2.0)
        assert np.isnan(found.pixels[..., 1]).any()
        assert np.isfinite(found.pixels[..., (0, 2)]).all()
    assert np.isfinite(
        image_scale_by.function(image=Image(pixels), upscale_method="lanczos", scale_by=2.0).pixels
    ).all()


def test_the_longer_side_is_what_is_asked_for() -> None:
    turned = Image(IMAGE.pixels.transpose(0, 2, 1, 3))
    for image, size in ((IMAGE, (36, 50)), (turned, (50, 36)), (Image(IMAGE.pixels[:, :, :13]), (50, 50))):
        found = image_scale_to_max_dimension.function(image, "bilinear", 50)
        assert found.pixels.shape[1:3] == size
    expected = image_scale.function(image=IMAGE, upscale_method="area", width=9, height=6, crop="disabled")
    assert np.array_equal(image_scale_to_max_dimension.function(IMAGE, "area", 9).pixels, expected.pixels)
    with pytest.raises(InputError, match="a side is less than 1"):
        image_scale_to_max_dimension.function(IMAGE, "area", 0)


@pytest.mark.parametrize(("colour", "value"), [("white", 1), ("black", 0)])
def test_padding_to_a_size(colour: str, value: int) -> None:
    found = resize_and_pad_image.function(
        image=IMAGE, target_width=21, target_height=18, padding_color=colour, interpolation="bilinear"
    ).pixels
    inner = image_scale.function(image=IMAGE, upscale_method="bilinear", width=21, height=15, crop="disabled").pixels
    assert found.shape == (1, 18, 21, 3)
    assert np.array_equal(found[:, 1:16], inner)
    assert (found[:, :1] == value).all() and (found[:, 16:] == value).all()
