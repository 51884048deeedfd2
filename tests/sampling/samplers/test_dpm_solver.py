from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from onnxflow.errors import InputError
from onnxflow.sampling import Array, ModelSampling, SeededNoise, discrete_sampling, prepare_noise
from onnxflow.sampling.samplers.dpm_solver import dpm_adaptive, dpm_fast

SHAPE = (1, 4, 4, 4)
SIGMAS = np.array([10, 5, 1, 0.1, 0], np.float32)


class Gauss:
    """The denoiser of normally distributed latents of deviation 1, for which the solution is known."""

    model_sampling: ModelSampling = discrete_sampling()

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x: Array, sigma: np.float32) -> Array:
        self.calls += 1
        return x / (np.float32(1) + sigma * sigma)

    def with_uncond(self, x: Array, sigma: np.float32) -> tuple[Array, Array]:
        return self(x, sigma), np.zeros_like(x)


def solved(x: Array, start: float, end: float) -> Array:
    exact: Array = x * np.float32(np.sqrt((1 + end**2) / (1 + start**2)))
    return exact


def run(sampler: Callable[..., Array], sigmas: Array = SIGMAS, **options: Any) -> tuple[Array, Gauss, list[int]]:
    gauss, seen = Gauss(), []
    x = prepare_noise(SHAPE, 1) * sigmas[0]
    noise = SeededNoise(2, SHAPE)
    result = sampler(gauss, x, sigmas, noise=noise, on_step=lambda k, n, x, d: seen.append(k), **options)
    return result, gauss, seen


@pytest.mark.parametrize("order", [2, 3])
def test_the_adaptive_sampler_solves_the_equation_within_its_tolerance(order: int) -> None:
    x = prepare_noise(SHAPE, 1) * SIGMAS[0]
    loose, few, _ = run(dpm_adaptive, order=order)
    tight, many, seen = run(dpm_adaptive, order=order, rtol=0.001, atol=0.0001)
    exact = solved(x, 10, 0.1)
    assert np.abs(tight - exact).max() < 5e-3
    assert np.abs(tight - exact).max() < np.abs(loose - exact).max()
    assert many.calls > few.calls
    assert seen == list(range(len(seen)))


def test_it_also_goes_up_but_not_with_noise() -> None:
    up = np.array([0.1, 1, 10], np.float32)
    x = prepare_noise(SHAPE, 1) * up[0]
    result, _, _ = run(dpm_adaptive, up, rtol=0.001, atol=0.0001)
    assert np.allclose(result, solved(x, 0.1, 10), rtol=1e-2)
    with pytest.raises(InputError, match="rise"):
        run(dpm_adaptive, up, eta=1.0)


def test_noise_is_put_back_with_eta() -> None:
    calm, _, _ = run(dpm_adaptive)
    noisy, _, _ = run(dpm_adaptive, eta=1.0)
    again, _, _ = run(dpm_adaptive, eta=1.0)
    assert np.array_equal(noisy, again)
    assert np.abs(noisy - calm).max() > 0.1
    assert 0.5 < noisy.std() < 2  # still a latent of about deviation 1


@pytest.mark.parametrize(
    "options",
    [
        {"rtol": 0.0, "atol": 0.0},
        {"accept_safety": 100.0},
        {"h_init": 0.0},
        {"rtol": 1e-9, "atol": 1e-9, "pcoeff": 100.0, "dcoeff": 100.0},
    ],
)
def test_tolerances_that_accept_no_step_are_an_error_and_no_endless_loop(options: dict[str, float]) -> None:
    with pytest.raises(InputError, match="accepts no step"):
        run(dpm_adaptive, **options)


@pytest.mark.parametrize("steps", range(1, 10))
def test_the_fast_sampler_makes_as_many_calls_as_steps(steps: int) -> None:
    sigmas = np.append(np.geomspace(10, 0.1, steps), 0).astype(np.float32)
    x = prepare_noise(SHAPE, 1) * sigmas[0]
    result, gauss, _ = run(dpm_fast, sigmas)
    assert gauss.calls == steps
    if steps > 5:
        assert np.allclose(result, solved(x, 10, float(sigmas[-2])), rtol=0.1)
