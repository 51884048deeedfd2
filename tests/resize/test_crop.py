import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.errors import InputError
from onnxflow.resize.crop import cropped
from onnxflow.values import Array


def grid(height: int, width: int) -> Array:
    """Each pixel its own number."""
    return np.arange(height * width, dtype=np.float32).reshape(1, 1, height, width)


@pytest.mark.parametrize(
    ("old", "new", "rows", "columns"),
    [
        ((13, 18), (11, 25), slice(3, 10), slice(0, 18)),  # 18 * 11 / 25 = 7.92: 2.54 rows on each side, so 3
        ((8, 8), (8, 4), slice(0, 8), slice(2, 6)),
        ((8, 8), (4, 8), slice(2, 6), slice(0, 8)),
        ((10, 10), (9, 10), slice(0, 10), slice(0, 10)),  # half a row a side: to the even number, 0
        ((10, 10), (7, 10), slice(2, 8), slice(0, 10)),  # one and a half: 2
        ((10, 20), (100, 200), slice(0, 10), slice(0, 20)),
    ],
)
def test_the_middle_in_the_new_proportions(
    old: tuple[int, int], new: tuple[int, int], rows: slice, columns: slice
) -> None:
    values = grid(*old)
    assert np.array_equal(cropped(values, new[1], new[0]), values[:, :, rows, columns])


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 60), st.integers(1, 60))
def test_one_axis_is_kept_and_the_other_cut_evenly(h: int, w: int, to_h: int, to_w: int) -> None:
    try:
        height, width = cropped(grid(h, w), to_w, to_h).shape[2:]
    except InputError:
        assert min(w * to_h / to_w, h * to_w / to_h) <= 1.01  # less than a row or a column would do
        return
    assert height == h or width == w
    assert (h - height) % 2 == 0 and (w - width) % 2 == 0
    if height != h:
        assert abs(height - w * to_h / to_w) <= 1 + 1e-9
    if width != w:
        assert abs(width - h * to_w / to_h) <= 1 + 1e-9


def test_a_crop_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="1000x1 to the proportions of 1x1000 leaves nothing"):
        cropped(grid(1, 1000), 1, 1000)
