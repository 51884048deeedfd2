import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from onnxflow.errors import InputError
from onnxflow.sampling import (
    Array,
    CfgDenoiser,
    ModelSampling,
    Term,
    discrete_sampling,
    ksampler_sigmas,
    prepare_noise,
    sample_denoiser,
    terms,
)
from onnxflow.sampling.told import NOTHING, Told
from onnxflow.values import Cond, Conditioning

SD = discrete_sampling()
TOLERANCE = 1e-5
MakeToy = Callable[[ModelSampling], Any]
MakeTerm = Callable[..., Term]


def conditioning(*entries: dict[str, Any]) -> Conditioning:
    """Text conditions of the toy network: ``c``, ``tokens`` and ComfyUI's options."""
    return Conditioning(
        tuple(
            Cond(np.full((1, entry.pop("tokens", 77), 8), entry.pop("c"), np.float32), extras=entry)
            for entry in map(dict, entries)
        )
    )


NEGATIVE = conditioning({"c": -0.2})
BASE = {"c": 0.3}
POSITIVE = {
    "plain_cfg7": conditioning(BASE),
    "cfg1_skips_uncond": conditioning(BASE),
    "combine": conditioning(BASE, {"c": 0.9}),
    "combine_strength": conditioning(BASE, {"c": 0.9, "strength": 3.0}),
    "range_0_0.5": conditioning(BASE, {"c": 0.9, "start_percent": 0.0, "end_percent": 0.5}),
    "range_0.5_1": conditioning(BASE, {"c": 0.9, "start_percent": 0.5, "end_percent": 1.0}),
    "range_only": conditioning({"c": 0.9, "start_percent": 0.0, "end_percent": 0.5}),
    "different_lengths": conditioning(BASE, {"c": 0.9, "tokens": 154}),
}


def test_guided_predictions_match(
    golden: Callable[[str], Any], toy: MakeToy, relative_error: Callable[[Array, Array], float]
) -> None:
    cfg = golden("cfg")
    x, worst, seen = cfg.arrays["x"], 0.0, set()
    for case in cfg.facts["predict"]:
        network, sigma = toy(SD), np.float32(case["sigma"])
        guided = CfgDenoiser(network, terms(POSITIVE[case["case"]], SD), terms(NEGATIVE, SD), case["cfg"])
        worst = max(worst, relative_error(guided(x, sigma), cfg.arrays[case["key"]]))
        calls = case["model_calls_predict_then_calc"]
        assert network.calls == [(tuple(c["x"]), tuple(c["context"])) for c in calls[: len(calls) // 2]], case["key"]
        if f"{case['key']}_cond" in cfg.arrays:
            cond, uncond = guided.sides(x, sigma)
            expected = cfg.arrays[f"{case['key']}_cond"]
            assert np.abs(cond - expected).max() <= TOLERANCE * max(1.0, float(np.abs(expected).max()))
            assert (uncond is None) == (case["cfg"] == 1.0)
            if uncond is not None:
                worst = max(worst, relative_error(uncond, cfg.arrays[f"{case['key']}_uncond"]))
        seen.add(case["case"])
    print(f"worst error of guidance relative to the largest value: {worst:.1e}")
    assert worst <= TOLERANCE
    assert seen == set(POSITIVE)


def test_a_whole_run_with_a_time_range_matches(
    golden: Callable[[str], Any], toy: MakeToy, relative_error: Callable[[Array, Array], float]
) -> None:
    shape = (1, 4, 16, 24)
    final = sample_denoiser(
        CfgDenoiser(toy(SD), terms(POSITIVE["range_0_0.5"], SD), terms(NEGATIVE, SD), 4.0),
        noise=prepare_noise(shape, 42),
        latent=np.zeros(shape, np.float32),
        sigmas=ksampler_sigmas(SD, "normal", "euler", 8),
        sampler="euler",
        seed=42,
    )
    assert relative_error(final, golden("cfg").arrays["full_range_euler"]) <= TOLERANCE


@pytest.mark.parametrize("max_batch", [1, 2, 3, 5, 100])
def test_the_size_of_a_call_does_not_change_the_result(max_batch: int, toy: MakeToy, toy_term: MakeTerm) -> None:
    x = prepare_noise((3, 4, 5, 7), 1)
    sides = [toy_term(0.3), toy_term(0.9, strength=0.5)], [toy_term(-0.2)]
    whole, split = toy(SD), toy(SD)
    sigma = np.float32(2)
    expected = CfgDenoiser(whole, *sides, 7.0)(x, sigma)
    assert np.array_equal(CfgDenoiser(split, *sides, 7.0, max_batch=max_batch)(x, sigma), expected)
    assert len(whole.calls) == 1
    assert max(shape[0] for shape, _ in split.calls) <= max_batch
    assert sum(shape[0] for shape, _ in split.calls) == 9


def test_a_context_for_each_sample_goes_to_its_sample(toy: MakeToy, toy_term: MakeTerm) -> None:
    x = np.zeros((5, 4, 2, 2), np.float32)
    per_sample = Term(np.array([1, 2], np.float32).reshape(2, 1, 1) * np.ones((2, 77, 8), np.float32))
    (cond, _) = CfgDenoiser(toy(SD), [per_sample], [toy_term(0.0)], 7.0).sides(x, np.float32(1))
    assert cond[:, 0, 0, 0].tolist() == [1, 2, 1, 2, 1]


@pytest.mark.parametrize(
    ("tokens", "calls"), [((77, 77), [77]), ((77, 231), [231]), ((77, 385), [77, 385]), ((154, 231), [462])]
)
def test_contexts_are_repeated_to_a_common_length_within_reason(
    tokens: tuple[int, int], calls: list[int], toy: MakeToy, toy_term: MakeTerm
) -> None:
    network = toy(SD)
    guided = CfgDenoiser(network, [toy_term(0.3, tokens[0])], [toy_term(-0.2, tokens[1])], 7.0)
    x = prepare_noise((1, 4, 4, 4), 0)
    result = guided(x, np.float32(1))
    assert sorted(context[1] for _, context in network.calls) == calls
    same_length = CfgDenoiser(toy(SD), [toy_term(0.3)], [toy_term(-0.2)], 7.0)(x, np.float32(1))
    assert np.array_equal(result, same_length)


def test_repeating_a_context_repeats_its_tokens_in_order(toy_term: MakeTerm) -> None:
    seen: list[Array] = []

    class Network:
        model_sampling = SD

        def __call__(self, x: Array, sigma: np.float32, context: Array, told: Told = NOTHING) -> Array:
            seen.append(context)
            return x

    short = Term(np.arange(6, dtype=np.float32).reshape(1, 3, 2))
    long = Term(np.arange(12, dtype=np.float32).reshape(1, 6, 2))
    CfgDenoiser(Network(), [short], [long], 2.0)(np.zeros((1, 4, 2, 2), np.float32), np.float32(1))
    assert seen[0].tolist() == [long.context[0].tolist(), 2 * short.context[0].tolist()]


def test_conditions_without_weight_or_out_of_range_give_zero(toy: MakeToy, toy_term: MakeTerm) -> None:
    x = prepare_noise((1, 4, 4, 4), 0)
    for term in (toy_term(0.3, strength=0.0), toy_term(0.3, start_sigma=0.5)):
        cond, _ = CfgDenoiser(toy(SD), [term], [toy_term(0.0)], 7.0).sides(x, np.float32(1))
        assert not cond.any()


def test_an_empty_conditioning_is_refused() -> None:
    with pytest.raises(InputError, match="no entry"):
        terms(Conditioning(()), SD)


@pytest.mark.parametrize("option", ["area", "mask", "control"])
def test_an_option_that_would_be_ignored_is_refused(option: str) -> None:
    with pytest.raises(InputError, match=option):
        terms(conditioning({"c": 0.3, option: (8, 8, 0, 0)}), SD)


@pytest.mark.parametrize("value", [math.inf, math.nan, "1", None])
def test_a_strength_that_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(InputError, match="strength"):
        terms(conditioning({"c": 0.3, "strength": value}), SD)


def test_a_guidance_scale_that_is_no_number_is_refused(toy: MakeToy, toy_term: MakeTerm) -> None:
    for cfg in (math.nan, math.inf):
        with pytest.raises(InputError, match="cfg"):
            CfgDenoiser(toy(SD), [toy_term(0.3)], [toy_term(0.0)], cfg)
    with pytest.raises(InputError, match="max_batch"):
        CfgDenoiser(toy(SD), [toy_term(0.3)], [toy_term(0.0)], 7.0, max_batch=0)


def test_every_step_gives_the_same_array_that_nobody_can_write(toy: MakeToy) -> None:
    """A device uploads it once (providers/resident.py)."""
    seen = []

    class Watching:
        model_sampling = SD

        def __call__(self, x: Array, sigma: np.float32, context: Array, told: Told = NOTHING) -> Array:
            seen.append(context)
            return x

    guided = CfgDenoiser(Watching(), terms(POSITIVE["plain_cfg7"], SD), terms(NEGATIVE, SD), 7.0)
    for sigma in (3.0, 2.0):
        guided(np.zeros((1, 4, 2, 2), np.float32), np.float32(sigma))
    assert len(seen) == 2 and seen[0] is seen[1]
    assert not seen[0].flags.writeable and seen[0].base is None
