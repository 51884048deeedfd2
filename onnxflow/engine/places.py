"""What a workflow, its user and its machine wish for every node that runs a network, found before anything is loaded.

By precedence: `--place` of the node, of a node that its model came through, of a component, of everything; then what
the file says of the node, of a node that its model came through (an OnnxPlace node or the loader, the nearest first);
then the machine's profile; then the best device there is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from onnxflow.errors import OnnxflowError, UsageError, did_you_mean, shown
from onnxflow.graph.graph import Link
from onnxflow.nodes.placement import DEVICE_INPUT, LOADED_ON_A_DEVICE, PLACING, USUAL_DEVICE
from onnxflow.nodes.spec import Input, NodeSpec
from onnxflow.providers.machine import OnlyCpu
from onnxflow.providers.placement import ANY, EVERY, GROUPS, Placer, Wish, by_component, parse_wish, parse_wishes
from onnxflow.providers.session import FAIL
from onnxflow.values import CARRIED
from onnxflow.workflow.check import Call, Checked
from onnxflow.workflow.workflow import Workflow

COMPONENTS: Final[Mapping[str, tuple[str, ...]]] = {socket: handle.COMPONENTS for socket, handle in CARRIED.items()}
"""The components behind each type of socket that carries a model."""

EXPORTED: Final = ("fp32", "fp16", "int8", "int8-static")
"""The variants that we export."""

_SAYING: Final = PLACING | LOADED_ON_A_DEVICE
_VARIANT_NAME: Final = re.compile(r"[a-z]+[0-9]+(-[a-z0-9]+)*")
_TAKE_IT_OUT: Final = "take it out of _meta.onnxflow.place, or place the node that runs the network"

Wishes = Mapping[str, Wish]
_NONE: Final[Wishes] = {}


@dataclass(frozen=True, slots=True)
class Placing:
    """What the user and the machine say of places: `--place` by node id or component, the profile by component, how
    wishes become placements, and what is done about NaN."""

    flags: Wishes = field(default_factory=dict)
    profile: Wishes = field(default_factory=dict)
    placer: Placer = field(default_factory=lambda: Placer(OnlyCpu()))
    on_nan: str = FAIL


@dataclass(frozen=True, slots=True)
class Places:
    """The wishes by node and component, ``others`` those for nodes that come to be during the run; what is not there is
    ANY."""

    wishes: Mapping[str, Wishes] = field(default_factory=dict)
    marks: str = ""
    others: Wishes = field(default_factory=dict)

    def of(self, node_id: str, component: str) -> Wish:
        """What is wished for a component that a node runs."""
        return self.wishes.get(node_id, self.others).get(component, ANY)

    def tag(self, call: Call) -> str:
        """A text that differs where results of the call may; empty when it runs no network, or nothing is wished."""
        wishes = self.wishes.get(call.node.id, self.others)
        if not wishes and not self.marks:
            return ""
        runs = [component for _, components in run_by(call.spec) for component in components]
        said = [f"{component}={wishes[component]}" for component in runs if component in wishes]
        return ";".join([self.marks, *said]) if said else self.marks if runs else ""

    def explicit(self, call: Call) -> Iterator[tuple[str, str, Wish]]:
        """Input, component and wish of what the call will run, where somebody named a device or a variant."""
        wishes = self.wishes.get(call.node.id, _NONE)
        for name, components in run_by(call.spec) if wishes else ():
            for component in components:
                wish = wishes.get(component, ANY)
                if wish.device is not None or wish.variant is not None:
                    yield name, component, wish


@dataclass(frozen=True, slots=True)
class _Inherited:
    """What a model brings along from the nodes it came through."""

    flag: Wish | None = None
    file: Wishes = field(default_factory=dict)


_NOTHING: Final = _Inherited()


def places(checked: Checked, workflow: Workflow, placing: Placing) -> Places:
    """The wishes for every call; UsageError for one that names a device, a component or a node that there is not.

    Linear in nodes: what a model brings along is kept at the node it came from last.
    """
    nodes = workflow.graph.nodes
    flags = by_component(placing.flags, "--place", nodes)
    _check_nodes(placing.flags, checked, nodes)
    marks = ",".join(
        [*(["fallback"] if placing.placer.fallback else []), *([placing.on_nan] if placing.on_nan != FAIL else [])]
    )
    found: dict[str, Wishes] = {}
    brought: dict[tuple[str, str], _Inherited] = {}
    sockets: dict[str, tuple[list[Input], list[str]]] = {}  # by class, of which there are far fewer than calls
    for node_id, call in checked.calls.items():
        known_class = sockets.get(call.spec.name)
        if known_class is None:
            known_class = sockets[call.spec.name] = (
                [item for item in call.spec.inputs if item.type in COMPONENTS],
                [kind_of(output.type) for output in call.spec.outputs if output.type in COMPONENTS],
            )
        inputs, gives = known_class
        own_file = _said_by(call) if call.node.place else _NONE
        if not inputs and not gives:
            continue
        own_flag = placing.flags.get(node_id)
        links = dict(call.links)
        wishes: dict[str, Wish] = {}
        for item in inputs:
            link = links.get(item.name)
            came = brought.get((link.node, kind_of(item.type)), _NOTHING) if link is not None else _NOTHING
            for component in COMPONENTS[item.type]:
                wish = _first(component, own_flag or came.flag, flags, own_file, came.file, placing.profile)
                if wish is not None:
                    wishes.setdefault(component, wish)
        for kind in gives:
            same = next((links[i.name] for i in inputs if kind_of(i.type) == kind and i.name in links), None)
            came = brought.get((same.node, kind), _NOTHING) if same is not None else _NOTHING
            flag = own_flag or came.flag
            # What this node says of all components counts before what those further away say of one.
            known = flag is not None or all(
                any(c in said or EVERY in said for said in (flags, own_file)) for c in COMPONENTS[kind]
            )
            file = own_file if EVERY in own_file else {**came.file, **_placed(call, known=known), **own_file}
            brought[node_id, kind] = _Inherited(flag, file)
        if wishes:
            found[node_id] = wishes
    others = {
        component: wish
        for kind in COMPONENTS.values()
        for component in kind
        if (wish := _first(component, None, flags, _NONE, _NONE, placing.profile)) is not None
    }
    return Places(found, marks, others)


def component_wishes(placing: Placing) -> Callable[[str], Wish]:
    """What is wished for a component where there is no workflow; UsageError for the id of a node."""
    flags = by_component(placing.flags, "--place")
    return lambda component: _first(component, None, flags, _NONE, _NONE, placing.profile) or ANY


def kind_of(type_: str) -> str:
    """The socket of the handle that a socket's values are or carry."""
    return CARRIED[type_].SOCKET


def run_by(spec: NodeSpec) -> list[tuple[str, tuple[str, ...]]]:
    """The components that a class runs, by the input that brings their model: those it declares, else all of them."""
    return [
        (item.name, tuple(name for name in COMPONENTS[item.type] if spec.runs is None or name in spec.runs))
        for item in spec.inputs
        if item.type in COMPONENTS
    ]


def check_places(found: Places, call: Call, placer: Placer) -> None:
    """ProviderError, naming the node, when a device that somebody named for a call does not work here."""
    for _, _, wish in found.explicit(call):
        try:
            placer.check(wish)
        except OnnxflowError as error:
            raise error.at(call.node.ref) from error.__cause__


def _first(
    component: str, flag: Wish | None, flags: Wishes, own: Wishes, brought: Wishes, profile: Wishes
) -> Wish | None:
    """The wish that counts."""
    if flag is not None:
        return flag
    for wishes in (flags, own, brought, profile):
        wish = wishes.get(component) or wishes.get(EVERY)
        if wish is not None:
            return wish
    return None


def _said_by(call: Call) -> Wishes:
    """What the file says of a node itself, by component; UsageError naming the node, also for what its model sockets do
    not carry."""
    node = call.node
    origin = f"the workflow's {node.ref}"
    try:
        said = by_component(checked_variants(parse_wishes(node.place, origin)), origin)
        carried = _carried(call.spec)
        if not carried:
            raise UsageError(f"the file places it ({shown(node.place)}), and it runs no network", hint=_TAKE_IT_OUT)
        strange = [component for component in said if component != EVERY and component not in carried]
        if strange:
            raise UsageError(
                f"the file places its {', '.join(strange)} ({shown(node.place)}), and it has only {', '.join(carried)}",
                hint=_TAKE_IT_OUT,
            )
    except UsageError as error:
        raise error.at(node.ref) from None
    return said


def _carried(spec: NodeSpec) -> list[str]:
    """The components of the models that go into a class or come out of it."""
    types = dict.fromkeys([*(item.type for item in spec.inputs), *(output.type for output in spec.outputs)])
    return [component for type_ in types for component in COMPONENTS.get(type_, ())]


def checked_variants(wishes: Mapping[str, Wish]) -> Mapping[str, Wish]:
    """The wishes themselves; UsageError for a variant of a name that none can have.

    A model may have other variants than those we export, so that only the form of the name is judged here.
    """
    for wish in wishes.values():
        if wish.variant is not None and not _VARIANT_NAME.fullmatch(wish.variant):
            raise UsageError(
                f"{shown(wish.variant)} is no variant of a model",
                where=wish.origin,
                hint=did_you_mean(wish.variant, EXPORTED, what="variants"),
            )
    return wishes


def _placed(call: Call, *, known: bool) -> Wishes:
    """What an OnnxPlace node, or a loader with a device of its own, says of the model that it gives; nothing when it is
    ``known`` from a flag, and the node's own device comes from a link. UsageError naming the node."""
    if call.spec.name not in _SAYING or call.literals.get(DEVICE_INPUT) == USUAL_DEVICE:
        return _NONE
    if isinstance(call.node.inputs.get(DEVICE_INPUT), Link):
        if known:
            return _NONE
        raise UsageError(
            "the device comes from a link, and is not known before the run",
            hint=f"type it into the node, or use --place {call.node.id}=DEVICE",
            node=call.node.ref,
        )
    try:
        wish = parse_wish(str(call.literals.get(DEVICE_INPUT)), f"the workflow's {call.node.ref}")
        checked_variants({EVERY: wish})
    except UsageError as error:
        raise error.at(call.node.ref) from None
    return {component: wish for kind in call.spec.outputs for component in COMPONENTS.get(kind.type, ())}


def _check_nodes(flags: Wishes, checked: Checked, nodes: Collection[str]) -> None:
    """UsageError for a node that is placed and has nothing to do with a network, or with what the run makes."""
    for key in flags:
        call = checked.calls.get(key)
        if call is None and key not in nodes:
            continue  # a component
        if call is not None and _carried(call.spec):
            continue
        able = [i for i, c in checked.calls.items() if any(item.type in COMPONENTS for item in c.spec.inputs)]
        raise UsageError(
            f"--place {shown(key)}: {call.node.ref} runs no network"
            if call is not None
            else f"--place {shown(key)}: node {key} is not needed by any output",
            hint=did_you_mean(key, [*able, *GROUPS], what="nodes that run one, and components", limit=20),
        )
