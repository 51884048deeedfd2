import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.resize import cubic, resize


@given(st.integers(1, 500), st.integers(1, 500))
def test_weights_add_up_to_one(old: int, new: int) -> None:
    assert cubic.taps(old, new).weights.sum(axis=0) == pytest.approx(1.0, abs=2e-7)


def test_halfway_between_two_pixels() -> None:
    # Keys' kernel at distances 1.5, 0.5, 0.5, 1.5 for a = -3/4: -3/32, 19/32, 19/32, -3/32; pixels are not averaged.
    values = np.array([1, 2, 4, 8, 16, 32], np.float32).reshape(1, 1, 1, 6)
    expected = (-3 * 2 + 19 * 4 + 19 * 8 - 3 * 16) / 32
    assert resize(values, 3, 1, "bicubic")[0, 0, 0, 1] == pytest.approx(expected)


def test_edges_overshoot() -> None:
    values = np.array([0, 0, 1, 1], np.float32).reshape(1, 1, 1, 4)
    found = resize(values, 16, 1, "bicubic")
    assert found.min() < -0.05 and found.max() > 1.05
