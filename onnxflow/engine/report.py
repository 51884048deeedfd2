"""What a run did: files, times, and which session ran where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnxflow.engine.plan import Plan
from onnxflow.providers.session import SessionUse
from onnxflow.values import SavedFile


@dataclass(frozen=True, slots=True)
class NodeReport:
    """One node of the run: seconds it took, or that its result was already there, and what its networks ran on."""

    id: str
    class_type: str
    title: str
    seconds: float
    cached: bool
    ran: tuple[SessionUse, ...] = ()


@dataclass(frozen=True, slots=True)
class RunReport:
    """The outcome of a successful run; files are in the order they were written. ``sessions`` ends with those that did
    their work in earlier runs, for results that this one found: ``recalled``. ``dumped`` are the files that looks at
    nodes' results came to, ``remarks`` what is to be said of the models, a line each."""

    run_id: str
    saved: tuple[SavedFile, ...]
    sessions: tuple[SessionUse, ...]
    seconds: float
    document: Mapping[str, Any] = field(repr=False)
    plan: Plan = field(repr=False)
    node_seconds: Mapping[int, float] = field(repr=False)
    recalled: tuple[SessionUse, ...] = ()
    node_uses: Mapping[int, tuple[SessionUse, ...]] = field(default_factory=dict, repr=False)
    dumped: tuple[Path, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def ran(self) -> tuple[SessionUse, ...]:
        """The sessions of this run itself."""
        return self.sessions[: len(self.sessions) - len(self.recalled)]

    @property
    def images(self) -> list[NDArray[np.uint8]]:
        """The pictures that were saved, as uint8 arrays [height, width, channels]."""
        return [file.array for file in self.saved if file.array is not None]

    @property
    def nodes(self) -> list[NodeReport]:
        """Every node of the plan that was needed, in order."""
        return [
            NodeReport(
                step.call.node.id,
                step.call.node.class_type,
                step.call.node.title,
                self.node_seconds.get(position, 0.0),
                position not in self.node_seconds,
                self.node_uses.get(position, ()),
            )
            for position, step in enumerate(self.plan.steps)
            if step.needed
        ]
