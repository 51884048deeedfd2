"""Primitives through the check and a run: what is typed in arrives in its type."""

import math
from pathlib import Path
from typing import Any

import pytest
from fakes import disk_at, workflow

from onnxflow.engine.events import Event
from onnxflow.engine.run import run_workflow
from onnxflow.errors import WorkflowError
from onnxflow.nodes.catalog import builtin_catalog
from onnxflow.providers.session import SessionCache


def shown(folder: Path, kind: str, value: Any) -> str:
    """What PreviewAny says of the primitive ``kind`` with ``value`` typed in."""
    events: list[Event] = []
    graph = workflow(p=(kind, {"value": value}), s=("PreviewAny", {"source": ("p", 0)}))
    run_workflow(graph, builtin_catalog(), disk_at(folder), SessionCache(), listeners=[events.append])
    (output,) = [event.data["output"] for event in events if event.type == "executed"]
    (text,) = output["text"]
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("PrimitiveInt", 7, "7"),
        ("PrimitiveInt", 2**63 - 1, "9223372036854775807"),
        ("PrimitiveInt", "64", "64"),
        ("PrimitiveInt", 64.7, "64"),
        ("PrimitiveFloat", 1, "1.0"),
        ("PrimitiveFloat", 0.1, "0.1"),
        ("PrimitiveFloat", 1e18, "1e+18"),
        ("PrimitiveString", "a\nb", "a\nb"),
        ("PrimitiveString", 7, "7"),
        ("PrimitiveStringMultiline", "", ""),
        ("PrimitiveBoolean", True, "True"),
        ("PrimitiveBoolean", 0, "False"),
    ],
)
def test_values(kind: str, value: Any, expected: str, tmp_path: Path) -> None:
    assert shown(tmp_path, kind, value) == expected


@pytest.mark.parametrize(
    ("kind", "value", "code"),
    [
        ("PrimitiveInt", 2**63, "value_bigger_than_max"),
        ("PrimitiveInt", -(2**63), "value_smaller_than_min"),
        ("PrimitiveInt", "seven", "invalid_input_type"),
        ("PrimitiveFloat", 1e19, "value_bigger_than_max"),
        ("PrimitiveFloat", math.inf, "invalid_input_type"),
    ],
)
def test_values_that_are_none(kind: str, value: Any, code: str, tmp_path: Path) -> None:
    with pytest.raises(WorkflowError) as caught:
        shown(tmp_path, kind, value)
    assert [problem.code for problem in caught.value.problems] == [code]


@pytest.mark.parametrize(
    "kind", ["PrimitiveInt", "PrimitiveFloat", "PrimitiveString", "PrimitiveStringMultiline", "PrimitiveBoolean"]
)
def test_a_value_that_is_missing_is_to_be_typed_in(kind: str, tmp_path: Path) -> None:
    graph = workflow(p=(kind, {}), s=("PreviewAny", {"source": ("p", 0)}))
    with pytest.raises(WorkflowError) as caught:
        run_workflow(graph, builtin_catalog(), disk_at(tmp_path), SessionCache())
    (problem,) = caught.value.problems
    assert problem.code == "required_input_missing"
    assert problem.hint == "give value a value"
