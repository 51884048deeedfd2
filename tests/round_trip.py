"""A workflow in the API format, as an editor saves it, and what comes back of it."""

from __future__ import annotations

from datetime import datetime
from random import Random
from typing import Any

from onnxflow.graph.graph import Link, Node
from onnxflow.workflow.api import parse_api
from onnxflow.workflow.definitions import comfyui_definition
from onnxflow.workflow.ui.convert import Circumstances, to_api
from onnxflow.workflow.ui.drawing import SHOWN
from onnxflow.workflow.ui.from_api import FromApi, to_ui

Found = dict[str, tuple[str, dict[str, Any], str, str]]
"""By id: the class, the inputs, the title and the place."""


def made(document: dict[str, Any]) -> FromApi:
    return to_ui(document, comfyui_definition, "wf.json")


def returned(found: FromApi) -> Found:
    """What is sent of it, under the ids that there were."""
    old = {str(number): node_id for node_id, number in found.ids.items()}
    now = Circumstances(Random(4), datetime(2026, 3, 7, 8, 9, 5))
    back = parse_api(to_api(found.document, comfyui_definition, now, "wf.json").document, "wf.json")
    return {
        old[node.id]: (
            node.class_type,
            {
                name: Link(old[value.node], value.slot) if isinstance(value, Link) else value
                for name, value in node.inputs.items()
            },
            node.title,
            node.place,
        )
        for node in back.nodes.values()
    }


def wanted(document: dict[str, Any]) -> Found:
    """What should be sent: without what editors send of what they show."""

    def title(node: Node) -> str:
        definition = comfyui_definition(node.class_type)
        return node.title or (definition.title if definition is not None else node.class_type)

    return {
        node.id: (
            node.class_type,
            {name: value for name, value in node.inputs.items() if name not in SHOWN.get(node.class_type, ())},
            title(node),
            node.place,
        )
        for node in parse_api(document, "wf.json").nodes.values()
    }


def comes_back(document: dict[str, Any]) -> FromApi:
    found = made(document)
    assert returned(found) == wanted(document)
    assert found.remarks == ()
    return found
