"""What a node may ask of the engine while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from onnxflow.errors import NodeRef
    from onnxflow.models.disk import Disk
    from onnxflow.values import Handle, SeedRule, Session


class Context(Protocol):
    """The engine as one node sees it during one call."""

    @property
    def node(self) -> NodeRef:
        """The node that is running."""
        ...

    @property
    def call(self) -> int:
        """Which call this is of those that a list makes, from 0."""
        ...

    @property
    def disk(self) -> Disk:
        """Folders and models."""
        ...

    @property
    def metadata(self) -> bool:
        """Whether saved files carry the workflow (ComfyUI's ``--disable-metadata`` turned around)."""
        ...

    @property
    def record(self) -> Mapping[str, Any]:
        """What ran where so far, as JSON, for files that carry it; empty when no network ran."""
        ...

    @property
    def seed_rule(self) -> SeedRule:
        """Which seed the noise of a sampler's steps is drawn from."""
        ...

    def session(self, handle: Handle, component: str, calls: int = 1) -> Session:
        """The open session of a component, opened on first use in the way that suits so many calls; ModelError or
        ProviderError."""
        ...

    def free_memory(self) -> int | None:
        """Bytes that the sessions of this node may still take where they run; None where nobody knows, as on a
        device."""
        ...

    def remark(self, text: str) -> None:
        """Say something of how the node did its work, for the run's report."""
        ...

    def begin(self, total: int) -> None:
        """Say that the first of ``total`` steps begins: nobody is told, but what fails in it names its step."""
        ...

    def progress(self, value: int, total: int, preview: Callable[[], Any] | None = None) -> None:
        """Report ``value`` of ``total`` steps done; raises Cancelled when the run was stopped."""
        ...

    def check_cancelled(self) -> None:
        """Raise Cancelled when the run was stopped."""
        ...
