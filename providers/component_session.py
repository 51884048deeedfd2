"""A component's session as one node sees it: its run can stop it, its numbers are checked, and the CPU may take the
place of a device that fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from onnxflow.errors import MemoryLimitError, NumbersError, OnnxflowError, ProviderError
from onnxflow.providers.device import CPU
from onnxflow.providers.numbers import bad_share
from onnxflow.providers.placement import Placement
from onnxflow.providers.session_key import FP32, UPCAST, ModelSource, SessionKey, UseKey
from onnxflow.providers.taken import remember_too_large

_DENOISER = "unet"
_SMALLEST = {"vae_decoder": 32, "vae_encoder": 256}  # sides of the smallest tiles of an autoencoder, in its own inputs

if TYPE_CHECKING:
    from onnxflow.values import Feeds


class Lease(Protocol):
    """The sessions of one run."""

    on_nan: str

    def open(self, source: ModelSource, key: SessionKey, placement: Placement) -> UseKey:
        """Take the session of ``key`` for this run."""
        ...

    def call(self, named: UseKey, feeds: Feeds) -> dict[str, NDArray[Any]]:
        """All outputs of a session that was taken."""
        ...

    def give_back(self, key: SessionKey) -> None:
        """Give a session back, which is closed unless somebody else holds it."""
        ...


class ComponentSession:
    """A session as one node sees it: stopped by its run's token, counted in its report, its numbers checked."""

    __slots__ = ("_component", "_lease", "_named", "_placement", "_source", "_when")

    def __init__(
        self, lease: Lease, source: ModelSource, component: str, placement: Placement, when: Callable[[], str]
    ) -> None:
        self._lease = lease
        self._source = source
        self._component = component
        self._placement = placement
        self._when = when
        self._named: UseKey | None = None

    def open(self) -> None:
        """Load the graph, on the CPU when its device fails and that is allowed."""
        try:
            self._take(self._placement)
        except (ProviderError, MemoryLimitError) as error:
            self._fall_back(error)

    def run(self, feeds: Feeds) -> dict[str, NDArray[Any]]:
        """All outputs; NumbersError when one holds NaN or infinity, unless fp32 gives numbers and that may be tried."""
        outputs = self._computed(feeds)
        bad = bad_share(outputs)
        if not bad:
            return outputs
        key = self._opened()[0]
        if self._lease.on_nan == UPCAST and key.variant != FP32 and FP32 in self._source.variants(self._component):
            device = key.device if FP32 in key.device.facts.precisions else CPU
            note = f"{key.variant} gave NaN or infinity{self._said_when()}: fp32 from there on"
            self._move(replace(self._placement, device=device, variant=FP32, note=self._noted(note)))
            self.open()
            outputs = self._computed(feeds)
            bad = bad_share(outputs)
            if not bad:
                return outputs
        raise self._error(bad)

    def close(self) -> None:
        """Nothing: the lease gives the session back."""

    def _computed(self, feeds: Feeds) -> dict[str, NDArray[Any]]:
        """The outputs, the CPU's when the device fails and that is allowed: a device that needs fixed sizes shows at
        the first call only whether it takes the graph. A denoiser that has no memory for several rows is asked for
        fewer of them by who calls it, an autoencoder for smaller pictures, before the CPU is."""
        try:
            return self._lease.call(self._opened(), feeds)
        except (ProviderError, MemoryLimitError) as error:
            if isinstance(error, MemoryLimitError) and self._can_be_asked_for_less(feeds):
                raise
            self._fall_back(error)
        return self._lease.call(self._opened(), feeds)

    def _can_be_asked_for_less(self, feeds: Feeds) -> bool:
        if self._component == _DENOISER:
            return len(feeds.get("sample", ())) > 1
        side = _SMALLEST.get(self._component, 0)
        return bool(side) and any(
            value.ndim == 4 and value.shape[2] * value.shape[3] > side**2 for value in feeds.values()
        )

    def _opened(self) -> UseKey:
        assert self._named is not None, "a session was used before it was opened"
        return self._named

    def _fall_back(self, error: OnnxflowError) -> None:
        """Load the graph on the CPU; the error itself where that is not allowed, or would not help."""
        placed = self._placement
        same_memory = isinstance(error, MemoryLimitError) and not placed.device.own_memory
        if placed.device == CPU or same_memory or not (placed.fallback or placed.retreat):
            raise error
        if isinstance(error, MemoryLimitError) and placed.retreat:
            remember_too_large(self._source.identity, self._component, placed.variant, placed.device)
        slow = placed.variant == "fp16" and FP32 in self._source.variants(self._component)
        variant = FP32 if slow else placed.variant
        self._move(replace(placed, device=CPU, variant=variant, note=self._noted(error.message), split=False))
        self._take(self._placement)

    def _take(self, placement: Placement) -> None:
        key = SessionKey(
            self._source.identity,
            self._component,
            placement.variant,
            placement.device,
            placement.fallback,
            placement.split,
            placement.loading,
        )
        self._named = self._lease.open(self._source, key, placement)

    def _move(self, placement: Placement) -> None:
        """Give back what is loaded, which the next device may need the memory of, and be placed elsewhere."""
        if self._named is not None:
            self._lease.give_back(self._named[0])
        self._named, self._placement = None, placement

    def _noted(self, note: str) -> str:
        """What there is to say of the placement so far, and one thing more."""
        return "; ".join(part for part in (self._placement.note, note) if part)

    def _said_when(self) -> str:
        when = self._when()
        return f" {when}" if when else ""

    def _error(self, bad: Mapping[str, float]) -> NumbersError:
        key = self._opened()[0]
        shares = ", ".join(
            f"{share:.0%} of {name}" if share >= 0.005 else f"a few of {name}" for name, share in bad.items()
        )
        if key.variant == FP32:
            hint = "the model's weights may be damaged, or the device compute wrong: onnxflow verify tells"
        elif FP32 in self._source.variants(self._component):
            hint = f"--on-nan upcast repeats it in fp32, or take the model's fp32 variant (it ran in {key.variant})"
        else:
            hint = f"{key.variant} overflows like this: export the model again in fp32"
        return NumbersError(
            f"the {self._component} of {self._source.name} ({key.variant}, {key.device}) gave NaN or infinity"
            f"{self._said_when()}: {shares}",
            hint=hint,
        )
