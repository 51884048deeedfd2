"""The nodes on pictures against ComfyUI's own results, and beyond them."""

from typing import Any

import numpy as np
import operations
import pytest

from onnxflow.errors import InputError
from onnxflow.nodes import image_batch, image_colour, image_filter, image_layout
from onnxflow.nodes.spec import NodeSpec
from onnxflow.values import Array, Image

ARRAYS = operations.arrays()
IMAGE = Image(ARRAYS["in_img"])
ANGLES = {"none": "none", "90": "90 degrees", "180": "180 degrees", "270": "270 degrees"}
FLIPS = {"x": "x-axis: vertically", "y": "y-axis: horizontally"}


def picture(name: str) -> Image:
    return Image(ARRAYS[f"in_{name}"])


def run(node: NodeSpec, **inputs: Any) -> Array:
    found = node.function(**inputs)
    found = found[0] if isinstance(found, tuple) else found
    assert found.pixels.dtype == np.float32
    return found.pixels


GOLDENS: dict[str, tuple[NodeSpec, dict[str, Any]]] = {
    "ImageInvert": (image_filter.image_invert, {"image": IMAGE}),
    "ImageBatch_resize": (image_batch.image_batch, {"image1": IMAGE, "image2": picture("img_small")}),
    "EmptyImage": (image_colour.empty_image, {"width": 4, "height": 3, "batch_size": 1, "color": 0x1080FF}),
    "ImageCrop": (image_layout.image_crop, {"image": IMAGE, "width": 6, "height": 5, "x": 3, "y": 4}),
    "RepeatImageBatch": (image_batch.repeat_image_batch, {"image": picture("img_batch2"), "amount": 2}),
    "ImageFromBatch": (image_batch.image_from_batch, {"image": picture("img_batch2"), "batch_index": 1, "length": 1}),
    "ImageAddNoise": (image_filter.image_add_noise, {"image": IMAGE, "seed": 5, "strength": 0.3}),
    **{f"ImageRotate_{k}": (image_layout.image_rotate, {"image": IMAGE, "rotation": v}) for k, v in ANGLES.items()},
    **{f"ImageFlip_{k}": (image_layout.image_flip, {"image": IMAGE, "flip_method": v}) for k, v in FLIPS.items()},
}
for key, args in operations.arguments().items():
    if key.startswith("ImageBlur_"):
        GOLDENS[key] = image_filter.image_blur, {"image": IMAGE, **args}
    elif key.startswith("ImageSharpen_"):
        GOLDENS[key] = image_filter.image_sharpen, {"image": IMAGE, **args}
    elif key.startswith("ImageQuantize_"):
        GOLDENS[key] = image_filter.image_quantize, {"image": IMAGE, **args}
    elif key.startswith("ImagePadForOutpaint_") and key.endswith(".image"):
        GOLDENS[key] = image_layout.image_pad_for_outpaint, {"image": IMAGE, **args}


@pytest.mark.parametrize("key", GOLDENS)
def test_as_comfyui(key: str) -> None:
    node, inputs = GOLDENS[key]
    found = run(node, **inputs)
    assert operations.relative_error(found, ARRAYS[key]) <= operations.CLOSE


@pytest.mark.parametrize("key", [k for k in operations.arguments() if k.startswith("ImagePad") and k.endswith(".mask")])
def test_the_mask_of_the_room_as_comfyui(key: str) -> None:
    mask = image_layout.image_pad_for_outpaint.function(image=IMAGE, **operations.arguments()[key])[1].values
    assert operations.relative_error(mask, ARRAYS[key]) <= operations.CLOSE


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (4, 3)])
def test_any_channels_and_sizes(size: tuple[int, int], channels: int) -> None:
    pixels = np.random.default_rng(1).random((2, *size, channels), np.float32)
    image = Image(pixels)
    for operation in ("erode", "dilate", "open", "close", "gradient", "top_hat", "bottom_hat"):
        found = run(image_filter.morphology, image=image, operation=operation, kernel_size=999)
        assert found.shape == pixels.shape
    erosion = run(image_filter.morphology, image=image, operation="erode", kernel_size=999)
    assert np.array_equal(erosion, np.broadcast_to(pixels.min(axis=(1, 2), keepdims=True), pixels.shape))
    assert run(image_filter.image_invert, image=image).shape == pixels.shape
    assert np.array_equal(run(image_layout.image_crop, image=image, width=9, height=9, x=9, y=9), pixels[:, -1:, -1:])
    for direction in ("right", "down", "left", "up"):
        for match in (False, *([True] if min(size) > 1 else [])):  # beside a picture 1 wide or high nothing is left
            found = run(
                image_layout.image_stitch, image1=image, direction=direction, match_image_size=match,
                spacing_width=4, spacing_color="red", image2=IMAGE,
            )  # fmt: skip
            assert len(found) == 2 and found.shape[3] == max(3, channels)


@pytest.mark.parametrize("node", [image_filter.image_blur, image_filter.image_sharpen])
def test_a_radius_beyond_the_picture_is_refused(node: NodeSpec) -> None:
    with pytest.raises(InputError, match="a radius of 1 is too large for pictures of 5x1"):
        node.function(Image(np.zeros((1, 1, 5, 3), np.float32)))


@pytest.mark.parametrize("size", [3, 4, 5, 8])
def test_morphology_is_the_extreme_under_the_square(size: int) -> None:
    pixels = np.random.default_rng(2).random((1, 9, 7, 2), np.float32)
    before, after = size // 2, size - size // 2 - 1
    for operation, extreme, edge in (("erode", np.min, np.inf), ("dilate", np.max, -np.inf)):
        wide = np.pad(pixels, ((0, 0), (before, after), (before, after), (0, 0)), constant_values=edge)
        expected = np.array(
            [[[extreme(wide[0, y : y + size, x : x + size, c]) for c in range(2)] for x in range(7)] for y in range(9)]
        )
        found = run(image_filter.morphology, image=Image(pixels), operation=operation, kernel_size=size)
        assert np.array_equal(found[0], expected)


def test_canny_draws_the_outline_of_a_square() -> None:
    pixels = np.zeros((2, 24, 24, 3), np.float32)
    pixels[:, 7:17, 7:17] = 0.3  # on a step from 0 to 1 two pixels would be equally steep, and neither an edge
    pixels[:, 8:16, 8:16] = 1
    found = run(image_filter.canny_edges, image=Image(pixels), low_threshold=0.4, high_threshold=0.8)
    assert found.shape == pixels.shape and set(np.unique(found)) == {0.0, 1.0}
    assert not found[:, 11:13, 11:13].any() and not found[:, :5].any()
    assert found[0, 12, 6:10, 0].sum() == found[0, 12, 14:18, 0].sum() == 1
    with pytest.raises(InputError, match=r"low_threshold 0\.9 is above high_threshold 0\.2"):
        image_filter.canny_edges.function(Image(pixels), 0.9, 0.2)
    with pytest.raises(InputError, match="has no edges to find"):
        image_filter.canny_edges.function(Image(np.zeros((1, 2, 2, 3), np.float32)))


def test_yuv_and_back() -> None:
    parts = image_colour.image_rgb_to_yuv.function(IMAGE)
    assert all(part.pixels.shape == IMAGE.pixels.shape for part in parts)
    found = run(image_colour.image_yuv_to_rgb, Y=parts[0], U=parts[1], V=parts[2])
    assert np.abs(found - IMAGE.pixels).max() < 2e-3
    with pytest.raises(InputError, match="differ in number or size"):
        image_colour.image_yuv_to_rgb.function(parts[0], parts[1], picture("img_small"))


def test_stitching_keeps_the_pixels_and_fills_the_rest() -> None:
    small = picture("img_small")
    found = run(
        image_layout.image_stitch, image1=IMAGE, direction="left", match_image_size=False,
        spacing_width=3, spacing_color="white", image2=small,
    )  # fmt: skip
    assert found.shape == (1, 13, 9 + 4 + 18, 3)
    assert np.array_equal(found[:, 3:10, :9], small.pixels)
    assert np.array_equal(found[:, :, 13:], IMAGE.pixels)
    assert (found[:, :3, :9] == 1).all() and (found[:, :, 9:13] == 1).all()
    assert image_layout.image_stitch.function(IMAGE) is IMAGE


def test_sizes() -> None:
    assert image_batch.get_image_size.function(picture("img_batch2")) == (18, 13, 2)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("colour", [(1.0, 1.0, 1.0), (0.2, 0.7, 0.4)])
def test_canny_draws_every_side_of_a_square(colour: tuple[float, float, float], turned: bool) -> None:
    pixels = np.zeros((1, 64, 64, 3), np.float32)
    pixels[:, 16:48, :32] = colour
    if turned:
        pixels = np.ascontiguousarray(pixels.transpose(0, 2, 1, 3))
    edges = image_filter.canny_edges.function(Image(pixels), 0.1, 0.2).pixels[0, :, :, 0]
    if turned:
        edges = edges.T
    assert edges[20:44, 30:34].sum(axis=1).min() == 1  # the upright side: one pixel in every row
    assert edges[14:18, 4:28].sum(axis=0).min() >= 1 and edges[46:50, 4:28].sum(axis=0).min() >= 1
