"""Changing inputs of a workflow from outside: ``--set NODE.INPUT=VALUE`` and ``--seed``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from onnxflow.errors import UsageError, did_you_mean, shown
from onnxflow.graph.graph import Graph, Link, Node
from onnxflow.graph.order import descendants
from onnxflow.nodes.spec import NodeSpec
from onnxflow.workflow.api import parse_input
from onnxflow.workflow.workflow import Workflow

SEED_NAMES = ("seed", "noise_seed")


@dataclass(frozen=True, slots=True)
class Override:
    """One input to change: the node by id, or by class or title when only one node has it.

    ``value`` is JSON, or with ``typed`` a text as a person typed it, read by the type of the input it goes to.
    """

    node: str
    input: str
    value: Any
    typed: bool = False


def parse_override(text: str) -> Override:
    """``NODE.INPUT=VALUE`` -> Override with the value as it was typed. UsageError otherwise."""
    target, equals, value = text.partition("=")
    node, input_name = _split_target(target)
    if not equals or not node:
        raise UsageError(
            f"--set {text!r} is not NODE.INPUT=VALUE", hint="for example --set 5.seed=7 or --set KSampler.steps=30"
        )
    return Override(node, input_name, value, typed=True)


def override(target: str, value: Any) -> Override:
    """The override of ``target``, "NODE.INPUT", with a Python value; UsageError when it is none or no JSON."""
    node, input_name = _split_target(target)
    if not node:
        raise UsageError(f"the override {target!r} is not NODE.INPUT", hint='for example {"3.seed": 7}')
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()  # a numpy number
    try:
        value = json.loads(json.dumps(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(
            f"the override {target!r} has a value that no workflow can hold: {shown(value)} ({error})",
            hint="numbers, texts, true or false, and links as [node, output]",
        ) from None
    return Override(node, input_name, value)


def _split_target(target: str) -> tuple[str, str]:
    """Node and input of "NODE.INPUT"; two empty texts when there is no such thing in it."""
    node, _, name = target.rpartition(".")
    return (node.strip(), name.strip()) if node.strip() and name.strip() else ("", "")


def apply_overrides(workflow: Workflow, overrides: list[Override], catalog: Mapping[str, NodeSpec]) -> Workflow:
    """A copy of the workflow with the inputs changed; UsageError names a node or an input that is not there."""
    changes: dict[str, dict[str, Any]] = {}
    for change in overrides:
        node = find_node(workflow.graph, change.node)
        spec = catalog.get(node.class_type)
        names = list(spec.by_name) if spec else list(node.inputs)
        if change.input not in names:
            raise UsageError(
                f"{node.ref} has no input {change.input!r}", hint=did_you_mean(change.input, names, what="inputs")
            )
        declared = spec.by_name[change.input].type if spec else ""
        value = _typed_value(change.value, declared) if change.typed else change.value
        changes.setdefault(node.id, {})[change.input] = value
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
    found = {}
    for node in workflow.graph.nodes.values():
        for name in SEED_NAMES:
            value = node.inputs.get(name)
            if isinstance(value, (int, float, str)):
                try:
                    found[f"{node.id}.{name}"] = int(value)  # as the check will turn it into an INT
                except (ValueError, OverflowError):
                    continue
    return found


def raise_seeds(workflow: Workflow, by: int) -> Workflow:
    """A copy with every typed-in seed raised by ``by``, as the editor's "increment" does; it wraps at 64 bits."""
    changes: dict[str, dict[str, Any]] = {}
    for name, value in seeds(workflow).items():
        node, _, input_name = name.rpartition(".")
        changes.setdefault(node, {})[input_name] = (value + by) % 2**64
    return _changed(workflow, changes)


def seeded_nodes(workflow: Workflow) -> frozenset[str]:
    """The ids of the nodes whose results change with a typed-in seed: those that have one, and all that follow."""
    children: dict[str, list[str]] = {}
    for node in workflow.graph.nodes.values():
        for value in node.inputs.values():
            if type(value) is Link:
                children.setdefault(value.node, []).append(node.id)
    return frozenset(descendants({name.rpartition(".")[0] for name in seeds(workflow)}, lambda i: children.get(i, ())))


def find_node(graph: Graph, name: str) -> Node:
    """The node with this id, or the only one of this class or title; UsageError with the nearest names."""
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
        nodes[node_id] = replace(node, inputs={**node.inputs, **{k: parse_input(v) for k, v in inputs.items()}})
    return replace(workflow, graph=Graph(nodes), document=document)


def _typed_value(text: str, declared: str) -> Any:
    """What a person meant: JSON, but for texts and choices what stands there, unless it is a link."""
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return text
    verbatim = declared in ("STRING", "COMBO") and type(parse_input(parsed)) is not Link
    return text if verbatim else parsed
