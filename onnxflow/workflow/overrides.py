"""Changing inputs of a workflow from outside: ``--set NODE.INPUT=VALUE`` and ``--seed``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from onnxflow.errors import UsageError, did_you_mean
from onnxflow.graph.graph import BadLink, Graph, Link, Node
from onnxflow.nodes.spec import NodeSpec
from onnxflow.workflow.workflow import Workflow

SEED_NAMES = ("seed", "noise_seed")


@dataclass(frozen=True, slots=True)
class Override:
    """One input to change: the node by id, or by class or title when only one node has it."""

    node: str
    input: str
    value: Any


def parse_override(text: str) -> Override:
    """``NODE.INPUT=VALUE`` -> Override; the value is JSON where it reads as JSON, else text. UsageError otherwise."""
    target, equals, value = text.partition("=")
    node, dot, name = target.rpartition(".")
    if not equals or not dot or not node or not name:
        raise UsageError(
            f"--set {text!r} is not NODE.INPUT=VALUE", hint="for example --set 3.seed=7 or --set KSampler.steps=30"
        )
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError):
        parsed = value
    return Override(node.strip(), name.strip(), parsed)


def apply_overrides(workflow: Workflow, overrides: list[Override], catalog: Mapping[str, NodeSpec]) -> Workflow:
    """A copy of the workflow with the inputs changed; UsageError names a node or an input that is not there."""
    changes: dict[str, dict[str, Any]] = {}
    for override in overrides:
        node = _find(workflow.graph, override.node)
        spec = catalog.get(node.class_type)
        names = list(spec.by_name) if spec else list(node.inputs)
        if override.input not in names:
            raise UsageError(
                f"{node.ref} has no input {override.input!r}", hint=did_you_mean(override.input, names, what="inputs")
            )
        declared = spec.by_name[override.input].type if spec else ""
        # `--set 6.text=7` means the text "7", not the number.
        value = override.value
        if declared == "STRING" and not isinstance(value, str):
            value = value if isinstance(value, (dict, list)) else json.dumps(value)
        changes.setdefault(node.id, {})[override.input] = value
    return _changed(workflow, changes)


def apply_seed(workflow: Workflow, seed: int) -> tuple[Workflow, tuple[str, ...]]:
    """A copy with every typed-in seed set to ``seed``, and which inputs those were, as "id.input"."""
    changes = {
        node.id: {name: seed for name in SEED_NAMES if isinstance(node.inputs.get(name), (int, float, str))}
        for node in workflow.graph.nodes.values()
    }
    changes = {node: found for node, found in changes.items() if found}
    return _changed(workflow, changes), tuple(f"{node}.{name}" for node, found in changes.items() for name in found)


def seeds(workflow: Workflow) -> dict[str, int]:
    """Every typed-in seed, by "id.input"."""
    return {
        f"{node.id}.{name}": value
        for node in workflow.graph.nodes.values()
        for name in SEED_NAMES
        if isinstance(value := node.inputs.get(name), int) and not isinstance(value, bool)
    }


def raise_seeds(workflow: Workflow, by: int) -> Workflow:
    """A copy with every typed-in seed raised by ``by``, as the editor's "increment" does; it wraps at 64 bits."""
    changes: dict[str, dict[str, Any]] = {}
    for name, value in seeds(workflow).items():
        node, _, input_name = name.rpartition(".")
        changes.setdefault(node, {})[input_name] = (value + by) % 2**64
    return _changed(workflow, changes)


def _find(graph: Graph, name: str) -> Node:
    if name in graph.nodes:
        return graph.nodes[name]
    matching = [node for node in graph.nodes.values() if name in (node.class_type, node.title)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        ids = ", ".join(node.id for node in matching)
        raise UsageError(f"{len(matching)} nodes are called {name!r}", hint=f"name one by its id: {ids}")
    known = [*graph.nodes, *(node.class_type for node in graph.nodes.values())]
    raise UsageError(f"the workflow has no node {name!r}", hint=did_you_mean(name, dict.fromkeys(known), what="nodes"))


def _changed(workflow: Workflow, changes: Mapping[str, Mapping[str, Any]]) -> Workflow:
    if not changes:
        return workflow
    nodes = dict(workflow.graph.nodes)
    document = dict(workflow.document)
    for node_id, inputs in changes.items():
        entry = document[node_id]
        document[node_id] = {**entry, "inputs": {**entry.get("inputs", {}), **inputs}}
        node = nodes[node_id]
        nodes[node_id] = replace(node, inputs={**node.inputs, **{k: _input(v) for k, v in inputs.items()}})
    return replace(workflow, graph=Graph(nodes), document=document)


def _input(value: Any) -> Any:
    if isinstance(value, list):
        is_link = len(value) == 2 and isinstance(value[0], str) and type(value[1]) is int
        return Link(value[0], value[1]) if is_link else BadLink(value)
    return value
