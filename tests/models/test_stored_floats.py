"""Every number of the three kinds, against what its bits mean by definition."""

import math
import struct

import numpy as np
import pytest

from onnxflow.models.stored_floats import WIDENED


def e4m3(bits: int) -> float:
    """Sign, four bits of exponent with a bias of 7, three of fraction; all ones is NaN (OCP FP8, E4M3)."""
    sign, exponent, fraction = (-1.0 if bits & 128 else 1.0), bits >> 3 & 15, bits & 7
    if exponent == 15 and fraction == 7:
        return math.nan
    return sign * (fraction / 8 * 2.0**-6 if exponent == 0 else (1 + fraction / 8) * 2.0 ** (exponent - 7))


def e5m2(bits: int) -> float:
    """Sign, five bits of exponent with a bias of 15, two of fraction; the largest exponent is infinity or NaN."""
    sign, exponent, fraction = (-1.0 if bits & 128 else 1.0), bits >> 2 & 31, bits & 3
    if exponent == 31:
        return math.nan if fraction else sign * math.inf
    return sign * (fraction / 4 * 2.0**-14 if exponent == 0 else (1 + fraction / 4) * 2.0 ** (exponent - 15))


def test_all_numbers_of_eight_bits() -> None:
    for kind, defined in (("F8_E4M3", e4m3), ("F8_E5M2", e5m2)):
        found = WIDENED[kind](np.arange(256, dtype=np.uint8))
        wanted = [struct.pack("<f", defined(bits)) for bits in range(256)]
        assert found.dtype == np.float32
        for bits in range(256):
            if math.isnan(defined(bits)):
                assert math.isnan(found[bits])
            else:
                assert found[bits].tobytes() == wanted[bits], (kind, bits)  # by bits: zero has a sign


def test_the_limits_that_the_formats_state() -> None:
    four, five = (WIDENED[kind](np.arange(256, dtype=np.uint8)) for kind in ("F8_E4M3", "F8_E5M2"))
    assert np.nanmax(four) == 448 and np.isnan(four).sum() == 2 and not np.isinf(four).any()
    assert four[np.abs(four) > 0].min(initial=1, where=four[np.abs(four) > 0] > 0) == 2.0**-9
    assert np.isnan(five).sum() == 6 and np.isinf(five).sum() == 2
    assert five[np.isfinite(five)].max() == 57_344 and five[1] == 2.0**-16


def test_all_numbers_of_sixteen_bits() -> None:
    bits = np.arange(65_536, dtype=np.uint16)
    found = WIDENED["BF16"](bits)
    wanted = struct.unpack("<65536f", b"".join(struct.pack("<HH", 0, number) for number in range(65_536)))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array(wanted, np.float32))
    assert np.array_equal(np.signbit(found), bits >= 32_768)
    assert np.array_equal(found.view(np.uint32) >> 16, bits)  # NaN keeps what it carries


@pytest.mark.parametrize(("kind", "code"), [("BF16", np.uint16), ("F8_E4M3", np.uint8), ("F8_E5M2", np.uint8)])
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (2, 3, 4)])
def test_shapes_are_kept(kind: str, code: type, shape: tuple[int, ...]) -> None:
    found = WIDENED[kind](np.zeros(shape, code))
    assert isinstance(found, np.ndarray) and found.shape == shape and found.dtype == np.float32
