"""The nodes on text conditions: goldens/cfg's n_* arrays, and which options each node sets."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.errors import InputError
from onnxflow.nodes import conditioning as nodes
from onnxflow.nodes.catalog import builtin_catalog
from onnxflow.nodes.spec import NodeSpec
from onnxflow.sampling import discrete_sampling, terms
from onnxflow.sampling.area import Area, AreaShare
from onnxflow.values import Array, Cond, Conditioning, Mask

TOLERANCE = 1e-5
GOLDENS = Path(__file__).parent.parent / "goldens"


@pytest.fixture(scope="module")
def arrays() -> dict[str, Array]:
    with np.load(GOLDENS / "cfg.npz") as found:
        return {name: found[name] for name in found if name.startswith("n_")}


def one(states: Array, pooled: Array | None = None, **options: Any) -> Conditioning:
    return Conditioning((Cond(states, pooled, options),))


def only(conditioning: Any) -> Cond:
    assert isinstance(conditioning, Conditioning)
    (entry,) = conditioning.entries
    return entry


def texts(*values: float, tokens: int = 3, **options: Any) -> Conditioning:
    """Conditions of one number each, with a pooled output."""
    return Conditioning(
        tuple(
            Cond(np.full((1, tokens, 4), value, np.float32), np.full((1, 2), value, np.float32), options)
            for value in values
        )
    )


def same(found: Array | None, expected: Array) -> bool:
    assert found is not None and found.dtype == np.float32 and found.shape == expected.shape
    return bool(np.abs(found - expected).max() <= TOLERANCE * max(1.0, float(np.abs(expected).max())))


@pytest.mark.parametrize(
    ("key", "to", "source", "weight"),
    [
        ("n_avg_a_b_0.3", ("n_a", "n_pa"), ("n_b", "n_pb"), 0.3),
        ("n_avg_a_c_0.75", ("n_a", "n_pa"), ("n_c", "n_pb"), 0.75),
        ("n_avg_b_a_0.5_nopool_to", ("n_b", None), ("n_a", "n_pb"), 0.5),
    ],
)
def test_averages_match(
    key: str, to: tuple[str, str | None], source: tuple[str, str], weight: float, arrays: dict[str, Array]
) -> None:
    target = one(arrays[to[0]], arrays[to[1]] if to[1] else None)
    found = only(nodes.conditioning_average.function(target, one(arrays[source[0]], arrays[source[1]]), weight))
    assert same(found.cross_attn, arrays[key])
    assert same(found.pooled, arrays[f"{key}_pooled"])


def test_concat_and_zeros_match(arrays: dict[str, Array]) -> None:
    a, b = one(arrays["n_a"], arrays["n_pa"]), one(arrays["n_b"], arrays["n_pb"])
    joined = only(nodes.conditioning_concat.function(a, b))
    assert np.array_equal(joined.cross_attn, arrays["n_concat_a_b"])
    assert joined.pooled is a.entries[0].pooled
    zero = only(nodes.conditioning_zero_out.function(a))
    assert np.array_equal(zero.cross_attn, arrays["n_zero"])
    assert zero.pooled is not None and zero.pooled.shape == arrays["n_pa"].shape and not zero.pooled.any()


def test_zeros_have_no_pooled_output_that_was_not_there(arrays: dict[str, Array]) -> None:
    assert only(nodes.conditioning_zero_out.function(one(arrays["n_a"]))).pooled is None


def test_combine_has_the_conditions_of_both() -> None:
    first, second = texts(1, 2), texts(3)
    found = nodes.conditioning_combine.function(first, second)
    assert isinstance(found, Conditioning)
    assert found.entries == first.entries + second.entries


def test_the_first_condition_goes_to_every_other() -> None:
    joined = nodes.conditioning_concat.function(texts(1, 2, strength=3.0), texts(5, 6, tokens=2))
    assert isinstance(joined, Conditioning)
    assert [entry.cross_attn[0, :, 0].tolist() for entry in joined.entries] == [[1, 1, 1, 5, 5], [2, 2, 2, 5, 5]]
    mixed = nodes.conditioning_average.function(texts(1, 2, strength=3.0), texts(5, 6, tokens=2), 0.25)
    assert isinstance(mixed, Conditioning)
    assert [entry.cross_attn[0, :, 0].tolist() for entry in mixed.entries] == [[4, 4, 0.25], [4.25, 4.25, 0.5]]
    assert [entry.pooled[0, 0] for entry in mixed.entries if entry.pooled is not None] == [4, 4.25]
    assert all(entry.extras["strength"] == 3.0 for entry in joined.entries + mixed.entries)


def test_a_pooled_output_stays_where_the_other_text_has_none(arrays: dict[str, Array]) -> None:
    a, b = one(arrays["n_a"], arrays["n_pa"]), one(arrays["n_b"])
    assert only(nodes.conditioning_average.function(a, b, 0.5)).pooled is a.entries[0].pooled
    assert only(nodes.conditioning_average.function(b, b, 0.5)).pooled is None


@given(st.integers(1, 9), st.integers(1, 9), st.floats(0.0, 1.0))
def test_an_average_has_the_tokens_of_its_target(tokens: int, others: int, weight: float) -> None:
    found = only(nodes.conditioning_average.function(texts(1, tokens=tokens), texts(1, tokens=others), weight))
    assert found.cross_attn.shape == (1, tokens, 4)
    assert np.allclose(found.cross_attn[:, :others], 1, atol=1e-6)
    assert np.allclose(found.cross_attn[:, others:], weight, atol=1e-6)


@pytest.mark.parametrize("node", [nodes.conditioning_concat, nodes.conditioning_average])
def test_texts_of_two_models_are_refused(node: NodeSpec) -> None:
    wide = one(np.zeros((1, 3, 5), np.float32))
    with pytest.raises(InputError, match=r"conditioning_to are 4 wide .* conditioning_from 5"):
        node.function(texts(1), wide)
    with pytest.raises(InputError, match="conditioning_from has no entry"):
        node.function(texts(1), Conditioning(()))


def test_pooled_outputs_of_two_models_are_refused() -> None:
    other = one(np.zeros((1, 3, 4), np.float32), np.zeros((1, 3), np.float32))
    with pytest.raises(InputError, match="the pooled output of conditioning_to"):
        nodes.conditioning_average.function(texts(1), other, 0.5)


MASK = Mask(np.ones((1, 5, 6), np.float32))


@pytest.mark.parametrize(
    ("node", "inputs", "options"),
    [
        (
            nodes.conditioning_set_area,
            {"width": 100, "height": 64, "x": 24, "y": 39, "strength": 2.0},
            {"area": (8, 12, 4, 3), "strength": 2.0, "set_area_to_bounds": False},
        ),
        (nodes.conditioning_set_area, {}, {"area": (8, 8, 0, 0), "strength": 1.0, "set_area_to_bounds": False}),
        (
            nodes.conditioning_set_area_percentage,
            {"width": 0.5, "height": 0.4, "x": 0.25, "y": 0.3, "strength": 2.0},
            {"area": ("percentage", 0.4, 0.5, 0.3, 0.25), "strength": 2.0, "set_area_to_bounds": False},
        ),
        (nodes.conditioning_set_area_strength, {"strength": 2.0}, {"strength": 2.0}),
        (
            nodes.conditioning_set_mask,
            {"mask": MASK, "strength": 0.5, "set_cond_area": "default"},
            {"mask": MASK.values, "mask_strength": 0.5, "set_area_to_bounds": False},
        ),
        (
            nodes.conditioning_set_mask,
            {"mask": MASK, "set_cond_area": "mask bounds"},
            {"mask": MASK.values, "mask_strength": 1.0, "set_area_to_bounds": True},
        ),
        (
            nodes.conditioning_set_timestep_range,
            {"start": 0.25, "end": 0.5},
            {"start_percent": 0.25, "end_percent": 0.5},
        ),
    ],
)
def test_options_are_set_on_every_condition(node: NodeSpec, inputs: dict[str, Any], options: dict[str, Any]) -> None:
    before = texts(1, 2, width=512)
    found = node.function(conditioning=before, **inputs)
    assert isinstance(found, Conditioning)
    for entry, old in zip(found.entries, before.entries, strict=True):
        assert entry.cross_attn is old.cross_attn and entry.pooled is old.pooled
        assert entry.extras == {"width": 512, **options}
        assert old.extras == {"width": 512}
    assert len(terms(found, discrete_sampling())) == 2


def test_the_sampler_reads_what_the_nodes_set() -> None:
    entry = texts(1)
    for node, inputs in (
        (nodes.conditioning_set_mask, {"mask": MASK, "strength": 0.5, "set_cond_area": "mask bounds"}),
        (nodes.conditioning_set_timestep_range, {"start": 0.25, "end": 0.5}),
        (nodes.conditioning_set_area, {"width": 96, "height": 64, "x": 8, "y": 16, "strength": 3.0}),
    ):
        entry = node.function(conditioning=entry, **inputs)
    (term,) = terms(entry, discrete_sampling())
    # The area is set last: it counts, and not the bounds of the mask.
    assert (term.area, term.mask_bounds, term.strength, term.mask_strength) == (Area(8, 12, 2, 1), False, 3.0, 0.5)
    assert term.mask is MASK.values
    assert term.start_sigma > term.end_sigma > 0
    (term,) = terms(nodes.conditioning_set_area_percentage.function(entry), discrete_sampling())
    assert term.area == AreaShare(1.0, 1.0, 0.0, 0.0)


def test_the_catalog_has_them() -> None:
    assert [spec.name for spec in builtin_catalog().values() if spec.function.__module__ == nodes.__name__] == [
        "ConditioningCombine",
        "ConditioningConcat",
        "ConditioningAverage",
        "ConditioningSetArea",
        "ConditioningSetAreaPercentage",
        "ConditioningSetAreaStrength",
        "ConditioningSetMask",
        "ConditioningZeroOut",
        "ConditioningSetTimestepRange",
    ]
