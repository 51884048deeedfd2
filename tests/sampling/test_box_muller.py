import hashlib
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from onnxflow.sampling import Array, box_muller


def exact_fma(
    y: NDArray[np.float64], factor: NDArray[np.float64] | float, addend: NDArray[np.float64] | float, narrow: Array
) -> None:
    """y = float32(y * factor + addend) with one rounding: the sum is rounded to odd first (Boldo & Melquiond 2008)."""
    product = y * factor
    total = product + addend
    virtual = total - product
    error = (product - (total - virtual)) + (addend - virtual)
    bits = total.copy().view(np.int64)
    fix = (error != 0) & (bits & 1 == 0)
    bits += np.where(fix, np.where((error > 0) == (total > 0), 1, -1), 0)
    narrow[...] = bits.view(np.float64)
    y[...] = narrow


def round_fraction(value: Fraction) -> np.float32:
    """The float32 nearest to a fraction, ties to even, by trying the neighbours of an approximation."""
    near = np.float32(float(value))
    candidates = [near, np.nextafter(near, np.float32(np.inf)), np.nextafter(near, np.float32(-np.inf))]
    return min(candidates, key=lambda c: (abs(Fraction(float(c)) - value), int(c.view(np.int32)) & 1))


_FLOATS = st.floats(-4, 4, width=32).filter(lambda v: v == 0 or abs(v) > 1e-6)


@given(_FLOATS, _FLOATS, _FLOATS)
def test_the_exact_multiply_add_rounds_once(a: float, b: float, c: float) -> None:
    got, narrow = np.array([a]), np.empty(1, np.float32)
    exact_fma(got, np.array([b]), c, narrow)
    assert got[0] == narrow[0] == round_fraction(Fraction(a) * Fraction(b) + Fraction(c))


def log_sin_cos(x: Array, angle: Array) -> list[Array]:
    """The module's logarithm of x, sine and cosine of the angle."""
    work = box_muller.Work(2 * len(x))
    log, sine, cosine = x.copy(), np.empty_like(x), np.empty_like(x)
    box_muller.log_uniform(log, work)
    box_muller.sin_cos(angle.copy(), sine, cosine, work)
    return [log, sine, cosine]


def values(start: int, count: int) -> list[Array]:
    """Logarithm, sine and cosine for the uniforms of ``count`` words from ``start`` on."""
    uniform = np.arange(start, start + count, dtype=np.uint32).astype(np.float32) * np.float32(2.0**-24)
    return log_sin_cos(np.float32(1) - uniform, np.float32(6.2831855) * uniform)


def digest(start: int, stop: int) -> str:
    """SHA-256 of ``values`` over a range of words."""
    state = hashlib.sha256()
    for part in range(start, stop, 1 << 14):
        for array in values(part, 1 << 14):
            state.update(array.astype("<f4").tobytes())
    return state.hexdigest()


def test_every_uniform_there_is_gives_the_value_of_an_exact_fused_multiply_add() -> None:
    # The digest was made with exact_fma in place of _fma, which the next test does for a part of the range.
    assert digest(0, 1 << 24) == "4837135423b6eddaa57ab0a4a316d8920edad94a8de89e19cbccfad7407bf02e"


@pytest.mark.parametrize("start", [0, 0x550000, 0xFC0000])
def test_an_exact_fused_multiply_add_changes_nothing(start: int, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = digest(start, start + (1 << 18))
    monkeypatch.setattr(box_muller, "_fma", exact_fma)
    assert digest(start, start + (1 << 18)) == fast


def test_logarithm_sine_and_cosine_are_those_of_the_c_library_to_float32_accuracy() -> None:
    uniform = np.arange(0, 1 << 24, 97, dtype=np.uint32).astype(np.float32) * np.float32(2.0**-24)
    x, angle = np.float32(1) - uniform, np.float32(6.2831855) * uniform
    log, sine, cosine = log_sin_cos(x, angle)
    assert np.abs(log - np.log(x.astype(np.float64))).max() < 2e-6
    assert np.abs(sine - np.sin(angle.astype(np.float64))).max() < 1.5e-7
    assert np.abs(cosine - np.cos(angle.astype(np.float64))).max() < 1.5e-7


def normals(uniforms: NDArray[np.uint32], work: box_muller.Work) -> Array:
    """The normals of some blocks of uniforms."""
    out = np.empty(len(uniforms), np.float32)
    box_muller.box_muller(uniforms, out, work)
    return out


def test_blocks_do_not_depend_on_those_beside_them_nor_on_earlier_work() -> None:
    uniforms = np.random.default_rng(0).integers(0, 1 << 24, 16 * 110, dtype=np.uint32)
    work = box_muller.Work(box_muller.CHUNK)
    together = normals(uniforms, work)
    one_by_one = [normals(block, work) for block in uniforms.reshape(-1, 16)]
    assert np.array_equal(together, np.concatenate(one_by_one))
    assert np.array_equal(together, normals(uniforms, box_muller.Work(len(uniforms))))


def test_there_is_no_negative_zero() -> None:
    zero_radius = normals(np.zeros(16, np.uint32), box_muller.Work(16))
    assert np.array_equal(zero_radius.view(np.int32), np.zeros(16, np.int32))
