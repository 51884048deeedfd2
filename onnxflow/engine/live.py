"""The graph of a run that grows: the workflow's nodes, and those that nodes made to run in their place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from onnxflow.engine.cache import Result
from onnxflow.engine.plan import Step
from onnxflow.engine.rows import Row
from onnxflow.errors import InputError, NodeRef
from onnxflow.workflow.workflow import Workflow


@dataclass(slots=True, eq=False)
class Item:
    """One node of the run and how far it is.

    ``root`` is the workflow's own node that it came from, ``display`` the one that clients show it at, ``rank`` its
    place among those that are ready. ``waits`` counts what it waits for. Once it is done ``values`` has its outputs,
    each None again after the last of its ``readers``. ``rows`` are the results of its calls while the nodes
    that it ``made`` run in its place.
    """

    step: Step
    position: int
    rank: tuple[int, int, int]
    root: NodeRef
    display: str
    parent: str | None = None
    readers: list[int] = field(default_factory=list)
    waiters: list[Item] = field(default_factory=list)
    waits: int = 0
    wanted: bool = False
    done: bool = False
    began: bool = False
    blocked: bool = False
    released: bool = False
    fell: bool = False
    known: Result | None = None
    twin: Item | None = None
    rows: list[Row | None] | None = None
    made: list[Item] = field(default_factory=list)
    result: Result | None = None
    values: list[list[Any] | None] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def id(self) -> str:
        return self.step.call.node.id


class LivePrompt:
    """The growing graph as nodes see it that take DYNPROMPT: in the API format, by ComfyUI's names."""

    def __init__(self, workflow: Workflow) -> None:
        self._workflow = workflow
        self._made: dict[str, Mapping[str, Any]] = {}
        self._parents: dict[str, str] = {}
        self._displays: dict[str, str] = {}
        self._roots: dict[str, str] = {}

    def add(self, node_id: str, entry: Mapping[str, Any], parent: str) -> None:
        """A node that ``parent`` made; InputError when there is one of that id already."""
        if self.has_node(node_id):
            raise InputError(
                f"the expansion has a node {node_id}, and there is one already",
                hint=f"begin the ids of an expansion with {parent}. and use each once",
            )
        self._made[node_id] = entry
        self._parents[node_id] = parent
        self._roots[node_id] = self.get_real_node_id(parent)
        shown = entry.get("override_display_id") or parent
        self._displays[node_id] = self._displays.get(shown, shown)

    def get_node(self, node_id: str) -> Mapping[str, Any]:
        """The node in the API format; KeyError when there is none."""
        made = self._made.get(node_id)
        found: Mapping[str, Any] = made if made is not None else self._workflow.document[node_id]
        return found

    def has_node(self, node_id: str) -> bool:
        return node_id in self._made or node_id in self._workflow.graph.nodes

    def all_node_ids(self) -> set[str]:
        return {*self._workflow.graph.nodes, *self._made}

    def get_original_prompt(self) -> Mapping[str, Any]:
        return self._workflow.document

    def get_real_node_id(self, node_id: str) -> str:
        """The workflow's own node that a node came from, itself for one of those."""
        return self._roots.get(node_id, node_id)

    def get_parent_node_id(self, node_id: str) -> str | None:
        """The node that made a node."""
        return self._parents.get(node_id)

    def get_display_node_id(self, node_id: str) -> str:
        """The node that clients show a node at."""
        return self._displays.get(node_id, node_id)
