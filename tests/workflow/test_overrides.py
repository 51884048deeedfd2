"""Changing inputs from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import CATALOG, workflow

from onnxflow.errors import UsageError
from onnxflow.graph.graph import Link
from onnxflow.workflow.overrides import (
    Override,
    apply_overrides,
    apply_seed,
    override,
    parse_override,
    raise_seeds,
    seeded_nodes,
    seeds,
)

WORKFLOW = workflow(
    s=("Start", {"value": 2}),
    a=("Add", {"a": ("s", 0), "b": ("s", 0), "scale": 1.0}),
    b=("Add", {"a": ("s", 0), "b": ("s", 0), "scale": 1.0}),
    o=("Show", {"number": ("a", 0), "label": "x"}),
    k=("Sampler", {"seed": 5, "noise_seed": 6}),
    m=("Sampler", {"seed": ("s", 0)}),
    p=("Pair", {"name": "left"}),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3.seed=7", Override("3", "seed", "7", typed=True)),
        ("My Node.text=a = b.c", Override("My Node", "text", "a = b.c", typed=True)),
        ("8:5.text=", Override("8:5", "text", "", typed=True)),
    ],
)
def test_parse(text: str, expected: Override) -> None:
    assert parse_override(text) == expected


@pytest.mark.parametrize("text", ["", "3", "3.seed", "seed=7", ".seed=7", "3.=7", "=7"])
def test_what_is_no_override(text: str) -> None:
    with pytest.raises(UsageError):
        parse_override(text)


def changed(node: str, name: str, value: Any) -> Any:
    found = apply_overrides(WORKFLOW, [Override(node, name, value)], CATALOG)
    inputs = {i: n.inputs for i, n in found.graph.nodes.items()}
    documents = {i: d["inputs"] for i, d in found.document.items()}
    return inputs, documents


def test_by_id_class_and_title() -> None:
    for node in ("s", "Start", "The s"):
        inputs, documents = changed(node, "value", 8)
        assert inputs["s"]["value"] == documents["s"]["value"] == 8
    assert WORKFLOW.document["s"]["inputs"] == {"value": 2}, "the original is left alone"


@pytest.mark.parametrize("typed", ["1.10", "7", "1e3", '"quoted"', '["a","b"]', "true", "null", "{a|b}", ""])
def test_a_text_stays_as_it_was_typed(typed: str) -> None:
    found = apply_overrides(WORKFLOW, [parse_override(f"o.label={typed}")], CATALOG)
    assert found.graph.nodes["o"].inputs["label"] == found.document["o"]["inputs"]["label"] == typed
    found = apply_overrides(WORKFLOW, [parse_override(f"p.name={typed}")], CATALOG)
    assert found.graph.nodes["p"].inputs["name"] == typed


@pytest.mark.parametrize(("typed", "value"), [("7", 7), ("4.5", 4.5), ("true", True), ("seven", "seven")])
def test_other_values_are_json_where_they_read_as_json(typed: str, value: Any) -> None:
    found = apply_overrides(WORKFLOW, [parse_override(f"s.value={typed}")], CATALOG)
    assert found.graph.nodes["s"].inputs["value"] == value


def test_a_link_is_a_link_anywhere() -> None:
    for name in ("number", "label"):
        found = apply_overrides(WORKFLOW, [parse_override(f'o.{name}=["b", 0]')], CATALOG)
        assert found.graph.nodes["o"].inputs[name] == Link("b", 0)
        assert found.document["o"]["inputs"][name] == ["b", 0]


def test_values_of_a_program_become_json() -> None:
    assert override("3.seed", np.int64(7)) == Override("3", "seed", 7)
    assert type(override("3.seed", np.int64(7)).value) is int
    assert override("3.cfg", np.float32(0.5)).value == 0.5
    assert override("3.model", ("4", 0)).value == ["4", 0]
    for target, value in (
        ("3.text", Path("x")),
        ("3.x", object()),
        ("seed", 1),
        (".seed", 1),
        ("3.a", np.zeros(3)),
    ):
        with pytest.raises(UsageError):
            override(target, value)


def test_which_nodes_change_with_the_seeds() -> None:
    more = workflow(
        s=("Start", {"value": 2}),
        k=("Sampler", {"seed": "5", "x": ("s", 0)}),
        d=("Decode", {"x": ("k", 0)}),
        o=("Show", {"number": ("d", 0), "label": ""}),
        q=("Show", {"number": ("s", 0), "label": ""}),
    )
    assert seeded_nodes(more) == {"k", "d", "o"}
    assert seeds(raise_seeds(more, 1)) == {"k.seed": 6}


@pytest.mark.parametrize(
    ("node", "name", "words"),
    [
        ("Add", "scale", "name one by its id: a, b"),
        ("Strat", "value", "did you mean 'Start'"),
        ("s", "vlaue", "did you mean 'value'"),
        ("zzzzzz", "value", "the workflow has no node"),
    ],
)
def test_what_is_not_there(node: str, name: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        changed(node, name, 1)
    assert words in caught.value.render()


def test_a_seed_goes_to_every_typed_in_seed() -> None:
    found, names = apply_seed(WORKFLOW, 9)
    assert names == ("k.seed", "k.noise_seed")
    assert seeds(found) == {"k.seed": 9, "k.noise_seed": 9}
    assert found.document["k"]["inputs"] == {"seed": 9, "noise_seed": 9}
    assert found.graph.nodes["m"].inputs["seed"] == Link("s", 0)


def test_raising_seeds_wraps_at_64_bits() -> None:
    assert seeds(raise_seeds(WORKFLOW, 2)) == {"k.seed": 7, "k.noise_seed": 8}
    assert seeds(raise_seeds(apply_seed(WORKFLOW, 2**64 - 1)[0], 1)) == {"k.seed": 0, "k.noise_seed": 0}
