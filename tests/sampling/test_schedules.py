import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.errors import InputError
from onnxflow.sampling import (
    SCHEDULES,
    ModelSampling,
    calculate_sigmas,
    check_sigmas,
    discrete_sampling,
    flow_sampling,
    ksampler_sigmas,
    slice_sigmas,
)
from onnxflow.sampling.beta import regularized_beta
from onnxflow.sampling.model_sampling import continuous_sampling, flux_sampling
from onnxflow.sampling.schedules import basic_sigmas, beta, turbo_sigmas

Distance = Callable[[Any, Any], int]

SD = discrete_sampling()
FLOW = flow_sampling(3.0)
EDM = continuous_sampling("edm", sigma_max=120.0, sigma_min=0.002)
ANGLE = continuous_sampling("angle", sigma_max=500.0, sigma_min=0.03)
OTHERS = [EDM, ANGLE, continuous_sampling("cosmos_rflow", sigma_max=80.0, sigma_min=0.002)]
OTHERS += [discrete_sampling("lcm"), flux_sampling(1.15)]


def test_every_schedule_of_every_model_kind_matches(
    golden: Callable[[str], Any],
    model_samplings: dict[str, ModelSampling],
    ulp_distance: Distance,
) -> None:
    facts, arrays = golden("sigmas").facts, golden("sigmas").arrays
    worst: Counter[str] = Counter()
    for case in facts["cases"]:
        got = calculate_sigmas(model_samplings[case["model"]], case["scheduler"], case["steps"])
        expected = arrays[f"sig_{case['model']}_{case['scheduler']}_{case['steps']}"]
        worst[case["scheduler"]] = max(worst[case["scheduler"]], ulp_distance(got, expected))
    print("worst distance in units in the last place:", dict(worst))
    assert max(worst.values()) <= 2
    assert len(facts["cases"]) == 180
    assert list(SCHEDULES) == facts["schedulers"]


def test_ksampler_sigmas_with_denoise_match(
    golden: Callable[[str], Any],
    ulp_distance: Distance,
) -> None:
    cases = golden("sigmas").facts["ksampler_denoise"]
    assert len(cases) == 140
    for case in cases:
        got = ksampler_sigmas(SD, case["scheduler"], case["sampler"], case["steps"], case["denoise"])
        assert ulp_distance(got, case["sigmas"]) <= 2, case


def test_the_part_ksampler_advanced_runs_matches(
    golden: Callable[[str], Any],
    ulp_distance: Distance,
) -> None:
    cases = golden("sigmas").facts["ksampler_advanced"]
    assert len(cases) == 20
    for case in cases:
        sigmas = ksampler_sigmas(SD, case["scheduler"], case["sampler"], case["steps"])
        got = slice_sigmas(
            sigmas, case["start_at_step"], case["end_at_step"], force_full_denoise=case["force_full_denoise"]
        )
        assert ulp_distance(got, case["sigmas"] or []) <= 2, case


@given(st.sampled_from(sorted(SCHEDULES)), st.integers(2, 1500), st.sampled_from([SD, FLOW, *OTHERS]))
def test_every_schedule_falls_from_the_noisiest_level_to_zero(name: str, steps: int, model: ModelSampling) -> None:
    sigmas = calculate_sigmas(model, name, steps)
    assert sigmas.dtype == np.float32
    assert np.array_equal(check_sigmas(sigmas), sigmas)
    assert sigmas[-1] == 0
    assert model.sigma_min / 2 < sigmas[0] <= model.sigma_max * np.float32(1.00002)


@given(st.integers(1, 60), st.integers(0, 70), st.integers(0, 70), st.booleans())
def test_two_stages_visit_what_one_does(steps: int, middle: int, start: int, force: bool) -> None:
    whole = ksampler_sigmas(SD, "normal", "euler", steps)
    first, second = slice_sigmas(whole, 0, middle), slice_sigmas(whole, middle)
    if 0 < middle < steps:
        assert np.array_equal(np.append(first, second[1:]), whole)
    part = slice_sigmas(whole, start, middle, force_full_denoise=force)
    assert len(part) == (max(0, min(middle, steps) - start + 1) if start < min(middle, steps) else 0)
    assert len(part) == 0 or not force or part[-1] == 0


def test_slicing_leaves_the_schedule_alone() -> None:
    sigmas = ksampler_sigmas(SD, "normal", "euler", 8)
    before = sigmas.copy()
    slice_sigmas(sigmas, 0, 4, force_full_denoise=True)
    assert np.array_equal(sigmas, before)


@given(st.integers(0, 1 << 12), st.floats(0.2, 30), st.floats(0.2, 30))
def test_the_beta_function_is_symmetric_and_rising(place: int, a: float, b: float) -> None:
    x = place / (1 << 12)
    one, other = regularized_beta(np.array([x]), a, b)[0], regularized_beta(np.array([1 - x]), b, a)[0]
    assert one == pytest.approx(1 - other, abs=1e-11)
    values = regularized_beta(np.linspace(0, 1, 50), a, b)
    assert values[0] == 0
    assert values[-1] == 1
    assert (np.diff(values) >= -1e-12).all()


def test_the_beta_function_in_closed_forms() -> None:
    x = np.linspace(0, 1, 101)
    assert regularized_beta(x, 1, 1) == pytest.approx(x, abs=1e-13)
    assert regularized_beta(x, 2, 3) == pytest.approx(x**2 * (6 - 8 * x + 3 * x**2), abs=1e-13)
    assert regularized_beta(x, 0.5, 0.5) == pytest.approx(2 / math.pi * np.arcsin(np.sqrt(x)), abs=1e-13)


def test_an_unknown_scheduler_is_named_with_its_neighbours_and_the_list() -> None:
    with pytest.raises(InputError, match="'karas'") as caught:
        ksampler_sigmas(SD, "karas", "euler", 20)
    assert "did you mean 'karras'" in caught.value.hint
    assert "kl_optimal" in caught.value.hint


@pytest.mark.parametrize("steps", [0, -3, 2_000_000, 2.5, True])
def test_a_bad_step_count_is_refused(steps: Any) -> None:
    with pytest.raises(InputError, match="steps"):
        ksampler_sigmas(SD, "normal", "euler", steps)


@pytest.mark.parametrize("denoise", [-0.1, 1.1, math.nan, 1e-9])
def test_a_bad_denoise_is_refused(denoise: float) -> None:
    with pytest.raises(InputError, match="denoise"):
        ksampler_sigmas(SD, "normal", "euler", 20, denoise)


@pytest.mark.parametrize(("start", "end"), [(-1, None), (0, -1)])
def test_negative_steps_are_refused(start: int, end: int | None) -> None:
    with pytest.raises(InputError, match="0 or more"):
        slice_sigmas(ksampler_sigmas(SD, "normal", "euler", 8), start, end)


@pytest.mark.parametrize(
    ("sigmas", "named"),
    [
        ([2, math.nan, 0], "nan"),
        ([math.inf, 1], "inf"),
        ([1, -1], "positive"),
        ([1, 0, 0], "only the last"),
        ([[1, 0]], "shape"),
    ],
)
def test_sigmas_no_sampler_can_walk_are_refused(sigmas: Any, named: str) -> None:
    with pytest.raises(InputError, match=named):
        check_sigmas(np.array(sigmas, np.float32))


def test_one_step_of_kl_optimal_is_refused_with_a_hint() -> None:
    with pytest.raises(InputError) as caught:
        check_sigmas(ksampler_sigmas(SD, "kl_optimal", "euler", 1))
    assert "2 steps" in caught.value.hint


def test_a_basic_schedule_is_the_ksamplers_but_for_its_level_before_the_last(
    golden: Callable[[str], Any], ulp_distance: Distance
) -> None:
    for case in golden("sigmas").facts["ksampler_denoise"]:
        if case["sampler"] in golden("sigmas").facts["discard_penultimate"]:
            continue
        got = basic_sigmas(SD, case["scheduler"], case["steps"], case["denoise"])
        assert ulp_distance(got, case["sigmas"][-(case["steps"] + 1) :]) <= 2, case


def test_a_basic_schedule_keeps_the_last_steps() -> None:
    assert len(calculate_sigmas(SD, "ddim_uniform", 30)) == 32
    assert np.array_equal(basic_sigmas(SD, "ddim_uniform", 30), calculate_sigmas(SD, "ddim_uniform", 30)[1:])
    whole = calculate_sigmas(SD, "normal", int(20 / 0.3))
    assert np.array_equal(basic_sigmas(SD, "normal", 20, 0.3), whole[-21:])
    assert basic_sigmas(SD, "normal", 20, 0.0).shape == (0,)


def test_a_schedule_without_numbers_is_refused_at_once() -> None:
    with pytest.raises(InputError, match="nan") as caught:
        basic_sigmas(SD, "kl_optimal", 1)
    assert "2 steps" in caught.value.hint


@pytest.mark.parametrize(
    ("steps", "denoise", "timesteps"),
    [
        (1, 1.0, [999]),
        (4, 1.0, [999, 899, 799, 699]),
        (10, 1.0, [999, 899, 799, 699, 599, 499, 399, 299, 199, 99]),
        (4, 0.5, [499, 399, 299, 199]),
        (4, 0.29, [199, 99]),
        (3, 0.05, []),
    ],
)
def test_turbo_visits_every_hundredth_timestep(steps: int, denoise: float, timesteps: list[int]) -> None:
    expected = [*(SD.levels.sigmas[t] for t in timesteps), 0]
    assert turbo_sigmas(SD, steps, denoise) == pytest.approx(np.array(expected), rel=3e-7)


@pytest.mark.parametrize("model", [EDM, ANGLE])
def test_turbo_is_refused_for_a_model_without_these_timesteps(model: ModelSampling) -> None:
    with pytest.raises(InputError, match="timesteps 999"):
        turbo_sigmas(model, 4)


# scipy.stats.beta(a, b).ppf(1 - k / 7) * 999, rounded, scipy 1.17.1
@pytest.mark.parametrize(
    ("a", "b", "timesteps"),
    [
        (0.6, 0.6, [999, 928, 782, 598, 401, 217, 71]),
        (0.01, 50.0, [999, 0]),
        (50.0, 0.01, [999]),
        (0.05, 0.05, [999, 958, 41, 0]),
        (5.0, 1.5, [999, 928, 877, 825, 767, 696, 594]),
        (50.0, 50.0, [999, 553, 528, 509, 490, 471, 446]),
    ],
)
def test_the_beta_schedule_with_other_parameters(a: float, b: float, timesteps: list[int]) -> None:
    assert np.array_equal(beta(SD.levels, 7, a=a, b=b), [*(SD.levels.sigmas[t] for t in timesteps), 0])


def test_the_median_of_the_usual_beta_schedule_is_where_it_is_in_comfyui() -> None:
    levels = discrete_sampling("lcm").levels
    assert beta(levels, 2)[1] == levels.sigmas[25]
    assert beta(levels, 2, a=1.0, b=1.0)[1] == levels.sigmas[24]


@given(st.floats(1e-9, 1000), st.floats(1e-9, 1000), st.integers(1, 200))
def test_the_beta_schedule_falls_for_all_parameters(a: float, b: float, steps: int) -> None:
    sigmas = beta(SD.levels, steps, a=a, b=b)
    assert sigmas[0] == SD.sigma_max
    assert 2 <= len(sigmas) <= steps + 1
    assert (np.diff(sigmas) < 0).all()


@pytest.mark.parametrize(("a", "b"), [(0.0, 0.6), (0.6, 0.0), (-1.0, 1.0), (math.nan, 1.0), (1.0, 2000.0)])
def test_beta_parameters_without_a_distribution_are_refused(a: float, b: float) -> None:
    with pytest.raises(InputError, match="alpha"):
        beta(SD.levels, 20, a=a, b=b)
