"""Changing inputs from outside."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import CATALOG, workflow

from onnxflow.errors import UsageError
from onnxflow.graph.graph import Link
from onnxflow.workflow.overrides import (
    Override,
    apply_overrides,
    apply_seed,
    parse_override,
    raise_seeds,
    seeds,
)

WORKFLOW = workflow(
    s=("Start", {"value": 2}),
    a=("Add", {"a": ("s", 0), "b": ("s", 0), "scale": 1.0}),
    b=("Add", {"a": ("s", 0), "b": ("s", 0), "scale": 1.0}),
    o=("Show", {"number": ("a", 0), "label": "x"}),
    k=("Sampler", {"seed": 5, "noise_seed": 6}),
    m=("Sampler", {"seed": ("s", 0)}),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3.seed=7", Override("3", "seed", 7)),
        ("8:5.cfg=4.5", Override("8:5", "cfg", 4.5)),
        ("My Node.text=a = b.c", Override("My Node", "text", "a = b.c")),
        ("6.text=", Override("6", "text", "")),
        ("6.on=true", Override("6", "on", True)),
        ('6.link=["4", 0]', Override("6", "link", ["4", 0])),
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


def test_a_text_input_keeps_numbers_as_texts_and_an_array_is_a_link() -> None:
    inputs, _ = changed("o", "label", 7)
    assert inputs["o"]["label"] == "7"
    inputs, documents = changed("o", "number", ["b", 0])
    assert inputs["o"]["number"] == Link("b", 0) and documents["o"]["number"] == ["b", 0]


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
