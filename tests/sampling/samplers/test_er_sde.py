import numpy as np
import pytest

from onnxflow.sampling import Array, SeededNoise, discrete_sampling, prepare_noise
from onnxflow.sampling.samplers.er_sde import er_sde, extended, reverse_time

SHAPE = (1, 4, 32, 32)


class Gauss:
    """The denoiser of normally distributed latents of deviation 1."""

    model_sampling = discrete_sampling()

    def __call__(self, x: Array, sigma: np.float32) -> Array:
        return x / (np.float32(1) + sigma * sigma)

    def with_uncond(self, x: Array, sigma: np.float32) -> tuple[Array, Array]:
        return self(x, sigma), np.zeros_like(x)


def run(steps: int, **options: object) -> Array:
    sigmas = np.append(np.geomspace(14, 0.05, steps), 0).astype(np.float32)
    x = prepare_noise(SHAPE, 1) * sigmas[0]
    return er_sde(
        Gauss(),
        x,
        sigmas,
        noise=SeededNoise(2, SHAPE),
        on_step=lambda k, n, x, d: None,
        **options,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("scaler", [extended, reverse_time(0.5), reverse_time(1.0)])
def test_every_equation_ends_at_the_latents_it_was_made_for(scaler: object) -> None:
    assert run(60, noise_scaler=scaler).std() == pytest.approx(1, abs=0.06)


def test_a_higher_stage_is_nearer_to_the_solution() -> None:
    exact = prepare_noise(SHAPE, 1) * np.float32(14 / np.sqrt(1 + 14**2))
    errors = [
        float(np.abs(run(12, s_noise=0.0, noise_scaler=reverse_time(0.0), max_stage=stage) - exact).max())
        for stage in (1, 2, 3)
    ]
    assert errors[0] > errors[1]
    assert errors[0] > errors[2]
