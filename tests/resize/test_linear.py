import numpy as np
import pytest

from onnxflow.resize import resize


def test_enlarging_is_linear_inside_and_flat_at_the_edge() -> None:
    values = np.array([0, 1], np.float32).reshape(1, 1, 1, 2)
    assert resize(values, 8, 1, "bilinear")[0, 0, 0] == pytest.approx([0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1])


def test_an_eighth_takes_the_four_pixels_at_the_centre() -> None:
    # No antialiasing: the other sixty pixels of 8x8 do not count.
    values = np.random.default_rng(0).random((1, 1, 64, 64), np.float32)
    expected = values.reshape(8, 8, 8, 8)[:, 3:5, :, 3:5].mean(axis=(1, 3))
    assert resize(values, 8, 8, "bilinear")[0, 0] == pytest.approx(expected, abs=1e-6)
