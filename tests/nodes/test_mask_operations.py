"""The nodes on masks, and those that lay pictures over each other, against ComfyUI's own results and beyond them."""

from typing import Any

import numpy as np
import operations
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.errors import InputError
from onnxflow.nodes import composite, mask
from onnxflow.nodes.spec import NodeSpec
from onnxflow.values import Array, Image, Mask

ARRAYS = operations.arrays()
MASK, SMALL = Mask(ARRAYS["in_mask"]), Mask(ARRAYS["in_mask_small"])
IMAGE, IMAGE2, IMAGE_SMALL = (Image(ARRAYS[f"in_img{name}"]) for name in ("", "2", "_small"))
RGBA = Image(ARRAYS["in_img_rgba"])


def run(node: NodeSpec, **inputs: Any) -> Array:
    found = node.function(**inputs)
    found = found[0] if isinstance(found, tuple) else found
    return found.pixels if isinstance(found, Image) else found.values


def _goldens() -> dict[str, tuple[NodeSpec, dict[str, Any]]]:
    over = {"destination": IMAGE, "source": IMAGE_SMALL}
    found: dict[str, tuple[NodeSpec, dict[str, Any]]] = {
        "SolidMask": (mask.solid_mask, {"value": 0.7, "width": 5, "height": 4}),
        "InvertMask": (mask.invert_mask, {"mask": MASK}),
        "MaskToImage": (mask.mask_to_image, {"mask": MASK}),
        "CropMask": (mask.crop_mask, {"mask": MASK, "x": 3, "y": 4, "width": 8, "height": 5}),
        "ThresholdMask_0.5": (mask.threshold_mask, {"mask": MASK, "value": 0.5}),
        "ImageColorToMask": (mask.image_color_to_mask, {"image": Image(ARRAYS["in_img_color"]), "color": 0x1080FF}),
        "ImageCompositeMasked_rgba_onto_rgb": (
            composite.image_composite_masked,
            {"destination": IMAGE, "source": RGBA, "x": 2, "y": 2},
        ),
        "ImageBlend_resize": (
            composite.image_blend,
            {"image1": IMAGE, "image2": IMAGE_SMALL, "blend_factor": 0.5, "blend_mode": "normal"},
        ),
    }
    for key, args in operations.arguments().items():
        if key in found:
            continue
        if key.startswith("ImageToMask_"):
            image = RGBA if args["channel"] == "alpha" else IMAGE
            found[key] = mask.image_to_mask, {"image": image, "channel": args["channel"]}
        elif key.startswith("MaskComposite_"):
            found[key] = mask.mask_composite, {"destination": MASK, "source": SMALL, **args}
        elif key.startswith("FeatherMask_"):
            found[key] = mask.feather_mask, {"mask": MASK, **args}
        elif key.startswith("GrowMask_"):
            given_mask = Mask(ARRAYS[f"in_{args['input']}"])
            rest = {k: v for k, v in args.items() if k != "input"}
            found[key] = mask.grow_mask, {"mask": given_mask, **rest}
        elif key.startswith("ImageCompositeMasked_"):
            cover = {"mask": Mask(ARRAYS[f"in_{args['mask']}"])} if "mask" in args else {}
            found[key] = composite.image_composite_masked, {**over, **args, **cover}
        elif key.startswith("ImageBlend_"):
            blend = {"blend_factor": args["blend_factor"], "blend_mode": args["mode"]}
            found[key] = composite.image_blend, {"image1": IMAGE, "image2": IMAGE2, **blend}
    return found


GOLDENS = _goldens()


def test_all_goldens_are_here() -> None:
    assert len(GOLDENS) == 8 + 4 + 12 + 3 + 16 + 5 + 12


@pytest.mark.parametrize("key", GOLDENS)
def test_as_comfyui(key: str) -> None:
    node, inputs = GOLDENS[key]
    assert operations.relative_error(run(node, **inputs), ARRAYS[key]) <= operations.CLOSE


@given(st.integers(1, 6), st.integers(1, 6), st.integers(-9, 9), st.booleans())
def test_growing_is_the_extreme_of_the_neighbourhood(height: int, width: int, expand: int, tapered: bool) -> None:
    values = np.random.default_rng(height * 7 + width).random((2, height, width), np.float32)
    found = run(mask.grow_mask, mask=Mask(values), expand=expand, tapered_corners=tapered)
    rows, columns = np.arange(height), np.arange(width)
    for y in range(height):
        for x in range(width):
            down, across = np.abs(rows - y)[:, np.newaxis], np.abs(columns - x)
            near = (down + across if tapered else np.maximum(down, across)) <= abs(expand)
            area = values[:, near]
            expected = area.max(axis=1) if expand >= 0 else area.min(axis=1)
            assert np.array_equal(found[:, y, x], expected)


def test_growing_without_end_ends() -> None:
    values = np.zeros((1, 64, 96), np.float32)
    values[0, 5, 7] = 1
    for tapered in (True, False):
        assert (run(mask.grow_mask, mask=Mask(values), expand=16384, tapered_corners=tapered) == 1).all()


def test_masks_that_do_not_fit() -> None:
    two, three = Mask(np.ones((2, 4, 4), np.float32)), Mask(np.ones((3, 4, 4), np.float32))
    with pytest.raises(InputError, match="3 masks cannot be put on 2"):
        run(mask.mask_composite, destination=two, source=three, operation="add")
    one = Mask(np.ones((1, 2, 2), np.float32))
    outside = run(mask.mask_composite, destination=two, source=one, x=9, y=9, operation="subtract")
    assert np.array_equal(outside, two.values)
    with pytest.raises(InputError, match=r"\(9, 0\) lies outside the mask of 4x4"):
        run(mask.crop_mask, mask=two, x=9)
    with pytest.raises(InputError, match="no channel 'alpha': they have 3"):
        run(mask.image_to_mask, image=IMAGE, channel="alpha")


def test_batches_and_masks_of_another_number_are_repeated() -> None:
    below = Image(np.zeros((3, 4, 4, 3), np.float32))
    above = Image(np.ones((2, 2, 2, 3), np.float32) * np.array([1, 2], np.float32)[:, None, None, None])
    found = run(composite.image_composite_masked, destination=below, source=above, x=1, y=1)
    assert found[:, 1, 1, 0].tolist() == [1, 2, 1] and not found[:, 0].any()
    half = run(
        composite.image_composite_masked,
        destination=below,
        source=above,
        mask=Mask(np.full((1, 9, 9), 0.5, np.float32)),
    )
    assert half[:, 0, 0, 0].tolist() == [0.5, 1, 0.5]
    away = run(composite.image_composite_masked, destination=below, source=above, x=50, y=0)
    assert np.array_equal(away, below.pixels)


@pytest.mark.parametrize("mode", composite.OPERATORS)
def test_porter_duff_on_opaque_and_transparent_pictures(mode: str) -> None:
    clear, solid = (Mask(np.full((1, 13, 18), value, np.float32)) for value in (1, 0))

    def lay(above: Mask, below: Mask) -> tuple[Image, Mask]:
        return composite.porter_duff_image_composite.function(IMAGE, above, IMAGE2, below, mode)  # type: ignore[no-any-return]

    image, cover = lay(clear, clear)
    assert not image.pixels.any() and (cover.values == 1).all()
    image, cover = lay(solid, solid)
    one, other = IMAGE.pixels, IMAGE2.pixels
    expected = {
        "ADD": one + other, "CLEAR": one * 0, "DARKEN": np.minimum(one, other), "LIGHTEN": np.maximum(one, other),
        "MULTIPLY": one * other, "SCREEN": 1 - (1 - one) * (1 - other), "XOR": one * 0, "SRC_OUT": one * 0,
        "DST_OUT": one * 0, "DST": other, "DST_ATOP": other, "DST_IN": other, "DST_OVER": other, "SRC": one,
        "SRC_ATOP": one, "SRC_IN": one, "SRC_OVER": one,
        "OVERLAY": np.where(2 * other < 1, 2 * one * other, 1 - 2 * (1 - one) * (1 - other)),
    }  # fmt: skip
    assert np.allclose(image.pixels, np.clip(expected[mode], 0, 1), atol=1e-6)
    assert (cover.values == (1 if mode in {"CLEAR", "XOR", "SRC_OUT", "DST_OUT"} else 0)).all()
    if mode not in {"LIGHTEN", "OVERLAY"}:  # whose formulas count the destination twice there
        image, _ = lay(clear, solid)
        kept = {"ADD", "DARKEN", "DST", "DST_OUT", "DST_OVER", "SCREEN", "SRC_ATOP", "SRC_OVER", "XOR"}
        assert np.allclose(image.pixels, other if mode in kept else 0, atol=1e-6)


def test_porter_duff_takes_the_destinations_size_and_the_smallest_number() -> None:
    image, cover = composite.porter_duff_image_composite.function(IMAGE_SMALL, SMALL, IMAGE, MASK, "SRC_OVER")
    assert image.pixels.shape == IMAGE.pixels.shape and cover.values.shape == MASK.values.shape
    with pytest.raises(InputError, match="the source has 4 channels, the destination 3"):
        composite.porter_duff_image_composite.function(RGBA, SMALL, IMAGE, MASK, "SRC")


def test_opacity_apart_and_back() -> None:
    image, cover = composite.split_image_with_alpha.function(RGBA)
    assert np.array_equal(cover.values, 1 - RGBA.pixels[..., 3]) and image.pixels.shape[3] == 3
    joined = run(composite.join_image_with_alpha, image=image, alpha=cover)
    assert np.allclose(joined, RGBA.pixels, atol=1e-7)
    _, nothing = composite.split_image_with_alpha.function(IMAGE)
    assert not nothing.values.any() and nothing.values.shape == (1, 13, 18)
    assert run(composite.join_image_with_alpha, image=IMAGE, alpha=SMALL).shape == (1, 13, 18, 4)
