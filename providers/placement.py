"""Who computes what: wishes of users, files and machine profiles, and the device and variant that come of them.

A wish is written DEVICE, DEVICE@VARIANT or auto, as in "cuda:0", "cpu@int8"; several of them KEY=WISH, with commas, as
in "unet=cuda:0,vae=cpu,*=auto". A key is a component, a group of components, `*` for all, or the id of a node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

from onnxflow.errors import ProviderError, UsageError, did_you_mean, shown
from onnxflow.memory import free_memory, size, total_memory
from onnxflow.providers.device import CPU, Device, parse_device
from onnxflow.providers.loading import FAST, Loading, loading_of
from onnxflow.providers.machine import Health, Machine
from onnxflow.providers.taken import was_too_large
from onnxflow.providers.verdicts import Judged, known_verdict

AUTO: Final = "auto"
EVERY: Final = "*"
GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "unet": ("unet",),
    "model": ("unet",),
    "clip": ("text_encoder", "text_encoder_2"),
    "vae": ("vae_encoder", "vae_decoder"),
    **{name: (name,) for name in ("text_encoder", "text_encoder_2", "vae_encoder", "vae_decoder")},
}
"""What may stand for components, and for which."""

ROOM: Final = 1.3
"""A graph takes about this many times the bytes of its weights."""

NEARLY: Final = 1.25
"""A device this many times as fast as the CPU is worth it: below, the CPU's numbers are the ones everybody has."""

_VARIANT = "@"
_OTHER = "another precision, as in DEVICE@fp32, or another device"


@dataclass(frozen=True, slots=True)
class Wish:
    """A device, None for the best one, and a variant, None for the one that suits the device; ``origin`` says whose
    wish it is."""

    device: Device | None
    variant: str | None = None
    origin: str = ""

    def __str__(self) -> str:
        device = str(self.device) if self.device is not None else AUTO
        return device + (f"{_VARIANT}{self.variant}" if self.variant else "")


ANY: Final = Wish(None)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a component runs and in which variant; what was asked for, by whom; ``note`` says why it is not that.

    ``fallback`` says that the device may leave nodes to the CPU, and that the CPU may run it all when the device fails;
    ``retreat`` allows only the latter, for a device that nobody named. ``split`` says that the device computes
    attention right only in its standard nodes. ``loading`` is what becomes of weights that lie in a file as they are.
    """

    device: Device
    variant: str
    asked: str = AUTO
    note: str = ""
    fallback: bool = False
    retreat: bool = False
    split: bool = False
    loading: Loading = FAST


class PlacedSource(Protocol):
    """What placement asks of a model."""

    @property
    def identity(self) -> str:
        """The same for the same weights."""
        ...

    @property
    def name(self) -> str:
        """For messages."""
        ...

    @property
    def preferred(self) -> str | None:
        """The variant that its user asked for."""
        ...

    def variants(self, component: str) -> tuple[str, ...]:
        """The variants a component has, the default first."""
        ...

    def variant_of(self, component: str) -> str:
        """The preferred variant where a component has it, else its default."""
        ...

    def weight_bytes(self, component: str, variant: str) -> int:
        """Bytes of a variant's files."""
        ...

    def parameters(self, component: str, variant: str) -> int:
        """How many numbers a component's weights are, where its file can be used as it is; else 0."""
        ...


def parse_wish(text: str, origin: str = "") -> Wish:
    """The wish in ``text``; UsageError for a device or a form that there is not."""
    name, mark, variant = text.strip().partition(_VARIANT)
    if not name.strip():
        raise UsageError(f"{shown(text)} names no device", where=origin, hint="write auto, cpu, cuda:0 ...")
    if mark and not variant:
        raise UsageError(f"{shown(text)} names no variant after the @", where=origin, hint="write it as cpu@int8")
    try:
        device = None if name.strip().lower() == AUTO else parse_device(name)
    except UsageError as error:
        error.where = origin
        raise
    return Wish(device, variant.strip().lower() or None, origin)


def parse_wishes(text: str, origin: str) -> dict[str, Wish]:
    """The wishes in "KEY=WISH,KEY=WISH" by key, or a single one for every component; UsageError."""
    found: dict[str, Wish] = {}
    for part in text.split(","):
        key, equals, wish = part.rpartition("=")
        key = key.strip() if equals else EVERY
        if not key or not wish.strip():
            raise UsageError(
                f"{origin}: {shown(part)} is no placement",
                hint="write COMPONENT=DEVICE or NODE=DEVICE, as in unet=cuda:0,vae=cpu",
            )
        if key in found:
            raise UsageError(f"{origin}: {shown(key)} is placed twice", hint="give each component or node one device")
        found[key] = parse_wish(wish, f"{origin} {part.strip()}" if origin == "--place" else origin)
    return found


def by_component(wishes: Mapping[str, Wish], origin: str, others: Iterable[str] = ()) -> dict[str, Wish]:
    """The wishes by component, with EVERY for the rest; a component's own name counts before its group's. UsageError
    for a key that is neither; ``others`` are the keys to leave out."""
    found: dict[str, Wish] = {}
    left = dict.fromkeys(others)  # in the order of the file, for the hint
    keys = [key for key in wishes if key not in left]
    for key in sorted(keys, key=lambda key: len(GROUPS.get(key, ())), reverse=True):
        if key == EVERY:
            found[EVERY] = wishes[key]
        elif key in GROUPS:
            found.update(dict.fromkeys(GROUPS[key], wishes[key]))
        else:
            raise UsageError(
                f"{origin}: there is no component {shown(key)}" + (", and no such node" if others else ""),
                hint=did_you_mean(key, [*GROUPS, EVERY, *left], what="components and nodes", limit=20),
            )
    return found


def _free() -> int | None:
    memory = free_memory()
    return memory.available if memory is not None else None


class Placer:
    """Turns wishes into placements on one machine."""

    def __init__(
        self,
        machine: Machine,
        *,
        fallback: bool = False,
        verdict: Callable[[str, str, str, Device], Judged | None] = known_verdict,
        memory: Callable[[], int | None] = total_memory,
        too_large: Callable[[str, str, str, Device], bool] = was_too_large,
        loading: Loading | None = None,
        free: Callable[[], int | None] = _free,
    ) -> None:
        self._machine = machine
        self._verdict = verdict
        self._memory = memory
        self._too_large = too_large
        self._loading = loading
        self._free = free
        self.fallback = fallback

    def free_memory(self) -> int | None:
        """Bytes of the machine's memory that are free; None where that is not to be found out."""
        return self._free()

    def check(self, wish: Wish) -> None:
        """ProviderError when the device of a wish does not work here, and nothing else may run in its place."""
        if wish.device is None or wish.device == CPU or self.fallback:
            return
        health = self._machine.health(wish.device)
        if not health.works or wish.variant in health.failed:
            health = self._machine.health(wish.device, again=True)
        if not health.works:
            raise ProviderError(f"{wish.device} cannot be used: {health.problem}", where=wish.origin, hint=health.cure)
        if wish.variant is not None and wish.variant in health.failed:
            problem, cure = health.failed[wish.variant]
            raise ProviderError(_failed(wish.device, wish.variant, problem), where=wish.origin, hint=cure or _OTHER)

    def place(self, wish: Wish, source: PlacedSource, component: str, calls: int = 1) -> Placement:
        """The placement of a component that will be called so often; ProviderError when it cannot be as wished."""
        placed = self._place(wish, source, component)
        parameters = source.parameters(component, placed.variant) if placed.device == CPU else 0
        if not parameters:
            return placed
        stored = source.weight_bytes(component, placed.variant)
        int8 = placed.variant.startswith("int8")
        chosen = self._loading or loading_of(parameters, stored, self._free(), calls, int8=int8)
        return replace(placed, loading=chosen)

    def _place(self, wish: Wish, source: PlacedSource, component: str) -> Placement:
        asked = f"{wish}" + (f" ({wish.origin})" if wish.origin else "")
        wanted = wish.variant or (source.preferred if source.preferred in source.variants(component) else None)
        if wish.variant and wish.variant not in source.variants(component):
            raise ProviderError(
                f"the {component} of {source.name} has no variant {shown(wish.variant)}",
                where=wish.origin,
                hint=did_you_mean(wish.variant, source.variants(component), what="variants"),
            )
        if wish.device is None:
            return self._best(source, component, wanted, asked)
        device = wish.device
        health = self._named(device, source, component, wanted) if device != CPU else None
        if health is not None and not health.works:
            if not self.fallback:
                raise ProviderError(f"{device} cannot be used: {health.problem}", where=wish.origin, hint=health.cure)
            fallen = self._on_cpu(source, component, wanted, asked)
            return Placement(CPU, fallen.variant, asked, f"{device} cannot be used: {health.problem}", True)
        if device == CPU:
            return self._on_cpu(source, component, wanted, asked)
        variant = self._variant(device, source, component, wanted)
        if variant is None:
            takes = [name for name in device.facts.precisions if name in source.variants(component)]
            problem, cure = self._why_not(device, source, component, [wanted] if wanted else takes)
            if not self.fallback:
                raise ProviderError(problem, where=wish.origin, hint=cure or f"another device, as in {component}=cpu")
            fallen = self._on_cpu(source, component, wanted, asked)
            return Placement(CPU, fallen.variant, asked, problem, True)
        return Placement(device, variant, asked, fallback=self.fallback, split=bool(health and health.split))

    def _named(self, device: Device, source: PlacedSource, component: str, wanted: str | None) -> Health:
        """The health of a device that somebody named, who is not refused for a failure that is only remembered."""
        health = self._machine.health(device)
        if health.works and (not health.failed or self._variant(device, source, component, wanted) is not None):
            return health
        return self._machine.health(device, again=True)

    def _best(self, source: PlacedSource, component: str, wanted: str | None, asked: str) -> Placement:
        """The fastest device that has a variant it takes and computes right; the CPU unless another one is clearly
        faster."""
        cpu = self._on_cpu(source, component, wanted, asked)
        others = [device for device in self._machine.devices() if device != CPU]
        if not others:
            return cpu
        speeds = self._machine.health(CPU).speed
        best, fastest = cpu, NEARLY * speeds.get("fp32", 0.0)
        for device in others:
            health = self._machine.health(device)
            whole = health.works and (self.fallback or not health.partial)
            variant = self._variant(device, source, component, wanted) if whole else None
            if variant is None or self._too_large(source.identity, component, variant, device):
                continue
            # int8 is not tried: a device that was tried in one precision only is judged by that.
            speed = health.speed.get(variant, max(health.speed.values(), default=0.0))
            if speed > fastest:
                best = Placement(device, variant, asked, "", self.fallback, True, health.split)
                fastest = speed
        return best

    def _variant(self, device: Device, source: PlacedSource, component: str, wanted: str | None) -> str | None:
        """The variant that suits a device, of those that it takes and is not known to compute wrong; None when there is
        none."""
        names = [wanted] if wanted else list(device.facts.precisions)
        health = self._machine.health(device)
        for name in names:
            if name not in device.facts.precisions or name not in source.variants(component) or name in health.failed:
                continue
            if name == "fp16" and "fp16" not in health.speed and "fp32" in health.speed and not wanted:
                continue  # nobody knows whether it computes in half precision
            judged = self._verdict(source.identity, component, name, device)
            if judged is None or not judged.wrong:
                return name
        return None

    def _why_not(self, device: Device, source: PlacedSource, component: str, names: list[str]) -> tuple[str, str]:
        """Why a device takes none of a component's variants, and what mends that as far as it is known."""
        failed = self._machine.health(device).failed
        for name in names:
            judged = self._verdict(source.identity, component, name, device)
            if judged is not None and judged.wrong and name in device.facts.precisions:
                wrong = (
                    f"{device} computes the {component} of {source.name} in {name} wrong: {judged.error:.1e} from"
                    f" PyTorch, {judged.allowed:.0e} is allowed, as onnxflow verify found"
                )
                return wrong, ""
            if name in failed and name in source.variants(component):
                return _failed(device, name, failed[name][0]), failed[name][1]
        takes, has = ", ".join(device.facts.precisions), ", ".join(source.variants(component))
        wanted = ", ".join(names) or has
        return f"{device} takes {takes}, the {component} of {source.name} is wanted in {wanted} (it has {has})", ""

    def _on_cpu(self, source: PlacedSource, component: str, wanted: str | None, asked: str) -> Placement:
        """The CPU with the model's default variant, or with a smaller one where that does not fit into the memory."""
        names = source.variants(component)
        variant = wanted or source.variant_of(component)
        memory = self._memory() if wanted is None and "int8" in names and variant != "int8" else None
        if memory is not None:
            needed, small = (int(ROOM * source.weight_bytes(component, name)) for name in (variant, "int8"))
            if needed > memory >= small:
                note = f"int8, for {variant} takes {size(needed)} of memory, and the machine has {size(memory)}"
                return Placement(CPU, "int8", asked, note, self.fallback)
        return Placement(CPU, variant, asked, fallback=self.fallback)


def _failed(device: Device, precision: str, problem: str) -> str:
    return f"{device} cannot be used in {precision}: {problem}"
