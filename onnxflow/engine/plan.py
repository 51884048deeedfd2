"""From checked calls to a plan: steps in order with their content keys, and which of them need to run at all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from onnxflow.engine.cache import ResultCache
from onnxflow.engine.places import Places, run_by
from onnxflow.errors import OnnxflowError
from onnxflow.graph.keys import content_key
from onnxflow.models.disk import Disk
from onnxflow.nodes.spec import NodeSpec
from onnxflow.workflow.check import Call, Checked

NOWHERE: Final = Places()
"""Nothing is wished of any node."""


@dataclass(slots=True)
class Step:
    """One node of the plan.

    Results live in one flat row of values: ``first`` is the place of the step's output 0, ``links`` name the place each
    linked input is read from. ``twin`` is the index of an earlier step with the same key, or -1. Not frozen, because
    freezing doubles the cost of creating it and 100,000 are made; nothing changes it after the plan is made.
    """

    call: Call
    key: bytes
    links: tuple[tuple[str, int], ...]
    first: int
    twin: int
    needed: bool
    cached: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in order; ``readers`` counts, for each value, the running steps that read it."""

    steps: tuple[Step, ...]
    readers: tuple[int, ...]

    @property
    def keys(self) -> list[bytes]:
        """The content key of every step."""
        return [step.key for step in self.steps]

    @property
    def cached(self) -> list[str]:
        """The ids of the nodes whose results are already there."""
        return [step.call.node.id for step in self.steps if step.cached]


def make_plan(
    checked: Checked, disk: Disk, known: ResultCache | None = None, placed: Places = NOWHERE, rules: str = ""
) -> Plan:
    """The plan for ``checked``; results that are in ``known`` need not be computed, nor what only they need. Where and
    how a node's networks run (``placed``) is part of its key: devices and precisions differ in the last digits. So are
    the ``rules`` that a node which runs a network goes by.

    Linear in nodes and links, whatever the depth. OnnxflowError when a file that a node reads cannot be fingerprinted.
    """
    steps: list[Step] = []
    by_id: dict[str, Step] = {}
    first_with: dict[bytes, int] = {}
    size = 0
    somewhere = bool(rules or placed.marks or placed.wishes or placed.others)
    for position, (node_id, call) in enumerate(checked.calls.items()):
        spec = call.spec
        links = []
        origins = []
        for name, link in call.links:
            origin = by_id[link.node]
            links.append((name, origin.first + link.slot))
            origins.append((name, origin.key, link.slot))
        more = outside(call, disk, placed, rules) if somewhere or spec.by_id or spec.fingerprint is not None else ""
        key = content_key(spec.name, more, call.literals, origins)
        twin = first_with.setdefault(key, position)
        step = Step(
            call, key, tuple(links), size, -1 if twin == position else twin, False, known is not None and key in known
        )
        steps.append(step)
        by_id[node_id] = step
        size += len(spec.outputs)
    return Plan(tuple(steps), _mark_needed(steps, [by_id[o] for o in checked.outputs], size))


def _mark_needed(steps: Sequence[Step], outputs: Sequence[Step], size: int) -> tuple[int, ...]:
    """Mark what must be there for the outputs, from the end; a known result hides everything behind it."""
    readers = [0] * size
    for step in outputs:
        step.needed = True
    for step in reversed(steps):
        count = len(step.call.spec.outputs)
        if not step.needed and not any(readers[step.first : step.first + count]):
            continue
        step.needed = True
        if step.cached:
            continue
        if step.twin >= 0:
            twin = steps[step.twin]
            twin.needed = True
            for slot in range(count):
                if readers[step.first + slot]:  # the twin's value must live until it is copied here
                    readers[twin.first + slot] += 1
            continue
        for _, place in step.links:
            readers[place] += 1
    return tuple(readers)


def outside(call: Call, disk: Disk, placed: Places, rules: str) -> str:
    """What the result of a call depends on besides its inputs, as a text."""
    spec: NodeSpec = call.spec
    fingerprint = _fingerprint(call, disk) if spec.fingerprint is not None else ""
    if spec.by_id:
        fingerprint += f"#{call.node.id}"
    if tag := placed.tag(call):
        fingerprint += f"@{tag}"
    if rules and run_by(spec):
        fingerprint += f"%{rules}"
    return fingerprint


def _fingerprint(call: Call, disk: Disk) -> str:
    """What the class says; a text that no other result has where it cannot tell."""
    spec: NodeSpec = call.spec
    assert spec.fingerprint is not None
    if spec.fingerprinted is None:
        given = {**call.literals, **dict.fromkeys((name for name, _ in call.links), None)}
    else:
        given = {name: call.literals.get(name) for name in spec.fingerprinted}
    try:
        found = spec.fingerprint(disk, **given)
    except OnnxflowError as error:
        raise error.at(call.node.ref) from None
    except Exception:  # as in ComfyUI: the node runs, and says what is wrong if it still is
        found = None
    return found if found is not None else f"!{os.urandom(16).hex()}"
