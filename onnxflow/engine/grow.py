"""Nodes that a node made, taken into the graph of the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onnxflow.engine.context import Run
from onnxflow.engine.live import Item, LivePrompt
from onnxflow.engine.plan import Step, outside
from onnxflow.engine.tokens import token
from onnxflow.errors import InputError
from onnxflow.graph.keys import content_key
from onnxflow.graph.order import CycleError, execution_order
from onnxflow.nodes.spec import NodeSpec
from onnxflow.workflow.check import Call, Catalog
from onnxflow.workflow.made import bind_made, parse_made, spec_of


def grown(
    expansion: Mapping[str, Any],
    parent: Item,
    prompt: LivePrompt,
    items: dict[str, Item],
    catalog: Catalog,
    rules: str,
    run: Run,
) -> list[Item]:
    """The nodes of an expansion as items, added to ``items``; InputError for an id that is taken, a class or an input
    that is missing, a link that leads nowhere, or a cycle."""
    nodes = parse_made(expansion)
    for node_id in nodes:
        prompt.add(node_id, expansion[node_id], parent.id)
    specs = {node_id: spec_of(node, catalog) for node_id, node in nodes.items()}
    calls: dict[str, Call] = {}

    def known(node_id: str) -> NodeSpec | None:
        if node_id in specs:
            return specs[node_id]
        return items[node_id].step.call.spec if node_id in items else None

    def parents(node_id: str) -> list[str]:
        call = calls[node_id] = bind_made(nodes[node_id], specs[node_id], known, run.disk)
        return [link.node for _, link in call.links if link.node in nodes]

    try:
        order = execution_order(nodes, parents)
    except CycleError as error:
        raise InputError(
            f"Dependency cycle detected: {' -> '.join(error.path)}",
            hint="a node cannot need its own result",
        ) from None
    made = []
    for node_id in order:
        call = calls[node_id]
        spec = call.spec
        literals = {name: token(value) for name, value in call.literals.items()}
        origins = [(name, items[link.node].step.key, link.slot) for name, link in call.links]
        key = content_key(spec.name, outside(call, run.disk, run.places, rules), literals, origins)
        first = 0 if spec.is_async or spec.output_node else 1
        item = Item(
            Step(call, key, (), 0, -1, False, False),
            len(items),
            (first, parent.rank[1], len(items)),
            parent.root,
            prompt.get_display_node_id(node_id),
            parent.id,
            [0] * len(spec.outputs),
        )
        items[node_id] = item
        made.append(item)
        for _, link in call.links:
            items[link.node].readers[link.slot] += 1
    return made
