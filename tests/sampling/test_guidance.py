"""Guided predictions: every case of goldens/cfg, and what the two denoisers skip, combine and hand on."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from onnxflow.errors import InputError
from onnxflow.sampling import (
    Array,
    CfgDenoiser,
    DualCfgDenoiser,
    ModelSampling,
    Term,
    discrete_sampling,
    ksampler_sigmas,
    prepare_noise,
    rescaled_cfg,
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


class Recording:
    """The toy network, and of each call what the goldens say: shapes, and which rows are negative (1)."""

    def __init__(self, toy: Any) -> None:
        self.toy = toy
        self.model_sampling: ModelSampling = toy.model_sampling
        self.calls: list[dict[str, list[int]]] = []

    def __call__(self, x: Array, sigma: np.float32, context: Array, told: Told = NOTHING) -> Array:
        sides = (context[:, 0, 0] < 0).astype(int).tolist()
        self.calls.append({"x": list(x.shape), "cond_or_uncond": sides, "context": list(context.shape)})
        result: Array = self.toy(x, sigma, context, told)
        return result


BASE, NEGATIVE = {"c": 0.3}, {"c": -0.2}
SIDES: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
    "plain_cfg7": ([BASE], [NEGATIVE]),
    "cfg1_skips_uncond": ([BASE], [NEGATIVE]),
    "combine": ([BASE, {"c": 0.9}], [NEGATIVE]),
    "combine_strength": ([BASE, {"c": 0.9, "strength": 3.0}], [NEGATIVE]),
    "area_corner": ([BASE, {"c": 0.9, "area": (8, 12, 0, 0)}], [NEGATIVE]),
    "area_middle_strength2": ([BASE, {"c": 0.9, "area": (8, 8, 4, 8), "strength": 2.0}], [NEGATIVE]),
    "area_only_middle_no_base": ([{"c": 0.9, "area": (8, 8, 4, 8)}], [NEGATIVE]),
    "area_clipped_at_border": ([BASE, {"c": 0.9, "area": (16, 16, 8, 16)}], [NEGATIVE]),
    "area_percentage": ([BASE, {"c": 0.9, "area": ("percentage", 0.4, 0.5, 0.3, 0.25)}], [NEGATIVE]),
    "mask_soft_default": ([BASE, {"c": 0.9, "mask": "mask_soft_16x24"}], [NEGATIVE]),
    "mask_soft_strength0.5": (
        [{**BASE, "mask": "the rest of mask_soft_16x24"}, {"c": 0.9, "mask": "mask_soft_16x24", "mask_strength": 0.5}],
        [NEGATIVE],
    ),
    "mask_rect_bounds": ([BASE, {"c": 0.9, "mask": "mask_rect_64x96", "set_area_to_bounds": True}], [NEGATIVE]),
    "mask_only_rect": ([{"c": 0.9, "mask": "mask_rect_64x96"}], [NEGATIVE]),
    "two_areas_left_right": (
        [{"c": 0.3, "area": (16, 12, 0, 0)}, {"c": 0.9, "area": (16, 12, 0, 12)}],
        [NEGATIVE],
    ),
    "range_0_0.5": ([BASE, {"c": 0.9, "start_percent": 0.0, "end_percent": 0.5}], [NEGATIVE]),
    "range_0.5_1": ([BASE, {"c": 0.9, "start_percent": 0.5, "end_percent": 1.0}], [NEGATIVE]),
    "range_only": ([{"c": 0.9, "start_percent": 0.0, "end_percent": 0.5}], [NEGATIVE]),
    "neg_area": ([BASE], [NEGATIVE, {"c": -0.9, "area": (8, 12, 0, 0)}]),
    "different_lengths": ([BASE, {"c": 0.9, "tokens": 154}], [NEGATIVE]),
}


def golden_sides(case: str, arrays: dict[str, Array]) -> tuple[tuple[Term, ...], tuple[Term, ...]]:
    """The positive and the negative terms of a golden's case."""
    masks = {name: array for name, array in arrays.items() if name.startswith("mask_") and array.ndim == 3}
    masks |= {f"the rest of {name}": 1 - mask for name, mask in masks.items()}
    positive, negative = (
        conditioning(*({**one, "mask": masks[one["mask"]]} if "mask" in one else one for one in side))
        for side in SIDES[case]
    )
    return terms(positive, SD), terms(negative, SD, negative=True)


def error(found: Array, expected: Array) -> float:
    """The largest difference as a share of the reference's largest absolute value, or absolute where that is 0."""
    assert found.shape == expected.shape and found.dtype == np.float32
    return float(np.abs(found - expected).max() / (np.abs(expected).max() or 1.0))


def test_guided_predictions_and_their_model_calls_match(golden: Callable[[str], Any], toy: MakeToy) -> None:
    cfg = golden("cfg")
    x, worst = cfg.arrays["x"], 0.0
    for case in cfg.facts["predict"]:
        network, sigma, key = Recording(toy(SD)), np.float32(case["sigma"]), case["key"]
        guided = CfgDenoiser(network, *golden_sides(case["case"], cfg.arrays), case["cfg"])
        calls = case["model_calls_predict_then_calc"]
        predicted = guided(x, sigma)
        used = len(network.calls)
        found = [predicted, *guided.with_uncond(x, sigma)]
        assert network.calls == calls, key
        assert used == len(calls) // 2, key
        expected = [cfg.arrays[key], cfg.arrays[key]]
        if f"{key}_cond" in cfg.arrays:
            expected.append(cfg.arrays[f"{key}_uncond"])
            if case["cfg"] != 1.0:
                cond, uncond = guided.sides(x, sigma)
                assert uncond is not None
                found += [cond, uncond]
                expected += [cfg.arrays[f"{key}_cond"], cfg.arrays[f"{key}_uncond"]]
        if case["cfg"] == 1.0:
            assert guided.sides(x, sigma)[1] is None
        worst = max([worst, *(error(a, b) for a, b in zip(found, expected, strict=False))])
    print(f"worst error of guidance relative to the largest value: {worst:.1e}")
    assert worst <= TOLERANCE
    assert {case["case"] for case in cfg.facts["predict"]} == set(SIDES)
    assert len(cfg.facts["predict"]) == 28


@pytest.mark.parametrize(
    ("key", "case", "multiplier"),
    [
        ("full_area_middle_euler", "area_middle_strength2", None),
        ("full_mask_bounds_euler", "mask_rect_bounds", None),
        ("full_range_euler", "range_0_0.5", None),
        ("full_rescalecfg0.7_euler", "plain_cfg7", 0.7),
    ],
)
def test_whole_runs_match(
    key: str, case: str, multiplier: float | None, golden: Callable[[str], Any], toy: MakeToy
) -> None:
    shape, arrays = (1, 4, 16, 24), golden("cfg").arrays
    combine = None if multiplier is None else rescaled_cfg(multiplier)
    final = sample_denoiser(
        CfgDenoiser(toy(SD), *golden_sides(case, arrays), 4.0, combine=combine),
        noise=prepare_noise(shape, 42),
        latent=np.zeros(shape, np.float32),
        sigmas=ksampler_sigmas(SD, "normal", "euler", 8),
        sampler="euler",
        seed=42,
    )
    assert error(final, arrays[key]) <= TOLERANCE


class Numbered:
    """A network whose prediction is its context's first number everywhere, and that lists the numbers asked for."""

    def __init__(self) -> None:
        self.model_sampling = SD
        self.asked: list[float] = []

    def __call__(self, x: Array, sigma: np.float32, context: Array, told: Told = NOTHING) -> Array:
        self.asked += context[:, 0, 0].tolist()
        return np.broadcast_to(context[:, :1, :1, None], x.shape).astype(np.float32)


def side(number: float) -> list[Term]:
    return [Term(np.full((1, 77, 8), number, np.float32))]


X = np.zeros((1, 4, 6, 5), np.float32)
SIGMA = np.float32(2)


def value(prediction: Array) -> float:
    """The one number of a prediction that is the same everywhere."""
    assert prediction.shape == X.shape
    assert (prediction == prediction[0, 0, 0, 0]).all()
    return float(prediction[0, 0, 0, 0])


def test_cfg_sets_the_positive_against_the_negative_prediction() -> None:
    network = Numbered()
    guided = CfgDenoiser(network, side(5), side(2), 3.0)
    assert value(guided(X, SIGMA)) == 2 + 3 * (5 - 2)
    assert [value(one) for one in guided.with_uncond(X, SIGMA)] == [11, 2]
    assert network.asked == [2, 5, 2, 5]


def test_cfg_1_computes_the_negative_side_only_for_those_who_ask() -> None:
    network = Numbered()
    guided = CfgDenoiser(network, side(5), side(2), 1.0 + 1e-12)
    assert value(guided(X, SIGMA)) == 5
    assert guided.sides(X, SIGMA)[1] is None
    assert network.asked == [5, 5]
    assert [value(one) for one in guided.with_uncond(X, SIGMA)] == [5, 2]
    assert network.asked == [5, 5, 2, 5]


def test_without_a_negative_side_the_positive_prediction_is_the_result() -> None:
    network = Numbered()
    guided = CfgDenoiser(network, side(5), None, 7.0)
    assert value(guided(X, SIGMA)) == 5
    assert [value(one) for one in guided.with_uncond(X, SIGMA)] == [5, 0]
    cond, uncond = guided.sides(X, SIGMA)
    assert (value(cond), uncond) == (5, None)
    assert network.asked == [5, 5, 5]


def test_a_hook_combines_the_predictions() -> None:
    heard = []

    def combine(x: Array, sigma: np.float32, cond: Array, uncond: Array, cfg: float) -> Array:
        heard.append((x is X, float(sigma), value(cond), value(uncond), cfg))
        return cond * np.float32(10)

    guided = CfgDenoiser(Numbered(), side(5), side(2), 3.0, combine=combine)
    assert value(guided(X, SIGMA)) == 50
    assert [value(one) for one in guided.with_uncond(X, SIGMA)] == [50, 2]
    CfgDenoiser(Numbered(), side(5), side(2), 1.0, combine=combine)(X, SIGMA)
    CfgDenoiser(Numbered(), side(5), None, 3.0, combine=combine)(X, SIGMA)
    assert heard == [(True, 2, 5, 2, 3)] * 2 + [(True, 2, 5, 0, 1)] * 2


@pytest.mark.parametrize(
    ("cfg", "cfg_middle", "nested", "expected", "asked"),
    [
        (3.0, 2.0, False, 2 + 2 * (4 - 2) + 3 * (7 - 4), [2, 4, 7]),
        (3.0, 1.0, False, 4 + 3 * (7 - 4), [4, 7]),
        (1.0, 1.0, False, 7, [7]),
        (1.0, 2.0, False, 2 + 2 * (4 - 2) + (7 - 4), [2, 4, 7]),
        (3.0, 2.0, True, 2 + 2 * (4 + 3 * (7 - 4) - 2), [2, 4, 7]),
        (1.0, 1.0, True, 7, [2, 4, 7]),
    ],
)
def test_two_scales(cfg: float, cfg_middle: float, nested: bool, expected: float, asked: list[float]) -> None:
    """The positive side predicts 7, the middle one 4, the negative one 2."""
    network = Numbered()
    guided = DualCfgDenoiser(network, side(7), side(4), side(2), cfg, cfg_middle, nested=nested)
    assert value(guided(X, SIGMA)) == expected
    assert network.asked == asked
    network.asked.clear()
    assert [value(one) for one in guided.with_uncond(X, SIGMA)] == [expected, 4 if nested else 2]
    assert network.asked == [2, 4, 7]
    assert guided.model_sampling is SD


@pytest.mark.parametrize(("nested", "heard"), [(False, (4, 2, 2.0)), (True, (7, 4, 3.0))])
def test_a_hook_combines_the_pair_that_has_a_scale_of_its_own(nested: bool, heard: tuple[float, ...]) -> None:
    seen = []

    def combine(x: Array, sigma: np.float32, cond: Array, uncond: Array, cfg: float) -> Array:
        seen.append((value(cond), value(uncond), cfg))
        return cond

    guided = DualCfgDenoiser(Numbered(), side(7), side(4), side(2), 3.0, 2.0, nested=nested, combine=combine)
    assert value(guided(X, SIGMA)) == (2 + 2 * (7 - 2) if nested else 4 + 3 * (7 - 4))
    assert seen == [heard]


def test_an_area_of_the_negative_side_is_one_of_the_positive_side_at_cfg_1_too() -> None:
    """Which conditions there are does not depend on which sides are computed."""
    seen = []

    class Watching(Numbered):
        def __call__(self, x: Array, sigma: np.float32, context: Array, told: Told = NOTHING) -> Array:
            seen.append(x.shape[2:])
            return super().__call__(x, sigma, context, told)

    negative = terms(conditioning({"c": 2, "area": (3, 2, 1, 1)}), SD)
    assert value(CfgDenoiser(Watching(), side(5), negative, 1.0)(X, SIGMA)) == 5
    assert seen == [(6, 5), (3, 2)]


@pytest.mark.parametrize("scale", [math.nan, math.inf])
def test_a_scale_that_is_no_number_is_refused(scale: float) -> None:
    with pytest.raises(InputError, match="cfg is"):
        CfgDenoiser(Numbered(), side(5), side(2), scale)
    with pytest.raises(InputError, match="cfg is"):
        DualCfgDenoiser(Numbered(), side(7), side(4), side(2), scale, 1.0)
    with pytest.raises(InputError, match="cfg_middle is"):
        DualCfgDenoiser(Numbered(), side(7), side(4), side(2), 1.0, scale)


def test_calls_of_no_sample_are_refused() -> None:
    with pytest.raises(InputError, match="max_batch"):
        CfgDenoiser(Numbered(), side(5), side(2), 7.0, max_batch=0)
    with pytest.raises(InputError, match="max_batch"):
        DualCfgDenoiser(Numbered(), side(7), side(4), side(2), 7.0, 2.0, max_batch=0)
