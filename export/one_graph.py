"""A graph on its own, for whoever loads models."""

from __future__ import annotations

from dataclasses import dataclass

from onnxflow.models.graph_file import GraphFile
from onnxflow.models.manifest import OWN


@dataclass(frozen=True, slots=True)
class OneGraph:
    """A model of a single graph, for the session builder; `names` is whose names its inputs and outputs have."""

    file: GraphFile
    names: str = OWN
    identity: str = ""
    name: str = "export"

    def graph(self, component: str, variant: str) -> GraphFile:
        """The graph, whatever is asked for."""
        return self.file

    def interface(self, component: str) -> str:
        """Whose names its inputs and outputs have."""
        return self.names

    def variants(self, component: str) -> tuple[str, ...]:
        """It is what it is."""
        return ()
