"""Whatever the graph, it comes back from the editor's format, or what does not is named."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from importlib.resources import files
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from round_trip import comes_back, made, returned, wanted

from onnxflow.workflow.definition import Definition
from onnxflow.workflow.definitions import comfyui_definition, comfyui_names
from onnxflow.workflow.ui.text import PREFIXED

TEXTS = st.text(st.one_of(st.sampled_from("{}|\\/*%:.\n"), st.characters(codec="utf-8")), max_size=20)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "INT": st.integers(-(2**53), 2**53),
    "FLOAT": st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-100, 100)),
    "BOOLEAN": st.booleans(),
}


@lru_cache
def ranges() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files("onnxflow.workflow").joinpath("comfyui_classes.json").read_bytes())
    return found


def values(definition: Definition, name: str) -> st.SearchStrategy[Any]:
    """What a widget may hold: a number in its range, a choice, any text."""
    one = next(one for one in definition.widgets if one.name == name)
    sections = ranges()[definition.name]["input"]
    described = next(section[name] for section in sections.values() if name in section)
    options = described[1] if len(described) > 1 else {}
    if one.choices:
        return st.sampled_from(one.choices)
    low, high = options.get("min"), options.get("max")
    if low is not None and high is not None and one.type == "INT":
        return st.integers(max(low, -(2**53)), min(high, 2**53))
    if low is not None and high is not None and one.type == "FLOAT":
        return st.floats(float(low), float(high), allow_nan=False)
    return VALUES.get(one.type, TEXTS)


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, Any]:
    """Nodes of known classes under any ids, with links of matching types, which may go in circles."""
    ids = draw(st.lists(st.one_of(st.integers(0, 40).map(str), TEXTS), min_size=1, max_size=8, unique=True))
    classes = {key: draw(st.sampled_from(comfyui_names())) for key in ids}
    origins: dict[str, list[list[Any]]] = {}
    for key, name in classes.items():
        for slot, output in enumerate(_defined(name).outputs):
            origins.setdefault(output.type, []).append([key, slot])
    document = {}
    for key, name in classes.items():
        definition = _defined(name)
        inputs: dict[str, Any] = {}
        for one in definition.inputs:
            fitting = origins.get(one.type, [])
            if fitting and draw(st.integers(0, 2 if one.widget else 4)) > (1 if one.widget else 0):
                inputs[one.name] = draw(st.sampled_from(fitting))
            elif one.widget:
                inputs[one.name] = draw(values(definition, one.name))
        title = draw(st.one_of(st.just(definition.title), TEXTS))
        meta = {"title": title, "onnxflow": {"place": draw(st.sampled_from(["", "cpu", "unet=cuda:0"]))}}
        document[key] = {"class_type": name, "inputs": inputs, "_meta": meta}
    return document


def _defined(name: str) -> Definition:
    definition = comfyui_definition(name)
    assert definition is not None
    return definition


def test_every_known_class_comes_back() -> None:
    """All of them in one workflow, each with what editors put into a new node and with every link that fits."""
    document: dict[str, Any] = {}
    origins: dict[str, list[Any]] = {}
    for number, name in enumerate(comfyui_names()):
        for slot, output in enumerate(_defined(name).outputs):
            origins.setdefault(output.type, [str(number), slot])
    for number, name in enumerate(comfyui_names()):
        definition = _defined(name)
        inputs = {one.name: one.initial for one in definition.widgets if one.initial is not None}
        inputs |= {one.name: origins[one.type] for one in definition.sockets if one.type in origins}
        document[str(number)] = {"class_type": name, "inputs": inputs}
    assert len(document) == 382
    comes_back(document)


def cannot_be_written(class_type: str, name: str, value: Any) -> bool:
    """Whether it is one of the texts that an editor would change however they are written."""
    if not isinstance(value, str):
        return False
    odd = re.search(r"(?<!\\)(\\\\)*\\\{", value) is not None
    return odd or (class_type in PREFIXED and name == "filename_prefix" and value.count("%") > 1)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(graphs())
def test_any_graph_of_known_classes_comes_back(document: dict[str, Any]) -> None:
    found = made(document)
    back, expected = returned(found), wanted(document)
    lost = [
        (key, name)
        for key, (class_type, inputs, _, _) in expected.items()
        for name, value in inputs.items()
        if value != back[key][1].get(name) and cannot_be_written(class_type, name, value)
    ]
    for key, name in lost:
        del back[key][1][name], expected[key][1][name]
    assert back == expected
    assert len(found.remarks) == len(lost)
    numbers = [node["id"] for node in found.document["nodes"]]
    assert len(set(numbers)) == len(numbers) == len(document)
    assert sorted(node["order"] for node in found.document["nodes"]) == list(range(len(document)))


ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(TEXTS, inner, max_size=2),
        st.fixed_dictionaries({"__value__": inner}),
        st.tuples(st.sampled_from(["1", "2", "a"]), st.integers(-2, 4)).map(list),
    ),
    max_leaves=5,
)
NAMES = st.one_of(TEXTS, st.sampled_from(["text", "seed", "model", "image", "filename_prefix", "source", "clip"]))
CLASSES = st.one_of(
    TEXTS,
    st.sampled_from(["CLIPTextEncode", "KSampler", "PreviewAny", "SaveImage", "Reroute", "PrimitiveNode", "Note"]),
)


@given(
    st.dictionaries(
        st.sampled_from(["1", "2", "a", "b:1"]),
        st.fixed_dictionaries({"class_type": CLASSES, "inputs": st.dictionaries(NAMES, ANYTHING, max_size=5)}),
        max_size=4,
    )
)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_whatever_it_is_what_is_not_named_comes_back(document: dict[str, Any]) -> None:
    found = made(document)
    back, expected = returned(found), wanted(document)
    assert json.loads(json.dumps(found.document, allow_nan=True))["version"] == 0.4
    for key, (class_type, inputs, _, _) in expected.items():
        remarks = [one for one in found.remarks if one.startswith((f"node {key} ", f"node {key}:"))]
        if key not in back:
            assert remarks
            continue
        assert back[key][0] == class_type or remarks
        for name, value in inputs.items():
            same = repr(back[key][1].get(name)) == repr(value) and name in back[key][1]
            assert same or any(repr(name) in one for one in remarks)
