"""What makes two sessions the same, and what one did during a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from onnxflow.models.graph_file import GraphFile
from onnxflow.providers.catalog import title_of
from onnxflow.providers.device import CPU, Device
from onnxflow.providers.graph import NO_FACTS, Facts
from onnxflow.providers.loading import FAST, Loading

OWN: Final = "onnxflow"
"""The interface of graphs that need no translation."""

FP32: Final = "fp32"
FAIL: Final = "error"
UPCAST: Final = "upcast"
ON_NAN: Final = (FAIL, UPCAST)
"""What to do about NaN and infinity: say so and end, or compute that component again in fp32 from there on."""


class ModelSource(Protocol):
    """What a session is loaded from."""

    @property
    def identity(self) -> str:
        """The same for the same weights."""
        ...

    @property
    def name(self) -> str:
        """For messages."""
        ...

    def graph(self, component: str, variant: str) -> GraphFile:
        """The ONNX graph of a component."""
        ...

    def interface(self, component: str) -> str:
        """Whose names the component's graph has: OWN for the component contract's."""
        ...

    def variants(self, component: str) -> tuple[str, ...]:
        """The variants a component has, the default first."""
        ...


@dataclass(frozen=True, slots=True)
class SessionKey:
    """What makes two sessions the same."""

    identity: str
    component: str
    variant: str
    device: Device = CPU
    fallback: bool = False
    split: bool = False
    loading: Loading = FAST


@dataclass(frozen=True, slots=True)
class SessionUse:
    """What a session did during one run: where it was placed, what was asked for and by whom, the seconds its loading
    took (0 when it was open), its calls, and what the graph says of itself. ``note`` says why it is not as asked."""

    model: str
    component: str
    variant: str
    place: Device
    asked: str = "auto"
    note: str = ""
    load_seconds: float = 0.0
    calls: int = 0
    run_seconds: float = 0.0
    facts: Facts = NO_FACTS

    @property
    def device(self) -> str:
        """Where its network ran in truth: its place; its place and others, if it left heavy nodes to them ("cuda:0 +
        cpu"); only others, if it took nothing."""
        took, ep = self.facts.nodes, self.place.facts.ep
        others = [title_of(other) for other in took if other != ep]
        if not took or (ep in took and not self.facts.elsewhere):
            return str(self.place)
        return " + ".join([str(self.place), *others] if ep in took else others)


UseKey = tuple[SessionKey, str, str]
"""A session, what was asked for, and why it is not that."""
