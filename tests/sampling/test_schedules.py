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

Distance = Callable[[Any, Any], int]

SD = discrete_sampling()
FLOW = flow_sampling(3.0)


def test_every_schedule_of_every_model_kind_matches(
    golden: Callable[[str], Any],
    model_samplings: dict[str, ModelSampling],
    ulp_distance: Distance,
) -> None:
    facts = golden("sigmas").facts
    worst: Counter[str] = Counter()
    for case in facts["cases"]:
        got = calculate_sigmas(model_samplings[case["model"]], case["scheduler"], case["steps"])
        worst[case["scheduler"]] = max(worst[case["scheduler"]], ulp_distance(got, case["sigmas"]))
    print("worst distance in units in the last place:", dict(worst))
    assert max(worst.values()) <= 2
    assert len(facts["cases"]) == 180
    assert list(SCHEDULES) == facts["schedulers"]


def test_ksampler_sigmas_with_denoise_match(
    golden: Callable[[str], Any],
    ulp_distance: Distance,
) -> None:
    for case in golden("sigmas").facts["ksampler_denoise"]:
        got = ksampler_sigmas(SD, case["scheduler"], case["sampler"], case["steps"], case["denoise"])
        assert ulp_distance(got, case["sigmas"]) <= 2, case


def test_the_part_ksampler_advanced_runs_matches(
    golden: Callable[[str], Any],
    ulp_distance: Distance,
) -> None:
    for case in golden("sigmas").facts["ksampler_advanced"]:
        sigmas = ksampler_sigmas(SD, case["scheduler"], case["sampler"], case["steps"])
        got = slice_sigmas(
            sigmas, case["start_at_step"], case["end_at_step"], force_full_denoise=case["force_full_denoise"]
        )
        assert ulp_distance(got, case["sigmas"] or []) <= 2, case


@given(st.sampled_from(sorted(SCHEDULES)), st.integers(2, 1500), st.sampled_from([SD, FLOW]))
def test_every_schedule_falls_from_the_noisiest_level_to_zero(name: str, steps: int, model: ModelSampling) -> None:
    sigmas = calculate_sigmas(model, name, steps)
    assert sigmas.dtype == np.float32
    assert np.array_equal(check_sigmas(sigmas), sigmas)
    assert sigmas[-1] == 0
    assert model.sigma_min / 2 < sigmas[0] <= model.sigma_max * np.float32(1.000001)


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
