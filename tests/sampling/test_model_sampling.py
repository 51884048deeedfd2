import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.errors import InputError
from onnxflow.sampling import Array, ModelSampling, discrete_sampling, flow_sampling
from onnxflow.sampling.levels import ABOVE_ALL_SIGMAS, DiscreteLevels
from onnxflow.sampling.model_sampling import continuous_sampling, flux_sampling

Samplings = dict[str, ModelSampling]
Distance = Callable[[Any, Any], int]

CONTINUOUS = ("eps", "v_prediction", "edm", "cosmos_rflow", "angle")
KINDS: Samplings = {
    **{name: discrete_sampling(name) for name in ("eps", "v_prediction", "x0", "img_to_img", "lcm")},
    **{f"continuous {name}": continuous_sampling(name, sigma_max=120.0, sigma_min=0.002) for name in CONTINUOUS},
    "flow": flow_sampling(3.0),
    "flux": flux_sampling(1.15),
}


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
    assert facts["timestep_of_sigma"].keys() == facts["sigma_of_timestep"].keys() == model_samplings.keys()
    for name, model_sampling in model_samplings.items():
        levels = model_sampling.levels
        timesteps = [levels.timestep(np.float32(s)) for s in facts["timestep_of_sigma_inputs"]]
        assert np.array_equal(timesteps, np.float32(facts["timestep_of_sigma"][name]))
        sigmas = [levels.sigma(np.float32(t)) for t in facts["sigma_of_timestep_inputs"]]
        assert ulp_distance(sigmas, facts["sigma_of_timestep"][name]) <= 2


def test_percentages_map_as_in_the_goldens(
    golden: Callable[[str], Any], model_samplings: Samplings, ulp_distance: Distance
) -> None:
    facts = golden("sigmas").facts["percent_to_sigma"]
    assert facts.keys() == model_samplings.keys()
    for name, expected in facts.items():
        got = [model_samplings[name].levels.percent_to_sigma(float(percent)) for percent in expected]
        assert ulp_distance(got, list(expected.values())) <= 2, name


def test_the_start_of_the_normal_schedule_counts_as_all_noise(model_samplings: Samplings) -> None:
    eps = model_samplings["sd15_eps"]
    assert float(eps.sigma_max) > 14.61464024
    assert eps.is_max_denoise(np.float32(14.61464024))
    assert eps.is_max_denoise(np.float32(20))
    assert not eps.is_max_denoise(np.float32(14.6140))


def _perfect(name: str, s: float, clean: Array, noise: Array, timestep: float) -> Array:
    """What a network that knew the noise would give, in float64: Karras et al. (2022), eq. 7, solved for F."""
    x, variance = clean + s * noise, s * s + 1
    perfect: dict[str, Callable[[], Array]] = {
        "eps": lambda: noise,
        "v_prediction": lambda: (noise - s * clean) / math.sqrt(variance),
        "x0": lambda: clean,
        "img_to_img": lambda: clean,
        "edm": lambda: (clean - x * 0.25 / (s * s + 0.25)) * math.sqrt(s * s + 0.25) / (0.5 * s),
        # x / (s + 1) is (1 - r) clean + r noise with r = s / (s + 1), and the network gives the way from one to other.
        "cosmos_rflow": lambda: noise - clean,
        "angle": lambda: (noise - s * clean) / math.sqrt(variance),
        # Not the noise: the boundary coefficients mix x with what the network says the clean latent is.
        "lcm": lambda: (x - _lcm_clean(clean, x, timestep)) / s,
        "flow": lambda: noise - clean,
        "flux": lambda: noise - clean,
    }
    return perfect[name]()


def _lcm_clean(clean: Array, x: Array, timestep: float) -> Array:
    variance = (10 * timestep) ** 2 + 0.25
    return (clean - 0.25 / variance * x) * math.sqrt(variance) / (10 * timestep)


@given(
    st.sampled_from(sorted(KINDS)), st.floats(0.03125, 14, width=32), st.floats(-3, 3, width=32),
    st.floats(-3, 3, width=32),
)  # fmt: skip
def test_every_prediction_recovers_the_latent_from_a_perfect_output(
    name: str, level: float, clean: float, unit: float
) -> None:
    prediction = KINDS[name].prediction
    s = np.float32(level / 15) if prediction.is_flow else np.float32(level)
    latent, noise = np.full((1, 1, 1, 1), clean, np.float32), np.full((1, 1, 1, 1), unit, np.float32)
    timestep = float(KINDS[name].levels.timestep(s))
    output = _perfect(
        name.removeprefix("continuous "), float(s), latent.astype(np.float64), noise.astype(np.float64), timestep
    ).astype(np.float32)
    x = prediction.noise_scaling(s, noise, latent)
    found = prediction.denoised(output, x, s)
    assert found.dtype == x.dtype == np.float32
    assert found == pytest.approx(latent, abs=1e-5 * (1 + level))


@pytest.mark.parametrize("name", sorted(KINDS))
def test_the_input_and_the_noise_are_scaled_as_the_network_was_trained(name: str) -> None:
    prediction, s = KINDS[name].prediction, np.float32(2.5 if not KINDS[name].prediction.is_flow else 0.25)
    x, noise = np.full((1, 1, 1, 2), 3.0, np.float32), np.full((1, 1, 1, 2), -1.5, np.float32)
    deviation = math.sqrt(2.5**2 + (0.25 if name == "continuous edm" else 1))
    scaled = {"img_to_img": 3.0, "flow": 3.0, "flux": 3.0, "continuous cosmos_rflow": 3.0 / 3.5}
    assert prediction.scale_input(x, s) == pytest.approx(np.full_like(x, scaled.get(name, 3.0 / deviation)), rel=1e-6)
    noisy = 0.25 * -1.5 + 0.75 * 3.0 if prediction.is_flow else 2.5 * -1.5 + 3.0
    assert prediction.noise_scaling(s, noise, x) == pytest.approx(np.full_like(x, noisy), rel=1e-6)
    if not prediction.is_flow and name != "continuous cosmos_rflow":
        noisy = math.sqrt(1 + 2.5**2) * -1.5 + 3.0  # latent and noise are no longer told apart
    assert prediction.noise_scaling(s, noise, x, max_denoise=True) == pytest.approx(np.full_like(x, noisy), rel=1e-6)
    restored = prediction.inverse_noise_scaling(s, x)
    assert restored == pytest.approx(x / 0.75 if prediction.is_flow else x, rel=1e-6)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_levels_and_timesteps_are_each_others_inverse(name: str) -> None:
    levels = KINDS[name].levels
    assert levels.sigmas.dtype == np.float32
    assert not levels.sigmas.flags.writeable
    assert (np.diff(levels.sigmas) > 0).all()
    for sigma in levels.sigmas[:: len(levels.sigmas) // 50]:
        timestep = levels.timestep(sigma)
        assert type(timestep) is np.float32
        if name in ("flow", "flux"):
            # Told the level itself: the time before the shift comes back from the closed form of its inverse.
            factor, top = (3.0, 1000.0) if name == "flow" else (math.exp(1.15), 1.0)
            time = top / (1 + factor * (1 / float(sigma) - 1))
            assert timestep == pytest.approx(float(sigma) * top, rel=1e-6)
            assert levels.sigma(np.float32(time)) == pytest.approx(float(sigma), rel=1e-5)
        else:
            # tan loses where the angle nears the right one: a unit in its last place is 1e-5 of the level at 100.
            assert levels.sigma(timestep) == pytest.approx(float(sigma), rel=3e-5 if "angle" in name else 3e-6)


def test_lcm_knows_every_twentieth_timestep() -> None:
    levels, trained = KINDS["lcm"].levels, KINDS["eps"].levels
    assert np.array_equal(levels.sigmas, [trained.sigmas[20 * k + 19] for k in range(50)])
    assert [levels.timestep(s) for s in levels.sigmas] == [20 * k + 19 for k in range(50)]
    between = math.sqrt(float(trained.sigmas[499]) * float(trained.sigmas[519]))
    assert levels.sigma(np.float32(509)) == pytest.approx(between, rel=1e-6)
    assert levels.sigma(np.float32(0)) == pytest.approx(levels.sigmas[0], rel=1e-6)
    assert levels.sigma(np.float32(2000)) == pytest.approx(levels.sigmas[-1], rel=1e-6)
    # Percentages count the timesteps the network was trained on: 49.95 percent is timestep 500, at place 24.05 of 50.
    logs = np.log(levels.sigmas[24:26].astype(np.float64))
    assert levels.percent_to_sigma(1 - 500 / 999) == pytest.approx(math.exp(0.95 * logs[0] + 0.05 * logs[1]), rel=1e-6)


def test_lcm_is_the_input_where_there_is_no_noise_left() -> None:
    x, output = np.full((1, 1, 1, 1), 2.0, np.float32), np.full((1, 1, 1, 1), 100.0, np.float32)
    prediction, sigma = KINDS["lcm"].prediction, np.float32(0.5)
    scaled = 10 * float(KINDS["lcm"].levels.timestep(sigma))
    skip, out = 0.25 / (scaled**2 + 0.25), scaled / math.sqrt(scaled**2 + 0.25)
    assert prediction.denoised(output, x, sigma) == pytest.approx(out * (2 - 50) + skip * 2, rel=1e-6)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous_levels_are_even_in_their_logarithm(name: str, ulp_distance: Distance) -> None:
    levels = KINDS[f"continuous {name}"].levels
    logs = [math.log(0.002) + k / 999 * math.log(120 / 0.002) for k in range(1000)]
    assert ulp_distance(levels.sigmas, np.exp(logs)) <= 6  # the logarithm is rounded to float32 first
    for percent in (0.001, 0.25, 0.5, 0.9):
        assert levels.percent_to_sigma(percent) == pytest.approx(120 * (0.002 / 120) ** percent, rel=1e-6)
    assert levels.percent_to_sigma(0) == ABOVE_ALL_SIGMAS
    assert levels.percent_to_sigma(1) == 0
    told = {"angle": math.atan(2.5) * 2 / math.pi, "cosmos_rflow": 2.5 / 3.5}.get(name, math.log(2.5) / 4)
    assert levels.timestep(np.float32(2.5)) == pytest.approx(told, rel=1e-6)


def test_cosmos_time_stops_at_the_largest_level() -> None:
    levels = KINDS["continuous cosmos_rflow"].levels
    assert levels.sigma(np.float32(0.75)) == pytest.approx(3, rel=1e-6)
    assert levels.sigma(np.float32(0.999)) == levels.sigma(np.float32(1)) == levels.sigmas[-1]


@pytest.mark.parametrize("mu", [-2.0, 0.0, 0.5, 1.15])
def test_flux_levels_are_the_shifted_time(mu: float) -> None:
    levels = flux_sampling(mu).levels
    times = np.arange(1, 10001) / 10000
    assert levels.sigmas == pytest.approx(math.exp(mu) / (math.exp(mu) + (1 / times - 1)), rel=1e-6)
    assert levels.sigma(np.float32(1)) == 1
    assert levels.percent_to_sigma(0) == 1
    assert levels.percent_to_sigma(1) == 0
    assert levels.percent_to_sigma(0.75) == pytest.approx(math.exp(mu) / (math.exp(mu) + 3))


def test_only_straight_paths_are_flow() -> None:
    assert {name for name, kind in KINDS.items() if kind.prediction.is_flow} == {"flow", "flux"}


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


@pytest.mark.parametrize("mu", [float("nan"), float("inf"), 100.0, -100.0])
def test_a_bad_flux_shift_is_refused(mu: float) -> None:
    with pytest.raises(InputError, match="shift"):
        flux_sampling(mu)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (1.0, 1.0), (2.0, 1.0), (0.1, math.inf), (math.nan, 1.0)])
@pytest.mark.parametrize("kind", CONTINUOUS)
def test_a_range_that_holds_no_levels_is_refused(kind: str, low: float, high: float) -> None:
    with pytest.raises(InputError, match="sigma_min < sigma_max"):
        continuous_sampling(kind, sigma_max=high, sigma_min=low)


def test_an_unknown_continuous_sampling_is_refused() -> None:
    with pytest.raises(InputError, match="'edn'") as caught:
        continuous_sampling("edn", sigma_max=2.0, sigma_min=1.0)
    assert "'edm'" in caught.value.hint


def test_lcm_needs_fifty_timesteps() -> None:
    assert len(discrete_sampling("lcm", timesteps=50).levels.sigmas) == 50
    with pytest.raises(InputError, match="49 timesteps"):
        discrete_sampling("lcm", timesteps=49)
