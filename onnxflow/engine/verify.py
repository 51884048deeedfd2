"""Is a bundle what its manifest says, and does each of its graphs still compute what PyTorch computed at export?"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from onnxflow.cancel import CancelToken
from onnxflow.errors import ModelError
from onnxflow.models.bundle import Bundle
from onnxflow.models.foreign import NAMED
from onnxflow.models.reference import read_reference, reference_file
from onnxflow.providers.device import CPU, Device
from onnxflow.providers.session import SessionKey, load_graph
from onnxflow.providers.verdicts import Judged, keep_verdict


@dataclass(frozen=True, slots=True)
class Verdict:
    """One variant of one component: its error relative to PyTorch, what was allowed and what was measured at export,
    and the seconds that one call took."""

    component: str
    variant: str
    error: float
    allowed: float
    at_export: float
    seconds: float

    @property
    def right(self) -> bool:
        """Whether the error is allowed; NaN is not."""
        return self.error <= self.allowed


def check_files(bundle: Bundle, report: Callable[[str], None] = lambda name: None) -> None:
    """Read every file of a bundle; ModelError names those whose contents are not what the manifest says, and for a
    foreign folder, of whose files nobody wrote down the contents."""
    if bundle.manifest.foreign:
        raise ModelError(
            f"this is {NAMED}: it stores neither SHA-256 of its files nor what PyTorch answered, so there is nothing to"
            " compare with",
            where=str(bundle.root),
            hint="export the PyTorch model into a bundle with `onnxflow export`, and verify that",
        )
    altered = []
    for name, record in bundle.manifest.files.items():
        report(name)
        with open(bundle.root / name, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != record.sha256:
                altered.append(name)
    if altered:
        raise ModelError(
            f"the model's {', '.join(altered)} {'was' if len(altered) == 1 else 'were'} altered",
            where=str(bundle.root),
            hint="get the model again, or export it again",
        )


def verdicts(bundle: Bundle, cancel: CancelToken, device: Device = CPU, *, split: bool = False) -> Iterator[Verdict]:
    """Ask every variant of every component that the device takes what PyTorch was asked, one after the other, and
    remember for placement what came of it; ``split`` is what a trial of the device said (Health).

    ModelError when a reference is missing or a graph cannot be run; ProviderError for a device that does not work or
    does not take a graph.
    """
    for name, component in bundle.manifest.components.items():
        if reference_file(name) not in bundle.manifest.files:
            raise ModelError(
                f"the model has no {reference_file(name)}",
                where=str(bundle.root),
                hint="it was exported by an older version: export it again",
            )
        reference = read_reference(bundle.path(reference_file(name)))
        for variant, record in component.variants.items():
            if variant not in device.facts.precisions:
                continue
            graph = load_graph(bundle, SessionKey(bundle.identity, name, variant, device, split=split), cancel)
            try:
                graph.run(reference.inputs, cancel)  # the first call pays for what later ones find prepared
                started = time.perf_counter()
                outputs = graph.run(reference.inputs, cancel)
                seconds = time.perf_counter() - started
            finally:
                graph.close()
            error = reference.error(outputs)
            keep_verdict(bundle.identity, name, variant, device, Judged(error, record.allowed))
            yield Verdict(name, variant, error, record.allowed, record.error, seconds)
