import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from operations import arrays as goldens

from onnxflow.pixels import eight_bit
from onnxflow.pixels.eight_bit import to_bytes, to_unit


def test_bytes_are_comfyuis() -> None:
    values, expected = goldens()["in_save_values"], goldens()["SaveImage_u8"]
    found = to_bytes(values)
    assert found.dtype == np.uint8
    assert np.array_equal(found, expected)


def test_every_byte_is_divided() -> None:
    every = np.arange(256, dtype=np.uint8)
    found = to_unit(every.reshape(16, 16))
    assert found.dtype == np.float32
    assert np.array_equal(found.reshape(-1), every.astype(np.float32) / np.float32(255))


@given(
    arrays.arrays(
        np.float32,
        arrays.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=6),
        elements=st.floats(-2, 2, width=32),
    )
)
def test_blocks_do_not_show(pixels: np.ndarray) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(eight_bit, "_BLOCK", 5)
        found = to_bytes(pixels)
    assert np.array_equal(found, np.clip(np.float32(255) * pixels, 0, 255).astype(np.uint8))


def test_views_that_are_not_contiguous() -> None:
    pixels = np.random.default_rng(0).random((3, 40, 50), np.float32)
    assert np.array_equal(to_bytes(pixels.transpose(2, 1, 0)), to_bytes(pixels).transpose(2, 1, 0))
    grey = np.broadcast_to(pixels[0, :, :, np.newaxis], (40, 50, 3))
    assert np.array_equal(to_bytes(grey)[..., 2], to_bytes(pixels[0]))
