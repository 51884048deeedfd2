import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.resize import resize
from onnxflow.resize.bislerp import slerp
from onnxflow.values import Array


def vector(*values: float) -> Array:
    return np.array(values, np.float32).reshape(-1, 1, 1)


def at(share: float, first: Array, second: Array) -> list[float]:
    found: list[float] = slerp(first, second, np.full((1, 1, 1), share, np.float32)).ravel().tolist()
    return found


def test_directions_turn_and_lengths_grow_evenly() -> None:
    half = np.sqrt(0.5)
    assert at(0.5, vector(1, 0), vector(0, 1)) == pytest.approx([half, half])
    assert at(0.5, vector(2, 0), vector(0, 4)) == pytest.approx([3 * half, 3 * half])
    assert at(1 / 3, vector(1, 0, 0), vector(0, 0, 1)) == pytest.approx([np.sqrt(0.75), 0, 0.5])


def test_opposite_vectors_meet_on_the_straight_line() -> None:
    assert at(0.25, vector(1, 1), vector(-1, -1)) == pytest.approx([0.5, 0.5])


def test_of_parallel_vectors_the_first_is_taken() -> None:
    # As ComfyUI does: the golden up_img_bislerp_25x11_disabled has such a pair, and is 1% off with a straight line.
    assert at(0.75, vector(1, 2), vector(3, 6)) == [1, 2]
    assert at(0.75, vector(1, 2), vector(3, 6.001)) == [1, 2]


def test_a_vector_of_zeros_adds_nothing() -> None:
    assert at(0.5, vector(0, 0), vector(0, 0)) == [0, 0]
    assert at(0.5, vector(0, 0), vector(0, 4)) == pytest.approx([0, 2 * np.sin(np.pi / 4)])


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 20), st.integers(1, 20), st.integers(1, 5))
def test_no_vector_is_longer_than_the_longest(h: int, w: int, to_h: int, to_w: int, channels: int) -> None:
    values = np.random.default_rng(h * w).standard_normal((1, channels, h, w)).astype(np.float32)
    found = resize(values, to_w, to_h, "bislerp")
    longest = np.linalg.norm(values, axis=1).max()
    assert np.linalg.norm(found, axis=1).max() <= longest * (1 + 1e-5)
