import hashlib
import math
import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxflow.errors import InputError
from onnxflow.sampling import Array, BrownianNoise, calculate_sigmas, discrete_sampling
from onnxflow.sampling.brownian import BrownianTree

SHAPE = (1, 4, 2, 3)
STORED = [0, 1, 6, 7]
"""The rows of a case's eight queries that the file has in full."""


def sigma(value: float) -> np.float32:
    return np.float32(value)


def test_increments_are_bit_exact(golden: Callable[[str], Any]) -> None:
    file = golden("noise")
    for case in file.facts["brownian"]:
        tree = BrownianTree(case["sigma_min"], case["sigma_max"], case["shape"], case["seed"])
        pairs = file.arrays[case["key"] + "_pairs"]
        increments = np.stack([tree.increment(float(min(pair)), float(max(pair))) for pair in pairs])
        assert increments.dtype == np.float32
        assert np.array_equal(increments[STORED], file.arrays[case["key"] + "_W"])
        assert hashlib.sha256(increments.astype("<f4").tobytes()).hexdigest() == case["sha256_all_W"]
    assert len(file.facts["brownian"]) == 16


def test_noise_is_that_of_the_reference(golden: Callable[[str], Any]) -> None:
    file = golden("noise")
    for case in file.facts["brownian"]:
        low, high = sigma(case["sigma_min"]), sigma(case["sigma_max"])
        noise = BrownianNoise(case["shape"], low, high, case["seed"])
        drawn = np.stack([noise(*pair) for pair in file.arrays[case["key"] + "_pairs"]])
        assert drawn.dtype == np.float32
        expected = file.arrays[case["key"] + "_noise"]
        assert np.abs(drawn[STORED] - expected).max() <= 1e-6
        # Steps for which PyTorch's square root is the IEEE one: all but one of each schedule.
        assert sum(map(np.array_equal, drawn[STORED], expected)) == 3


times = st.floats(0, 15, width=32)


@given(st.integers(0, 2**64 - 1), st.lists(times, min_size=3, max_size=6))
@settings(max_examples=30)
def test_increments_add_up(seed: int, some: list[float]) -> None:
    tree = BrownianTree(0.03, 14.6, SHAPE, seed)
    some = sorted(some)
    parts = sum((tree.increment(a, b) for a, b in pairwise(some)), np.zeros(SHAPE, np.float32))
    assert np.allclose(parts, tree.increment(some[0], some[-1]), rtol=0, atol=2e-5)


@given(st.integers(0, 2**64 - 1), st.lists(st.tuples(times, times), min_size=1, max_size=4), st.randoms())
@settings(max_examples=30)
def test_noise_does_not_depend_on_what_was_asked_before(
    seed: int, pairs: list[tuple[float, float]], random: Any
) -> None:
    queries = [(sigma(a), sigma(b)) for a, b in pairs]
    fresh = {query: BrownianNoise(SHAPE, sigma(0.03), sigma(14.6), seed)(*query) for query in queries}
    noise = BrownianNoise(SHAPE, sigma(0.03), sigma(14.6), seed)
    random.shuffle(queries)
    for query in [*queries, *queries]:
        assert np.array_equal(noise(*query), fresh[query])


def test_noise_handed_out_is_not_kept() -> None:
    noise = BrownianNoise(SHAPE, sigma(1), sigma(9), 0)
    for query in ((sigma(9), sigma(1)), (sigma(5), sigma(1)), (sigma(3), sigma(1))):
        first = noise(*query).copy()
        noise(*query).fill(7)
        assert np.array_equal(noise(*query), first)


@given(times, times)
@settings(max_examples=20)
def test_a_rising_level_turns_the_sign(a: float, b: float) -> None:
    noise = BrownianNoise(SHAPE, sigma(0.03), sigma(14.6), 5)
    assert np.array_equal(noise(sigma(a), sigma(b)), -noise(sigma(b), sigma(a)))


def test_a_reversed_range_turns_the_sign() -> None:
    forward, backward = (BrownianNoise(SHAPE, sigma(a), sigma(b), 5) for a, b in ((1, 9), (9, 1)))
    assert np.array_equal(forward(sigma(4), sigma(2)), -backward(sigma(4), sigma(2)))


def test_all_64_bits_of_the_seed_count() -> None:
    drawn = [
        BrownianNoise(SHAPE, sigma(1), sigma(9), seed)(sigma(7), sigma(3)) for seed in (0, *(1 << b for b in range(64)))
    ]
    assert len({values.tobytes() for values in drawn}) == 65
    negative = BrownianNoise(SHAPE, sigma(1), sigma(9), -1)(sigma(7), sigma(3))
    assert np.array_equal(negative, BrownianNoise(SHAPE, sigma(1), sigma(9), 2**64 - 1)(sigma(7), sigma(3)))


def test_another_range_is_another_path() -> None:
    one, other = (BrownianNoise(SHAPE, sigma(low), sigma(9), 0)(sigma(7), sigma(3)) for low in (1, 1.5))
    assert not np.array_equal(one, other)


def test_noise_of_a_run_is_standard_normal_and_independent() -> None:
    levels = calculate_sigmas(discrete_sampling(), "karras", 10)
    noise = BrownianNoise((1, 4, 64, 64), levels[-2], levels[0], 3)
    drawn = np.stack([noise(a, b).ravel() for a, b in pairwise(levels[:-1])]).astype(np.float64)
    size = drawn.shape[1]
    assert np.abs(drawn.mean(axis=1)).max() < 4 / math.sqrt(size)
    assert np.abs(drawn @ drawn.T / size - np.eye(len(drawn))).max() < 5 * math.sqrt(2 / size)


def test_levels_outside_the_range_are_taken_as_its_ends() -> None:
    tree = BrownianTree(1, 9, SHAPE, 0)
    assert np.array_equal(tree.increment(0, 20), tree.increment(1, 9))
    noise = BrownianNoise(SHAPE, sigma(1), sigma(9), 0)
    last = noise(sigma(4), sigma(0))
    assert np.allclose(last, noise(sigma(4), sigma(1)) * math.sqrt(3 / 4), rtol=1e-6)
    assert not noise(sigma(1), sigma(0)).any()


@pytest.mark.parametrize("pair", [(3, 3), (3, np.nextafter(np.float32(3), np.float32(4))), (0, 0), (0, 0.5), (20, 30)])
def test_an_empty_step_has_no_noise(pair: tuple[float, float]) -> None:
    noise = BrownianNoise(SHAPE, sigma(1), sigma(9), 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for query in (pair, pair[::-1]):
            assert np.array_equal(noise(sigma(query[0]), sigma(query[1])), np.zeros(SHAPE, np.float32))


def test_a_schedule_of_one_level_has_no_noise() -> None:
    noise = BrownianNoise(SHAPE, sigma(3), sigma(3), 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for query in ((3, 0), (3, 3), (5, 2)):
            assert np.array_equal(noise(sigma(query[0]), sigma(query[1])), np.zeros(SHAPE, np.float32))


@given(st.floats(0, 2.0**20, width=32), st.floats(0, 2.0**20, width=32), times, times)
@settings(max_examples=30)
def test_any_range_gives_finite_noise(low: float, high: float, a: float, b: float) -> None:
    noise = BrownianNoise((1, 1, 1, 2), sigma(low), sigma(high), 0)
    assert np.isfinite(noise(sigma(a), sigma(b))).all()


def test_what_is_kept_does_not_grow() -> None:
    levels = calculate_sigmas(discrete_sampling(), "karras", 60)
    tree = BrownianTree(float(levels[-2]), float(levels[0]), SHAPE, 0)
    for a, b in pairwise(levels[:-1]):
        tree.increment(float(b), float(a))
        assert len(tree._halves) < 60


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_level_that_is_no_number_is_refused(bad: float) -> None:
    with pytest.raises(InputError, match="finite"):
        BrownianNoise(SHAPE, sigma(1), sigma(bad), 0)
    noise = BrownianNoise(SHAPE, sigma(1), sigma(9), 0)
    for query in ((sigma(2), sigma(bad)), (sigma(bad), sigma(2))):
        with pytest.raises(InputError, match="finite"):
            noise(*query)


def test_a_bad_seed_is_refused() -> None:
    with pytest.raises(InputError, match="seed"):
        BrownianNoise(SHAPE, sigma(1), sigma(9), 2**64)


def test_a_few_values_are_drawn_in_double_precision_by_a_fresh_stream_each() -> None:
    # Draws of fewer than 16 values keep a spare normal, which must not reach the next interval's draw.
    def walk(noise: BrownianNoise) -> Array:
        return noise(sigma(7), sigma(3))

    one = BrownianNoise((1, 1, 1, 3), sigma(1), sigma(9), 0)
    first = walk(one)
    one(sigma(8), sigma(7.5))
    assert np.array_equal(walk(one), first)
