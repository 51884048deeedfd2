"""Checking a graph against the catalog before anything is loaded: every problem at once, with ComfyUI's codes.

The order is ComfyUI's (contract B3): classes of all nodes, then the inputs of whatever the outputs need. What it leaves
to a Python exception (a link to nowhere, a cycle) is a problem like any other here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple

from onnxflow.collector import collector_paused
from onnxflow.errors import OnnxflowError, Problem, WorkflowError, did_you_mean, shown
from onnxflow.graph.graph import BadLink, Link, Node
from onnxflow.graph.order import CycleError, descendants, execution_order
from onnxflow.models.disk import Disk
from onnxflow.nodes.spec import MISSING, Input, NodeSpec
from onnxflow.workflow.definitions import comfyui_definition, needs
from onnxflow.workflow.dependents import with_outputs
from onnxflow.workflow.literals import TYPED_IN, parse_literal
from onnxflow.workflow.workflow import Workflow

Catalog = Mapping[str, NodeSpec]

_SUBGRAPH: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|workflow[>/].*", re.DOTALL)
_CORE: Final = "comfy-core"
"""The pack that nodes of ComfyUI itself say they are of."""

MOST_PROBLEMS: Final = 1000
"""Problems that are looked for: after so many, what is right with the rest helps nobody."""

_LONGEST_PATH: Final = 20

INPUT_TYPES: Final = "input_types"
"""What a class's own check is called with that it may look at the types of links itself."""


class Call(NamedTuple):
    """A node that passed the check: its class, its values in their declared types, and its links.

    A tuple, because a hundred thousand are made, and a frozen dataclass costs twice as much to make.
    """

    node: Node
    spec: NodeSpec
    literals: Mapping[str, Any]
    links: tuple[tuple[str, Link], ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """What can run: calls in the order of execution, the ids of those among them whose results somebody wants, and
    whether any of their classes does what cannot be planned ahead."""

    calls: Mapping[str, Call]
    outputs: tuple[str, ...]
    dynamic: bool = False


@collector_paused()
def check(
    workflow: Workflow,
    catalog: Catalog,
    disk: Disk,
    targets: Collection[str] | None = None,
    watched: Collection[str] = (),
) -> Checked:
    """The workflow's calls, pruned to its output nodes (or those among ``targets``) and the ``watched`` nodes.

    WorkflowError lists every problem found. Linear in nodes and links; reads no weights.
    """
    nodes = workflow.graph.nodes
    specs = dict(catalog)  # a plain dict answers several times faster than a Mapping
    unknown = (node for node in nodes.values() if node.class_type not in specs)
    problems = [_unknown_class(node, specs, workflow.packs.get(node.id, "")) for node in islice(unknown, MOST_PROBLEMS)]
    if problems:
        raise WorkflowError(
            "the workflow cannot run",
            problems=problems,
            where=workflow.where,
            hint=_more(problems),
            code="invalid_prompt",
        )
    outputs = tuple(
        node.id
        for node in nodes.values()
        if specs[node.class_type].output_node and (targets is None or node.id in targets)
    )
    if watched:  # after the others, so that a look at a node does not change the order that they run in
        outputs += tuple(node_id for node_id in nodes if node_id in watched and node_id not in outputs)
    if not outputs:
        names = ", ".join(name for name, spec in specs.items() if spec.output_node)
        raise WorkflowError(
            "Prompt has no outputs",
            where=workflow.where,
            hint=f"add a node that keeps a result, such as {names}",
            code="prompt_no_outputs",
        )
    calls: dict[str, Call] = {}

    def parents(node_id: str) -> list[str]:
        """Bind the node, and say which existing nodes it reads."""
        if len(problems) >= MOST_PROBLEMS:
            return []
        call, found = _bind(nodes[node_id], specs, nodes, disk)
        problems.extend(found)
        calls[node_id] = call
        return [link.node for _, link in call.links if link.node in nodes]

    try:
        order = execution_order(outputs, parents)
    except CycleError as error:
        problems.append(_cycle(error, nodes))
    del problems[MOST_PROBLEMS:]
    if problems:
        readers = [(link.node, call.node.id) for call in calls.values() for _, link in call.links]
        raise WorkflowError(
            "Prompt outputs failed validation",
            problems=with_outputs(problems, readers, outputs),
            where=workflow.where,
            hint=_more(problems),
            code="prompt_outputs_failed_validation",
        )
    dynamic = any(call.spec.dynamic for call in calls.values())
    return Checked({node_id: calls[node_id] for node_id in order}, outputs, dynamic)


@collector_paused()
def every_problem(workflow: Workflow, catalog: Catalog, disk: Disk) -> tuple[Problem, ...]:
    """Everything that keeps a workflow from running, in the order of the file: unknown classes wherever they are, and
    what is wrong with the nodes that they or the output nodes need. Other nodes never run.

    ``check`` says less at a time, as ComfyUI does: unknown classes come alone there. Reads no weights.
    """
    nodes = workflow.graph.nodes
    specs = dict(catalog)
    targets = [node.id for node in nodes.values() if node.class_type not in specs or specs[node.class_type].output_node]

    def parents(node_id: str) -> list[str]:
        links = (value for value in nodes[node_id].inputs.values() if type(value) is Link)
        return [link.node for link in links if link.node in nodes]

    found: list[Problem] = []
    try:
        execution_order(targets, parents)
    except CycleError as error:
        found.append(_cycle(error, nodes))
    needed = descendants(targets, parents)
    for node in nodes.values():
        if len(found) >= MOST_PROBLEMS:
            break
        if node.class_type not in specs:
            found.append(_unknown_class(node, specs, workflow.packs.get(node.id, "")))
        elif node.id in needed:
            found += _bind(node, specs, nodes, disk)[1]
    if not targets:
        keeping = ", ".join(name for name, spec in specs.items() if spec.output_node)
        hint = f"add a node that keeps a result, such as {keeping}"
        found.append(Problem("prompt_no_outputs", "Prompt has no outputs", hint=hint))
    return tuple(found[:MOST_PROBLEMS])


def _more(problems: Sequence[Problem]) -> str:
    return "mend these first: there may be more" if len(problems) >= MOST_PROBLEMS else ""


def _cycle(error: CycleError, nodes: Mapping[str, Node]) -> Problem:
    ids = error.path
    left = len(ids) - _LONGEST_PATH
    refs = [str(nodes[node_id].ref) for node_id in (ids if left <= 0 else ids[: _LONGEST_PATH // 2])]
    if left > 0:
        refs += [f"{left:,} more", *(str(nodes[node_id].ref) for node_id in ids[-_LONGEST_PATH // 2 :])]
    path = " -> ".join(refs)
    hint = "remove one of these links: a node cannot need its own result"
    return Problem("cycle", "The workflow has a cycle", path, nodes[error.path[0]].ref, hint)


def _unknown_class(node: Node, catalog: Catalog, pack: str) -> Problem:
    if not node.class_type:
        return Problem(
            "invalid_prompt",
            "Cannot execute because a node is missing the class_type property.",
            f"Node ID '#{node.id}'",
            node.ref,
            "the editor writes such a node when it does not know its class",
        )
    return Problem(
        "invalid_prompt",
        f"Cannot execute because node {node.class_type} does not exist.",
        f"Node ID '#{node.id}'",
        node.ref,
        _about_class(node.class_type, catalog, pack),
    )


def _about_class(class_type: str, catalog: Catalog, pack: str) -> str:
    """What there is to say of a class that is not in the catalog."""
    if comfyui_definition(class_type) is not None:
        lacking = needs(class_type)
        if lacking:
            return f"known, not runnable here: needs {lacking}"
        return "known, not in this version yet; docs/compatibility.md lists those that are"
    if _SUBGRAPH.fullmatch(class_type):
        return "this is an instance of a subgraph whose definition is not in the file: save it again from the editor"
    if pack and pack != _CORE:
        return f"it is of the pack of custom nodes {shown(pack, 80)}, which is not here"
    return did_you_mean(class_type, catalog, what="node classes") + "; `onnxflow nodes` lists all"


def _bind(node: Node, catalog: Catalog, nodes: Mapping[str, Node], disk: Disk) -> tuple[Call, list[Problem]]:
    """The call of a node, with everything that is wrong with its inputs."""
    spec = catalog[node.class_type]
    literals: dict[str, Any] = {}
    links: list[tuple[str, Link]] = []
    problems: list[Problem] = []
    for declared in spec.inputs:
        value = node.inputs.get(declared.name, MISSING)
        if type(value) is Link:
            problem = _link_problem(node, declared, value, nodes, catalog, disk)
            links.append((declared.name, value))
        elif value is MISSING:
            problem = _missing_problem(node, declared) if declared.required else None
        elif type(value) is BadLink:
            problem = _bad_link(node, declared, value, disk)
        else:
            parsed = parse_literal(declared, value, node, disk, bounded=declared.name not in spec.validated)
            problem = parsed if type(parsed) is Problem else None
            literals[declared.name] = parsed
        if problem is not None:
            problems.append(problem)
    if spec.undeclared is not None:
        _bind_undeclared(node, spec, literals, links, problems, nodes, catalog)
    if spec.validate is not None and not problems:
        problems += _custom_problems(node, spec, literals, links, nodes, catalog, disk)
    return Call(node, spec, literals, tuple(links)), problems


def _bind_undeclared(
    node: Node,
    spec: NodeSpec,
    literals: dict[str, Any],
    links: list[tuple[str, Link]],
    problems: list[Problem],
    nodes: Mapping[str, Node],
    catalog: Catalog,
) -> None:
    """Add to the call of a class that takes inputs beside those that it declares what the node has of them."""
    assert spec.undeclared is not None
    for name, value in node.inputs.items():
        declared = None if name in spec.by_name else spec.undeclared(name)
        if declared is None:
            continue
        if type(value) is Link:
            problem = _dangling(node, name, value, nodes, catalog)
            if problem is not None:
                problems.append(problem)
            links.append((name, value))
        elif declared.free:
            literals[name] = value.value if type(value) is BadLink else value


def _missing_problem(node: Node, declared: Input) -> Problem:
    return Problem(
        "required_input_missing",
        "Required input is missing",
        declared.name,
        node.ref,
        f"give {declared.name} a value"
        if declared.type in TYPED_IN
        else f"connect {declared.name} to an output of type {declared.type}",
        {"input_name": declared.name},
    )


def _bad_link(node: Node, declared: Input, value: BadLink, disk: Disk) -> Problem:
    return Problem(
        "bad_linked_input",
        "Bad linked input, must be a length-2 list of [node_id, slot_index]",
        f"{declared.name}, {shown(value.value)}",
        node.ref,
        'write a link as ["node id", output index], a list as {"__value__": [...]}',
        {"input_name": declared.name, "input_config": declared.describe(disk), "received_value": value.value},
    )


def _link_problem(
    node: Node, declared: Input, link: Link, nodes: Mapping[str, Node], catalog: Catalog, disk: Disk
) -> Problem | None:
    origin = nodes.get(link.node)
    spec = catalog.get(origin.class_type) if origin is not None else None
    outputs = spec.outputs if spec is not None else ()
    if not 0 <= link.slot < len(outputs):
        return _dangling(node, declared.name, link, nodes, catalog)
    received = outputs[link.slot].type
    if received == declared.type or types_match(received, declared.type):
        return None
    if INPUT_TYPES in catalog[node.class_type].validated:
        return None  # the class looks at them itself
    return Problem(
        "return_type_mismatch",
        "Return type mismatch between linked nodes",
        f"{declared.name}, received_type({received}) mismatch input_type({declared.type})",
        node.ref,
        f"connect {declared.name} to an output of type {declared.type}",
        {
            "input_name": declared.name,
            "input_config": declared.describe(disk),
            "received_type": received,
            "linked_node": list(link),
        },
    )


def _dangling(node: Node, name: str, link: Link, nodes: Mapping[str, Node], catalog: Catalog) -> Problem | None:
    """What is wrong with a link that leads nowhere."""
    origin = nodes.get(link.node)
    if origin is None:
        return Problem(
            "link_to_missing_node",
            "An input is linked to a node that does not exist",
            f"{name}: node {link.node!r}",
            node.ref,
            did_you_mean(link.node, nodes, what="nodes"),
            {"input_name": name, "linked_node": list(link)},
        )
    if origin.class_type not in catalog:
        return None  # which is a problem of that node
    outputs = catalog[origin.class_type].outputs
    if 0 <= link.slot < len(outputs):
        return None
    listed = ", ".join(f"{i} {o.name}" for i, o in enumerate(outputs)) or "none"
    return Problem(
        "link_to_missing_output",
        "An input is linked to an output that does not exist",
        f"{name}: output {link.slot} of {origin.ref}",
        node.ref,
        f"its outputs: {listed}",
        {"input_name": name, "linked_node": list(link)},
    )


def types_match(received: str, declared: str) -> bool:
    """Whether an output of type ``received`` may feed an input of type ``declared``: ``*`` is any, commas list some."""
    if received == declared or "*" in (received, declared):
        return True
    return not {t.strip() for t in received.split(",")}.isdisjoint(t.strip() for t in declared.split(","))


def _custom_problems(
    node: Node,
    spec: NodeSpec,
    literals: dict[str, Any],
    links: list[tuple[str, Link]],
    nodes: Mapping[str, Node],
    catalog: Catalog,
    disk: Disk,
) -> list[Problem]:
    """What the class's own check says; ComfyUI reports it once for each input that the check is given."""
    assert spec.validate is not None
    if spec.validates is None:
        given = {name: literals.get(name) for name in spec.validated}
    else:
        there = {**literals, **dict.fromkeys((name for name, _ in links), None)}
        given = {name: there[name] for name in spec.validated if name in there}
        if INPUT_TYPES in spec.validated:
            given[INPUT_TYPES] = {
                name: catalog[nodes[link.node].class_type].outputs[link.slot].type
                for name, link in links
                if name in spec.by_name
            }
    try:
        message = spec.validate(disk, **given)
    except OnnxflowError as error:
        message = error.message + (f" ({error.hint})" if error.hint else "")
    if message is None:
        return []
    return [
        Problem(
            "custom_validation_failed",
            "Custom validation failed for node",
            f"{name} - {message}" if message else name,
            node.ref,
            extra={"input_name": name},
        )
        for name in given
        if name != INPUT_TYPES
    ]
