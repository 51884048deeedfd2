import hashlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.errors import InputError
from onnxflow.sampling import Array, SeededNoise, TorchGenerator, check_seed, next_seed, prepare_noise


def sha256(values: Array) -> str:
    return hashlib.sha256(np.ascontiguousarray(values, "<f4").tobytes()).hexdigest()


def check(case: dict[str, Any], values: Array, arrays: dict[str, Array]) -> None:
    assert list(values.shape) == case["shape"]
    assert values.dtype == np.float32
    if case["stored"] == "full":
        assert np.array_equal(values, arrays[case["key"]])
    assert sha256(values) == case["sha256"]


def test_starting_noise_is_bit_exact(golden: Callable[[str], Any]) -> None:
    noise = golden("noise")
    for case in noise.facts["prepare_noise"]:
        check(case, prepare_noise(case["shape"], case["seed"]), noise.arrays)
    assert len(noise.facts["prepare_noise"]) == 35


def test_noise_by_batch_index_is_bit_exact(golden: Callable[[str], Any]) -> None:
    noise = golden("noise")
    for case in noise.facts["noise_inds"]:
        check(case, prepare_noise(case["shape"], case["seed"], case["noise_inds"]), noise.arrays)
    assert len(noise.facts["noise_inds"]) == 4


def test_a_sequence_of_draws_is_bit_exact(golden: Callable[[str], Any]) -> None:
    noise = golden("noise")
    sigma = np.float32(1)
    for case in noise.facts["sequence"]:
        source = SeededNoise(case["seed"], case["shape"][1:])
        check(case, np.stack([source(sigma, sigma) for _ in range(case["draws"])]), noise.arrays)
    assert len(noise.facts["sequence"]) == 12


def test_only_the_low_32_bits_of_a_seed_count() -> None:
    for seed, same in ((2**32 + 5, 5), (2**63 + 11, 11), (2**64 - 1, 2**32 - 1), (-1, 2**32 - 1), (-(2**63), 0)):
        assert np.array_equal(prepare_noise((1, 4, 8, 8), seed), prepare_noise((1, 4, 8, 8), same))


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.sampled_from([(1, 4, 2, 2), (3,), (1, 1, 1, 5), (1, 4, 7, 9), (17,), (15,), (0, 4)]), max_size=4),
    st.sampled_from([(1, 4, 2, 2), (5,), (1, 4, 7, 9)]),
)
def test_skipping_a_draw_is_drawing_it(seed: int, skipped: list[tuple[int, ...]], shape: tuple[int, ...]) -> None:
    drawn, moved = TorchGenerator(seed), TorchGenerator(seed)
    for one in skipped:
        drawn.randn(one)
        moved.skip(one)
    assert np.array_equal(drawn.randn(shape), moved.randn(shape))


@given(st.integers(0, 2**64 - 1), st.lists(st.integers(0, 6), min_size=1, max_size=5))
def test_a_batch_index_picks_the_draws_of_that_place(seed: int, index: list[int]) -> None:
    generator = TorchGenerator(seed)
    draws = [generator.randn((1, 4, 3, 5)) for _ in range(7)]
    got = prepare_noise((len(index), 4, 3, 5), seed, index)
    assert np.array_equal(got, np.concatenate([draws[i] for i in index]))


def test_noise_is_standard_normal() -> None:
    values = TorchGenerator(1).randn((1 << 20,)).astype(np.float64)
    assert abs(values.mean()) < 4 / math.sqrt(values.size)
    assert abs(values.var() - 1) < 4 * math.sqrt(2 / values.size)


def test_the_seed_of_step_noise_follows_the_rule() -> None:
    assert next_seed(7) == 8
    assert next_seed(7, "same") == 7
    assert next_seed(2**64 - 1) == 0


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1, 1.5, "7", True, None])
def test_a_bad_seed_is_refused(seed: Any) -> None:
    with pytest.raises(InputError, match="seed"):
        check_seed(seed)


@pytest.mark.parametrize("index", [[], [0], [0, -1], [0, 1, 2]])
def test_a_bad_batch_index_is_refused(index: list[int]) -> None:
    with pytest.raises(InputError, match="batch_index"):
        prepare_noise((2, 4, 8, 8), 0, index)
