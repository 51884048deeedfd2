"""A model on disk, whatever it is: what the rest of the program asks of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxflow.errors import ModelError, did_you_mean
from onnxflow.models.graph_file import GraphFile
from onnxflow.models.manifest import Component, LatentFormat, Manifest, SamplingConstants, TextConstants

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from onnxflow.models.weights import Rows


@dataclass(frozen=True, slots=True)
class Source(ABC):
    """A model whose files were found sound: an exported bundle, or a checkpoint that runs as it is.

    ``identity`` is the same for the same contents. ``preferred`` is the variant that was asked for; None leaves each
    component its default. It is no part of the identity: what both variants share is loaded once.
    """

    root: Path
    identity: str
    manifest: Manifest = field(compare=False, repr=False)
    preferred: str | None = None

    @property
    def name(self) -> str:
        """The model's own name."""
        return self.manifest.name

    @property
    def latent(self) -> LatentFormat:
        """What its latents look like."""
        return self.manifest.latent

    @property
    def sampling(self) -> SamplingConstants:
        """What its network predicts."""
        return self.manifest.sampling

    def text(self, component: str = "text_encoder") -> TextConstants:
        """What a text encoder expects; ModelError when the model has none of this name."""
        found = self.manifest.texts.get(component)
        if found is None:
            raise ModelError(
                f"the model has no {component}",
                where=str(self.root),
                hint=did_you_mean(component, self.manifest.texts, what="text encoders"),
            )
        return found

    def component(self, name: str) -> Component:
        """The network ``name``; ModelError names those there are."""
        found = self.manifest.components.get(name)
        if found is None:
            raise ModelError(
                f"the model has no {name}",
                where=str(self.root),
                hint=did_you_mean(name, self.manifest.components, what="components"),
            )
        return found

    def interface(self, component: str) -> str:
        """Whose names a component's graph has for its inputs and outputs, one of manifest.INTERFACES; ModelError."""
        return self.component(component).interface

    def variants(self, component: str) -> tuple[str, ...]:
        """The variants a component has, its default first; ModelError."""
        found = self.component(component)
        return (found.default, *(name for name in found.variants if name != found.default))

    def variant_of(self, component: str) -> str:
        """The variant a component is run in: the preferred one where it has that, else its default; ModelError."""
        names = self.variants(component)
        return self.preferred if self.preferred in names else names[0]

    @property
    def remarks(self) -> tuple[str, ...]:
        """What its user should know of it, a line each: nothing, as a rule."""
        return ()

    @abstractmethod
    def read_ahead(self, component: str) -> None:
        """Have the weights of a component read from the disk, which will be wanted soon."""

    @abstractmethod
    def weight_bytes(self, component: str, variant: str) -> int:
        """Bytes of a variant's graph and weights on the disk; ModelError."""

    @abstractmethod
    def parameters(self, component: str, variant: str) -> int:
        """How many numbers a component's weights are, where their file can be used as it is; else 0. ModelError."""

    @abstractmethod
    def graph(self, component: str, variant: str) -> GraphFile:
        """The ONNX graph of a component in one precision; ModelError names what there is."""

    @abstractmethod
    def token_table(self, component: str) -> NDArray[Any] | Rows | None:
        """The table of a text encoder's tokens [vocabulary, width], mapped from its file; None where the graph looks
        tokens up itself; ModelError."""
