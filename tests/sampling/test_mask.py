from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.errors import InputError
from onnxflow.sampling.mask import latent_mask


def test_halving_averages_pairs() -> None:
    mask = np.random.default_rng(0).random((1, 16, 24), np.float32)
    expected = mask.reshape(1, 8, 2, 12, 2).mean(axis=(2, 4))
    assert latent_mask(mask, (1, 4, 8, 12))[:, 0] == pytest.approx(expected, abs=1e-6)


def test_an_eighth_takes_the_four_pixels_at_the_centre() -> None:
    # No antialiasing: the other sixty pixels of a latent's 8x8 do not count.
    mask = np.random.default_rng(0).random((1, 64, 64), np.float32)
    expected = mask.reshape(1, 8, 8, 8, 8)[:, :, 3:5, :, 3:5].mean(axis=(2, 4))
    assert latent_mask(mask, (1, 4, 8, 8))[:, 0] == pytest.approx(expected, abs=1e-6)


def test_enlarging_is_linear_inside_and_flat_at_the_edge() -> None:
    mask = np.array([[[0, 1]]], np.float32)
    got = latent_mask(mask, (1, 4, 1, 8))[0, 0, 0]
    assert got == pytest.approx([0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1])


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 20), st.integers(1, 20))
def test_values_stay_between_the_smallest_and_the_largest(h: int, w: int, to_h: int, to_w: int) -> None:
    mask = np.random.default_rng(h * 20 + w).random((1, h, w), np.float32)
    got = latent_mask(mask, (2, 4, to_h, to_w))
    assert got.shape == (2, 1, to_h, to_w)
    assert mask.min() - 1e-6 <= got.min() <= got.max() <= mask.max() + 1e-6


def test_masks_are_repeated_and_cut_to_the_batch() -> None:
    masks = np.arange(3, dtype=np.float32).reshape(3, 1, 1) * np.ones((3, 4, 4), np.float32)
    assert latent_mask(masks, (5, 4, 4, 4))[:, 0, 0, 0].tolist() == [0, 1, 2, 0, 1]
    assert latent_mask(masks, (2, 4, 4, 4))[:, 0, 0, 0].tolist() == [0, 1]
    assert np.array_equal(latent_mask(masks[:, np.newaxis], (3, 4, 4, 4))[:, 0], masks)


@pytest.mark.parametrize("mask", [np.ones((4, 4)), np.ones((0, 4, 4)), np.full((1, 4, 4), np.nan)])
def test_a_mask_that_cannot_be_used_is_refused(mask: Any) -> None:
    with pytest.raises(InputError, match="mask"):
        latent_mask(mask, (1, 4, 8, 8))
