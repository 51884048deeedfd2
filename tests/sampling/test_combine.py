"""Rescaled guidance against its formula, written once more in float64."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.errors import InputError
from onnxflow.sampling import Array, rescaled_cfg
from onnxflow.sampling.combine import plain_cfg

SIGMAS = st.floats(0.0625, 15.0, width=32)
SCALES = st.floats(-3.0, 12.0)


def drawn(seed: int, sigma: float, batch: int = 2) -> tuple[Array, Array, Array]:
    """A noised latent and two predictions of the clean one that differ."""
    numbers = np.random.default_rng(seed).standard_normal((4, batch, 4, 6, 5))
    clean, noise, one, other = numbers.astype(np.float32)
    x = clean + np.float32(sigma) * noise
    return x, clean + np.float32(0.3) * one, clean + np.float32(0.3) * other


def by_the_paper(x: Array, sigma: float, cond: Array, uncond: Array, cfg: float, phi: float) -> Array:
    """Lin et al. (2024), eq. 14 to 16, sample by sample."""
    results = []
    for noised, positive, negative in zip(*(a.astype(np.float64) for a in (x, cond, uncond)), strict=True):
        # Salimans & Ho (2022): with a = 1/sqrt(sigma^2+1), s = sigma a and z = a x, v = a noise - s clean.
        a = 1 / math.sqrt(sigma**2 + 1)
        s = sigma * a
        v_positive, v_negative = (a * (noised - clean) / sigma - s * clean for clean in (positive, negative))
        v = v_negative + cfg * (v_positive - v_negative)
        rescaled = v * v_positive.std(ddof=1) / v.std(ddof=1)
        mixed = phi * rescaled + (1 - phi) * v
        results.append(a * (a * noised) - s * mixed)
    return np.array(results)


@given(st.integers(0, 1000), SIGMAS, SCALES, st.floats(0.0, 1.0))
def test_rescaled_guidance_is_that_of_the_paper(seed: int, sigma: float, cfg: float, phi: float) -> None:
    x, cond, uncond = drawn(seed, sigma)
    found = rescaled_cfg(phi)(x, np.float32(sigma), cond, uncond, cfg)
    expected = by_the_paper(x, sigma, cond, uncond, cfg, phi)
    assert found.dtype == np.float32 and found.shape == x.shape
    assert np.abs(found - expected).max() <= 1e-5 * max(1.0, float(np.abs(expected).max()))


@given(st.integers(0, 1000), SIGMAS, SCALES)
def test_multiplier_0_is_plain_guidance(seed: int, sigma: float, cfg: float) -> None:
    x, cond, uncond = drawn(seed, sigma)
    given_arrays = [array.copy() for array in (x, cond, uncond)]
    found = rescaled_cfg(0.0)(x, np.float32(sigma), cond, uncond, cfg)
    plain = plain_cfg(x, np.float32(sigma), cond, uncond, cfg)
    assert np.abs(found - plain).max() <= 1e-5 * max(1.0, float(np.abs(plain).max()))
    assert np.allclose(plain, uncond + cfg * (cond - uncond), atol=1e-5)
    assert all(np.array_equal(a, b) for a, b in zip((x, cond, uncond), given_arrays, strict=True))


def test_a_sample_does_not_depend_on_the_others_of_its_batch() -> None:
    x, cond, uncond = drawn(3, 2.0, batch=3)
    combine = rescaled_cfg(0.7)
    together = combine(x, np.float32(2), cond, uncond, 7.0)
    for k in range(3):
        alone = combine(x[k : k + 1], np.float32(2), cond[k : k + 1], uncond[k : k + 1], 7.0)
        assert np.array_equal(alone, together[k : k + 1])


@pytest.mark.parametrize("multiplier", [math.nan, math.inf])
def test_a_multiplier_that_is_no_number_is_refused(multiplier: float) -> None:
    with pytest.raises(InputError, match="multiplier"):
        rescaled_cfg(multiplier)
