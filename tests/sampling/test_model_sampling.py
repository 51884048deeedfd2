from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.errors import InputError
from onnxflow.sampling import ModelSampling, discrete_sampling, flow_sampling
from onnxflow.sampling.levels import DiscreteLevels

Samplings = dict[str, ModelSampling]
Distance = Callable[[Any, Any], int]


def test_the_tables_of_noise_levels_are_equal(
    golden: Callable[[str], Any],
    model_samplings: Samplings,
    ulp_distance: Distance,
) -> None:
    arrays = golden("sigmas").arrays
    for name in ("sd15_eps", "sdxl_v_zsnr", "flow_shift1", "flow_shift3"):
        levels = model_samplings[name].levels
        assert ulp_distance(levels.sigmas, arrays[f"table_{name}"]) == 0
        if isinstance(levels, DiscreteLevels):
            assert ulp_distance(levels.log_sigmas, arrays[f"logtable_{name}"]) <= 1
        assert not levels.sigmas.flags.writeable


def test_timesteps_and_sigmas_map_as_in_the_goldens(
    golden: Callable[[str], Any],
    model_samplings: Samplings,
    ulp_distance: Distance,
) -> None:
    facts = golden("sigmas").facts
    for name, model_sampling in model_samplings.items():
        levels = model_sampling.levels
        timesteps = [levels.timestep(np.float32(s)) for s in facts["timestep_of_sigma_inputs"]]
        assert np.array_equal(timesteps, np.float32(facts["timestep_of_sigma"][name]))
        sigmas = [levels.sigma(np.float32(t)) for t in facts["sigma_of_timestep_inputs"]]
        assert ulp_distance(sigmas, facts["sigma_of_timestep"][name]) <= 2


def test_percentages_map_as_in_the_goldens(golden: Callable[[str], Any], model_samplings: Samplings) -> None:
    for name, expected in golden("sigmas").facts["percent_to_sigma"].items():
        for percent, sigma in expected.items():
            assert model_samplings[name].levels.percent_to_sigma(float(percent)) == pytest.approx(sigma, rel=1e-7)


def test_the_start_of_the_normal_schedule_counts_as_all_noise(model_samplings: Samplings) -> None:
    eps = model_samplings["sd15_eps"]
    assert float(eps.sigma_max) > 14.61464024
    assert eps.is_max_denoise(np.float32(14.61464024))
    assert eps.is_max_denoise(np.float32(20))
    assert not eps.is_max_denoise(np.float32(14.6140))


@given(st.floats(0.03125, 14, width=32), st.floats(-3, 3, width=32), st.floats(-3, 3, width=32))
def test_every_prediction_recovers_the_latent_from_a_perfect_output(sigma: float, clean: float, unit: float) -> None:
    s = np.float32(sigma)
    latent, noise = np.full((1, 1, 1, 1), clean, np.float32), np.full((1, 1, 1, 1), unit, np.float32)
    variance = sigma * sigma + 1
    perfect = {
        "epsilon": noise,
        # v = alpha eps - sigma_vp latent, with alpha = 1 / sqrt(sigma^2 + 1)
        "v_prediction": ((noise - latent * s) / np.sqrt(np.float32(variance))).astype(np.float32),
    }
    for name, output in perfect.items():
        prediction = discrete_sampling(name).prediction
        x = prediction.noise_scaling(s, noise, latent)
        assert prediction.denoised(output, x, s) == pytest.approx(latent, abs=1e-5 * (1 + sigma))
        # The input has unit variance when latent and noise have.
        assert prediction.scale_input(x, s) == pytest.approx(x / np.sqrt(variance), rel=1e-6)
    flow = flow_sampling().prediction
    share = np.float32(sigma / 15)
    x = flow.noise_scaling(share, noise, latent)
    assert flow.denoised(noise - latent, x, share) == pytest.approx(latent, abs=1e-5)


def test_inverse_noise_scaling_is_identity_at_the_end() -> None:
    x = np.ones((1, 4, 2, 2), np.float32)
    for model_sampling in (discrete_sampling(), flow_sampling()):
        assert np.array_equal(model_sampling.prediction.inverse_noise_scaling(np.float32(0), x), x)
    assert np.allclose(flow_sampling().prediction.inverse_noise_scaling(np.float32(0.5), x), 2 * x)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"prediction": "epsilom"}, "epsilon"),
        ({"schedule": "scaled_linaer"}, "scaled_linear"),
        ({"beta_start": 0.0}, "beta_start"),
        ({"beta_start": 0.5, "beta_end": 0.1}, "beta_end"),
        ({"beta_end": float("nan")}, "nan"),
        ({"timesteps": 1}, "1 timesteps"),
    ],
)
def test_constants_that_describe_nothing_are_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        discrete_sampling(**options)


@pytest.mark.parametrize("shift", [0.0, -1.0, float("nan"), float("inf")])
def test_a_bad_shift_is_refused(shift: float) -> None:
    with pytest.raises(InputError, match="shift"):
        flow_sampling(shift)
