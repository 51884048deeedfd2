"""How conditions share model calls, how much memory that takes, and what the mean of their predictions is."""

import math
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.errors import InputError, MemoryLimitError
from onnxflow.sampling import Array, CfgDenoiser, ModelSampling, Term, discrete_sampling, prepare_noise
from onnxflow.sampling.area import Area
from onnxflow.sampling.sides import Sides
from onnxflow.sampling.told import NOTHING, Told

SD = discrete_sampling()
SIGMA = np.float32(1)
MakeToy = Callable[[ModelSampling], Any]
MakeTerm = Callable[..., Term]


class Small:
    """A network whose memory holds so many rows; each of its predictions is its context's first number plus x."""

    def __init__(self, rows: int = 1000) -> None:
        self.model_sampling = SD
        self.rows = rows
        self.calls: list[tuple[Array, Array, Told]] = []

    def __call__(self, x: Array, sigma: np.float32, context: Array, told: Told = NOTHING) -> Array:
        self.calls.append((x, context, told))
        if len(x) > self.rows:
            raise MemoryLimitError("not enough memory to run it")
        result: Array = x + context[:, :1, :1, None]
        return result

    @property
    def sizes(self) -> list[int]:
        """How many rows each call had."""
        return [len(x) for x, _, _ in self.calls]


def term(number: float = 0.0, tokens: int = 77, **options: Any) -> Term:
    return Term(np.full((1, tokens, 8), number, np.float32), **options)


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


@pytest.mark.parametrize(
    ("rows", "first", "second"),
    [
        (12, [12], [12]),
        (6, [12, 6, 6], [6, 6]),
        (5, [12, 6, 3, 3, 3, 3], [3, 3, 3, 3]),
        (2, [12, 6, 3, *[1] * 12], [1] * 12),
    ],
)
def test_calls_are_halved_until_the_memory_suffices(rows: int, first: list[int], second: list[int]) -> None:
    x = prepare_noise((4, 4, 5, 7), 1)
    sides = [term(1), term(2, strength=3.0)], [term(-1)]
    expected = CfgDenoiser(Small(), *sides, 7.0)(x, SIGMA)
    network = Small(rows)
    guided = CfgDenoiser(network, *sides, 7.0)
    assert np.array_equal(guided(x, SIGMA), expected)
    assert network.sizes == first
    network.calls.clear()
    assert np.array_equal(guided(x, SIGMA), expected)
    assert network.sizes == second


def test_memory_that_runs_out_in_the_middle_loses_no_prediction() -> None:
    class Shrinking(Small):
        def __call__(self, x: Array, sigma: np.float32, context: Array, told: Told = NOTHING) -> Array:
            self.rows = 4 if len(self.calls) < 2 else 2
            return super().__call__(x, sigma, context, told)

    x = prepare_noise((4, 4, 5, 7), 1)
    network = Shrinking()
    found = CfgDenoiser(network, [term(1)], [term(-1)], 7.0)(x, SIGMA)
    assert network.sizes == [8, 4, 4, 2, 2]
    assert np.array_equal(found, CfgDenoiser(Small(), [term(1)], [term(-1)], 7.0)(x, SIGMA))


def test_an_error_of_one_row_goes_on() -> None:
    network = Small(0)
    with pytest.raises(MemoryLimitError, match="not enough memory to run it"):
        CfgDenoiser(network, [term(1)], [term(-1)], 7.0)(np.zeros((2, 4, 2, 2), np.float32), SIGMA)
    assert network.sizes == [4, 2, 1]


def test_a_context_for_each_sample_goes_to_its_sample(toy: MakeToy, toy_term: MakeTerm) -> None:
    x = np.zeros((5, 4, 2, 2), np.float32)
    per_sample = Term(np.array([1, 2], np.float32).reshape(2, 1, 1) * np.ones((2, 77, 8), np.float32))
    (cond, _) = CfgDenoiser(toy(SD), [per_sample], [toy_term(0.0)], 7.0).sides(x, SIGMA)
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
    result = guided(x, SIGMA)
    assert sorted(context[1] for _, context in network.calls) == calls
    same_length = CfgDenoiser(toy(SD), [toy_term(0.3)], [toy_term(-0.2)], 7.0)(x, SIGMA)
    assert np.array_equal(result, same_length)


def test_repeating_a_context_repeats_its_tokens_in_order() -> None:
    network = Small()
    short = Term(np.arange(6, dtype=np.float32).reshape(1, 3, 2))
    long = Term(np.arange(12, dtype=np.float32).reshape(1, 6, 2))
    CfgDenoiser(network, [short], [long], 2.0)(np.zeros((1, 4, 2, 2), np.float32), SIGMA)
    assert network.calls[0][1].tolist() == [long.context[0].tolist(), 2 * short.context[0].tolist()]


def test_contexts_of_another_width_have_a_call_of_their_own() -> None:
    network = Small()
    wide = Term(np.zeros((1, 77, 16), np.float32))
    CfgDenoiser(network, [term(1), wide], [term(-1)], 2.0)(np.zeros((1, 4, 2, 2), np.float32), SIGMA)
    assert [context.shape for _, context, _ in network.calls] == [(2, 77, 8), (1, 77, 16)]


def test_a_call_has_all_that_goes_with_the_first_condition_the_last_first() -> None:
    network = Small()
    positive = [term(1), term(2, area=Area(4, 4, 0, 0)), term(3), term(4, area=Area(4, 4, 2, 2))]
    Sides(network, (positive, [term(-1)]))(np.zeros((2, 4, 8, 8), np.float32), SIGMA, (True, True))
    assert [context[:, 0, 0].tolist() for _, context, _ in network.calls] == [
        [-1, -1, 3, 3, 1, 1],
        [-1, -1, -1, -1, 4, 4, 2, 2],
    ]
    assert [x.shape for x, _, _ in network.calls] == [(6, 4, 8, 8), (8, 4, 4, 4)]


def test_an_area_sees_its_part_of_the_latent() -> None:
    network = Small()
    x = prepare_noise((2, 4, 8, 9), 3)
    Sides(network, ([term(area=Area(3, 99, 1, 2))],))(x, SIGMA, (True,))
    assert np.array_equal(network.calls[0][0], x[:, :, 1:4, 2:])


def test_conditions_are_averaged_by_weight_where_they_are() -> None:
    """Predictions 1 everywhere, 3 with weight 2 on the right; nothing and nobody on a side that is not wanted."""
    x = np.zeros((1, 4, 2, 8), np.float32)
    positive = [term(1), term(3, strength=2.0, area=Area(2, 3, 0, 5))]
    network = Small()
    cond, uncond = Sides(network, (positive, [term(-1)]))(x, SIGMA, (True, False))
    assert cond[0, 0].tolist() == [[1] * 5 + [np.float32(7) / np.float32(3)] * 3] * 2
    assert not uncond.any()
    assert network.sizes == [1, 1]


def test_where_no_condition_is_there_is_nothing() -> None:
    cond, _ = Sides(Small(), ([term(3, area=Area(2, 3, 0, 5))], [term(-1)]))(
        np.zeros((1, 4, 2, 8), np.float32), SIGMA, (True, True)
    )
    assert cond[0, 0].tolist() == [[0] * 5 + [3] * 3] * 2


def test_conditions_without_weight_or_out_of_range_give_zero(toy: MakeToy, toy_term: MakeTerm) -> None:
    x = prepare_noise((1, 4, 4, 4), 0)
    for one in (toy_term(0.3, strength=0.0), toy_term(0.3, start_sigma=0.5)):
        cond, _ = CfgDenoiser(toy(SD), [one], [toy_term(0.0)], 7.0).sides(x, SIGMA)
        assert not cond.any()


def test_a_negative_strength_takes_away() -> None:
    x = np.zeros((1, 4, 2, 2), np.float32)
    (cond,) = Sides(Small(), ([term(1, strength=2.0), term(3, strength=-1.0)],))(x, SIGMA, (True,))
    assert (cond == 2 - 3).all()


@pytest.mark.parametrize("area", [None, Area(2, 3, 0, 5)])
def test_strengths_that_cancel_out_are_refused(area: Area | None) -> None:
    sides = Sides(Small(), ([term(1), term(3, strength=-1.0, area=area)],))
    with pytest.raises(InputError, match="add up to 0"):
        sides(np.zeros((1, 4, 2, 8), np.float32), SIGMA, (True,))


@st.composite
def areas(draw: st.DrawFn) -> Area:
    """An area that has a part in a latent of 12 by 20."""
    y, x = draw(st.integers(0, 11)), draw(st.integers(0, 19))
    return Area(draw(st.integers(1, 30)), draw(st.integers(1, 30)), y, x)


@given(st.lists(st.tuples(areas(), st.floats(0.1, 10.0)), max_size=4), st.integers(0, 9), st.integers(1, 3))
def test_equal_conditions_with_any_areas_give_the_plain_result(
    places: list[tuple[Area, float]], seed: int, batch: int
) -> None:
    x = prepare_noise((batch, 4, 12, 20), seed)
    positive = [term(2), *(term(2, area=area, strength=strength) for area, strength in places)]
    plain = CfgDenoiser(Small(), [term(2)], [term(-1)], 3.0)(x, SIGMA)
    found = CfgDenoiser(Small(), positive, [term(-1)], 3.0)(x, SIGMA)
    assert np.abs(found - plain).max() <= 1e-5 * np.abs(plain).max()


@given(st.lists(areas(), min_size=1, max_size=4), st.integers(1, 5))
def test_any_size_of_a_call_gives_the_same_result(places: list[Area], max_batch: int) -> None:
    x = prepare_noise((2, 4, 12, 20), 1)
    sides = [term(1), *(term(k, area=area) for k, area in enumerate(places))], [term(-1)]
    whole = CfgDenoiser(Small(), *sides, 3.0)(x, SIGMA)
    assert np.array_equal(CfgDenoiser(Small(), *sides, 3.0, max_batch=max_batch)(x, SIGMA), whole)
    assert np.array_equal(CfgDenoiser(Small(max_batch), *sides, 3.0)(x, SIGMA), whole)


def test_a_latent_of_another_size_has_areas_of_its_own() -> None:
    """A sampler may change the size between steps."""
    network = Small()
    sides = Sides(network, ([term(area=Area(4, 4, 0, 4), mask=np.ones((1, 3, 3), np.float32))],))
    for height, width in ((6, 6), (8, 12), (6, 6)):
        sides(np.zeros((1, 4, height, width), np.float32), SIGMA, (True,))
    assert [x.shape[2:] for x, _, _ in network.calls] == [(4, 2), (4, 4), (4, 2)]


@pytest.mark.parametrize("rows", [1000, 3])
def test_every_step_gives_the_same_arrays_that_nobody_can_write(rows: int) -> None:
    """A device uploads them once (providers/resident.py)."""
    told = {"text_embeds": np.ones((1, 5), np.float32)}
    positive = [term(1, told=told), term(2, told=told, area=Area(4, 4, 2, 2)), term(3, told=told, start_sigma=5.0)]
    network = Small(rows)
    guided = CfgDenoiser(network, positive, [term(-1, told=told)], 7.0)
    steps = []
    for sigma in (9.0, 3.0, 2.0, 9.0, 2.0):
        guided(np.zeros((2, 4, 8, 8), np.float32), np.float32(sigma))
        steps.append([(context, *told.values()) for _, context, told in network.calls])
        network.calls.clear()
    for one, same in ((1, 2), (2, 4)):
        assert [[a is b for a, b in zip(x, y, strict=True)] for x, y in zip(steps[one], steps[same], strict=True)] == [
            [True, True] for _ in steps[one]
        ]
    for array in (array for step in steps for call in step for array in call):
        assert not array.flags.writeable
        assert array.base is None or not array.base.flags.writeable


def test_a_step_makes_nothing_larger_than_the_latents_of_its_call() -> None:
    x = np.zeros((2, 4, 64, 64), np.float32)
    positive = [term(1), term(2, tokens=154, area=Area(32, 32, 16, 16)), term(3, mask=np.ones((1, 99, 99), np.float32))]

    class Free(Small):
        def __call__(self, x: Array, sigma: np.float32, context: Array, told: Told = NOTHING) -> Array:
            return x

    guided = CfgDenoiser(Free(), positive, [term(-1)], 7.0)
    guided(x, SIGMA)
    tracemalloc.start()
    try:
        guided(x, SIGMA)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    rows = 3 * x.nbytes + 2 * x.nbytes // 4  # both calls' latents, which are kept until all predictions are there
    assert peak <= rows + 5 * x.nbytes


def test_calls_of_no_sample_are_refused() -> None:
    with pytest.raises(InputError, match="max_batch is 0"):
        Sides(Small(), ([term(1)],), max_batch=0)


def test_a_network_of_numbers_that_are_none_is_not_hidden() -> None:
    class Broken(Small):
        def __call__(self, x: Array, sigma: np.float32, context: Array, told: Told = NOTHING) -> Array:
            return np.full_like(x, math.nan)

    (cond,) = Sides(Broken(), ([term(1), term(2)],))(np.zeros((1, 4, 2, 2), np.float32), SIGMA, (True,))
    assert np.isnan(cond).all()
