"""Which nodes ``--dump`` means: by the names of ``--set``, or all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from onnxflow.errors import UsageError
from onnxflow.graph.graph import Link, Node
from onnxflow.nodes.spec import NodeSpec
from onnxflow.workflow.overrides import find_node
from onnxflow.workflow.workflow import Workflow

ALL: Final = "*"
"""Stands for every node that runs."""


def watched_nodes(workflow: Workflow, names: Sequence[str], catalog: Mapping[str, NodeSpec]) -> frozenset[str] | None:
    """The ids of the nodes called ``names``; None for all that run, which in a workflow without an output node are all.

    UsageError names a node that is not there, is one of several, or has no result to look at.
    """
    nodes = workflow.graph.nodes
    if ALL in names:
        specs = [catalog.get(node.class_type) for node in nodes.values()]
        return None if any(spec is not None and spec.output_node for spec in specs) else frozenset(nodes)
    found = []
    for name in names:
        node = find_node(workflow.graph, name)
        spec = catalog.get(node.class_type)
        if spec is not None and not spec.outputs:
            raise UsageError(f"{node.ref} has no outputs to dump", hint=_before(node, workflow))
        found.append(node.id)
    return frozenset(found)


def _before(node: Node, workflow: Workflow) -> str:
    """Which nodes to dump instead: those that it reads."""
    links = [value.node for value in node.inputs.values() if type(value) is Link and value.node in workflow.graph.nodes]
    names = ", ".join(dict.fromkeys(links))
    return f"what it is given comes from: {names}" if names else "name a node that has outputs"
