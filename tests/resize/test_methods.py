"""resize equals ComfyUI, and what must hold of each method."""

import tracemalloc
from typing import Any

import numpy as np
import operations
import PIL
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.errors import InputError, MemoryLimitError
from onnxflow.resize import CROPS, METHODS, methods, resize
from onnxflow.values import Array

ARRAYS = operations.arrays()
UPSCALES = {key: args for key, args in operations.arguments().items() if key.startswith("up_")}
# Averages and choices: nothing beyond what was there.
BOUNDED = ("nearest-exact", "bilinear", "area")
side = st.integers(1, 24)


def source(args: dict[str, Any]) -> Array:
    """The input of an ``up_`` result, channels first."""
    if args["input"].startswith("img"):
        return ARRAYS["in_img"].transpose(0, 3, 1, 2)
    if args["input"] == "lat":
        return ARRAYS["in_lat"]
    assert args["input"] == "lat with [...,:3,:3]=0"
    latent = ARRAYS["in_lat"].copy()
    latent[..., :3, :3] = 0
    return latent


def noise(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).random(shape, np.float32)


def test_every_method_and_crop_has_results_to_compare_with() -> None:
    assert len(UPSCALES) == 64
    # The latent's have no crop, the one with zeros neither a method.
    assert {(args["method"], args["crop"]) for args in UPSCALES.values() if "crop" in args} == {
        (method, crop) for method in METHODS for crop in CROPS
    }


@pytest.mark.parametrize("key", UPSCALES)
def test_as_comfyui(key: str) -> None:
    args = UPSCALES[key]
    method = args.get("method", "bislerp")
    if key == "up_img_lanczos_25x11_disabled" and int(PIL.__version__.split(".")[0]) < 13:
        pytest.skip("Pillow before 13 resamples this size otherwise, and ComfyUI with it")
    found = resize(source(args), args["width"], args["height"], method, args.get("crop", "disabled"))
    assert operations.relative_error(found, ARRAYS[key]) <= operations.tolerance(method)


@pytest.mark.parametrize(
    ("method", "crop", "given", "size", "mixed", "expected"),
    [
        # Nodes that bring their second input to the first one's size: what they then do with it is a line here.
        ("bilinear", "center", "img_small", "img", lambda a, b: np.concatenate([a, b]), "ImageBatch_resize"),
        ("bicubic", "center", "img_small", "img", lambda a, b: np.clip(a * 0.5 + b * 0.5, 0, 1), "ImageBlend_resize"),
        ("bilinear", "disabled", "img_small", "img", lambda a, b: b, "ImageCompositeMasked_resize"),
        ("bilinear", "center", "lat_small", "lat", lambda a, b: a + b, "LatentAdd_resized.samples"),
        (
            *("bicubic", "center", "lat_small", "lat"),
            lambda a, b: a * np.float32(0.4) + b * np.float32(0.6),
            "LatentBlend_resize_0.4.samples",
        ),
    ],
)
def test_as_comfyuis_nodes_that_resize_an_input(
    method: str, crop: str, given: str, size: str, mixed: Any, expected: str
) -> None:
    first, second, result = ARRAYS[f"in_{size}"], ARRAYS[f"in_{given}"], ARRAYS[expected]
    if given.startswith("img"):
        first, second, result = (array.transpose(0, 3, 1, 2) for array in (first, second, result))
    height, width = first.shape[2:]
    found = mixed(first, resize(second, width, height, method, crop))
    assert operations.relative_error(found, result) <= operations.CLOSE


def test_as_comfyui_brings_a_mask_to_a_latents_size() -> None:
    found = resize(ARRAYS["in_mask"][:, np.newaxis], 10, 8, "bilinear")
    expected = ARRAYS["reshape_mask_bilinear"]
    assert operations.relative_error(np.broadcast_to(found, expected.shape), expected) <= operations.CLOSE


@pytest.mark.parametrize("method", METHODS)
@given(side, side, side, side, st.sampled_from([0.0, 0.2, 1.0]))
def test_a_constant_stays_constant(method: str, h: int, w: int, to_h: int, to_w: int, value: float) -> None:
    found = resize(np.full((1, 3, h, w), value, np.float32), to_w, to_h, method)
    assert found.shape == (1, 3, to_h, to_w)
    assert found == pytest.approx(np.float32(value), abs=1e-6)


@pytest.mark.parametrize("method", [method for method in METHODS if method != "lanczos"])
@pytest.mark.parametrize("crop", CROPS)
@given(side, side, st.integers(1, 5))
def test_an_equal_size_changes_no_bit(method: str, crop: str, h: int, w: int, channels: int) -> None:
    values = noise(2, channels, h, w)
    values[0, 0, 0, 0] = np.nan
    found = resize(values, w, h, method, crop)
    assert found.tobytes() == values.tobytes()
    assert not np.shares_memory(found, values)


@pytest.mark.parametrize("method", BOUNDED)
@given(side, side, side, side)
def test_values_stay_between_the_smallest_and_the_largest(method: str, h: int, w: int, to_h: int, to_w: int) -> None:
    values = noise(2, 2, h, w)
    found = resize(values, to_w, to_h, method)
    assert values.min() - 1e-6 <= found.min() <= found.max() <= values.max() + 1e-6


@pytest.mark.parametrize("method", METHODS)
@given(side, side, side, side, st.integers(1, 3))
def test_samples_do_not_touch_each_other(method: str, h: int, w: int, to_h: int, to_w: int, channels: int) -> None:
    values = noise(3, channels, h, w)
    alone = np.concatenate([resize(sample[np.newaxis], to_w, to_h, method) for sample in values])
    assert np.array_equal(resize(values, to_w, to_h, method), alone)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("height", "width"), [(700, 300), (90, 700), (37, 1)])
def test_blocks_are_not_seen(method: str, height: int, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # Sizes of several blocks, also where the rows of a block are one.
    values = noise(1, 2, 333, 501)
    found = resize(values, width, height, method)
    for block in (1, 1 << 30):
        monkeypatch.setattr("onnxflow.resize.separable.BLOCK_VALUES", block)
        assert np.array_equal(resize(values, width, height, method), found)


@pytest.mark.parametrize("method", METHODS)
def test_the_layout_in_memory_is_not_seen(method: str) -> None:
    images = noise(2, 30, 40, 3)
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    for width, height in ((25, 70), (70, 25), (40, 25)):
        found = resize(images.transpose(0, 3, 1, 2), width, height, method)
        assert np.array_equal(found, resize(planes, width, height, method))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", [method for method in METHODS if method != "lanczos"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_stays_near(method: str, value: float) -> None:
    values = noise(1, 4, 16, 16)
    values[0, 1, 8, 8] = value
    for size in (8, 32):
        found = resize(values, size, size, method)
        scale = size / 16
        far = np.abs(np.arange(size) - 8 * scale) > 3 * max(1, scale)
        assert np.isfinite(found[:, :, far]).all() and np.isfinite(found[..., far]).all()
        assert np.isfinite(found[0, 1]).sum() < size * size or (method, size) == ("nearest-exact", 8)


@pytest.mark.parametrize("shape", [(1, 4, 0, 8), (0, 4, 8, 8), (4, 8, 8)])
def test_an_array_that_cannot_be_resized_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"shape \[.*expected \[batch, channels, height, width\]"):
        resize(np.zeros(shape, np.float32), 8, 8, "bilinear")


@pytest.mark.parametrize(("width", "height"), [(0, 8), (8, 0), (-1, 8)])
def test_a_size_below_one_is_refused(width: int, height: int) -> None:
    with pytest.raises(InputError, match=f"5x4 to {width}x{height}"):
        resize(noise(1, 1, 4, 5), width, height, "bilinear")


def test_unknown_names_are_refused_with_what_there_is() -> None:
    with pytest.raises(InputError, match=r"'nearest'.*\n.*nearest-exact, bilinear, area, bicubic, bislerp, lanczos"):
        resize(noise(1, 1, 4, 4), 8, 8, "nearest")
    with pytest.raises(InputError, match=r"'middle'.*\n.*disabled, center"):
        resize(noise(1, 1, 4, 4), 8, 8, "area", "middle")


def test_too_much_memory_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> Array:
        raise MemoryError

    monkeypatch.setattr(methods, "METHODS", {"area": full})
    with pytest.raises(MemoryLimitError, match="2 x 3 planes of 7x9"):
        resize(noise(2, 3, 4, 4), 7, 9, "area")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("old", "new"), [(1024, 700), (700, 1024)])
@pytest.mark.parametrize("pictures", [True, False])
def test_little_more_than_the_result_is_held(method: str, old: int, new: int, pictures: bool) -> None:
    values = np.zeros((1, old, old, 3), np.float32).transpose(0, 3, 1, 2)
    values = values if pictures else np.ascontiguousarray(values)
    tracemalloc.start()
    try:
        found = resize(values, new, new, method)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.shape == (1, 3, new, new)
    # 4 times input and output is allowed, the input among it; what Pillow holds, a byte a value, is not counted.
    assert values.nbytes + peak <= 2.5 * (values.nbytes + found.nbytes)
