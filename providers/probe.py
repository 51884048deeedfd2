"""This machine as it was tried: each device by a small network, in a child process that may crash or hang.

What came of it is kept in the user's cache (probe.json). It holds for the same wheels, driver, system and hardware; a
failure only until a library was installed, the machine was started anew, or a day has passed.
"""

from __future__ import annotations

import glob
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from onnxflow.providers.cache_folder import digest, recall, remember
from onnxflow.providers.catalog import PROVIDERS, provider_named
from onnxflow.providers.device import CPU, Device
from onnxflow.providers.machine import Health
from onnxflow.providers.offer import BUILT_IN, Offer
from onnxflow.providers.plugin import plugin_of
from onnxflow.providers.probe_child import DEVICES, answer_in
from onnxflow.providers.wheels import stamp, wheel_of

LIMIT: Final = 60.0
"""Seconds that a device has to answer. Drivers compile for some seconds when they see a network first."""

VERSION: Final = "2"
"""Of the trial: a change of its network or its tolerances makes what is remembered void."""

COMMAND: Final = (sys.executable, "-P", "-m", "onnxflow.providers.probe_child")
_NAME: Final = "probe"
_PLAIN: Final = "onnxruntime"
_DAY: Final = 86_400
_CHOOSING: Final = (
    *("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "VK_DRIVER_FILES", "VK_ICD_FILENAMES"),
    *("LD_LIBRARY_PATH", "OMP_NUM_THREADS"),
)
"""Variables that choose devices and drivers."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What the installed wheels offer besides the CPU; ``problem`` says why ONNX Runtime could not be asked at all."""

    offers: tuple[Offer, ...] = ()
    problem: str = ""
    cure: str = ""


class ProbedMachine:
    """The devices of the installed wheels, each tried once and remembered."""

    def __init__(
        self,
        *,
        refresh: bool = False,
        limit: float = LIMIT,
        command: Sequence[str] = COMMAND,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        """``refresh`` tries again what is remembered; ``tell`` hears what is tried, before it is."""
        self._refresh = refresh
        self._limit = limit
        self._command = tuple(command)
        self._tell = tell or (lambda _: None)
        self._healths: dict[Device, Health] = {}
        self._listing: Listing | None = None

    def devices(self) -> tuple[Device, ...]:
        """The CPU, and the devices that the installed wheels offer besides; nothing is started where there can be none.

        A build of ONNX Runtime of one's own that has other providers inside, but bears the name of the plain wheel, is
        taken for that here: its devices are used when they are asked for.
        """
        if only_cpu():
            return (CPU,)
        return (CPU, *(offer.device for offer in self.listing().offers if not offer.problem))

    def health(self, device: Device) -> Health:
        """The health of a device; the CPU is tried only where there is another one to choose."""
        if device == CPU and self.devices() == (CPU,):
            return Health(CPU, True)
        return self.measured(device)

    def measured(self, device: Device) -> Health:
        """The health of a device, the CPU as well, with its speed."""
        if device not in self._healths:
            self._healths[device] = self._recalled(device) or self._tried(device)
        return self._healths[device]

    def listing(self) -> Listing:
        """What the installed wheels offer, and what is wrong with those that offer nothing."""
        if self._listing is None:
            key, around = digest("devices", VERSION, *(stamp(facts) for facts in PROVIDERS), *_chosen()), surroundings()
            kept = None if self._refresh else recall(_NAME).get(key)
            fresh = isinstance(kept, dict) and kept.get("around") == around
            self._listing = _listing_in(kept) if fresh else None
            if self._listing is None:
                self._listing = self._listed()
                if not self._listing.problem:
                    offers = [asdict(offer) for offer in self._listing.offers]
                    remember(_NAME, {key: {"offers": offers, "around": around, "what": DEVICES}})
        return self._listing

    def _recalled(self, device: Device) -> Health | None:
        kept = None if self._refresh else recall(_NAME).get(_key(device))
        try:
            if kept is None or not (kept["works"] or kept["around"] == surroundings()):
                return None
            return _health_in(device, kept)
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    def _tried(self, device: Device) -> Health:
        self._tell(f"trying {device}")
        told = self._ask([str(device)], device.provider)
        try:
            found = _health_in(device, told)
        except (KeyError, TypeError, ValueError, AttributeError):
            found = Health(device, False, "its trial gave an answer that cannot be read", "onnxflow doctor")
        if found.works or not (told.get("defect") or "not enough memory" in found.problem):
            kept = {"works": found.works, "problem": found.problem, "cure": found.cure, "speed": dict(found.speed)}
            kept["split"] = found.split
            remember(_NAME, {_key(device): {**kept, "around": surroundings(), "what": str(device)}})
        return found

    def _listed(self) -> Listing:
        """The list of devices, asked at once; when that crashes or hangs, asked by one wheel after the other."""
        self._tell("asking ONNX Runtime for devices")
        told = self._ask([DEVICES], "cpu")
        if "died" not in told:
            return _listing_in(told) or Listing((), str(told.get("problem", "")), str(told.get("cure", "")))
        found: list[Offer] = []
        inside = self._ask([DEVICES, BUILT_IN], "cpu")
        listing = _listing_in(inside)
        if listing is None:
            return Listing((), str(inside.get("problem", "")), str(inside.get("cure", "")))
        found += listing.offers
        for facts in PROVIDERS:
            if plugin_of(facts) is None:
                continue
            told = self._ask([DEVICES, facts.name], facts.name)
            listing = _listing_in(told)
            first = Device(facts.name, next(iter(facts.units), "0" if facts.counted else ""))
            problem = Offer(first, "", str(told.get("problem", "")), str(told.get("cure", "")))
            found += listing.offers if listing is not None else (problem,)
        return Listing(tuple(found))

    def _ask(self, arguments: list[str], provider: str) -> dict[str, Any]:
        """What a child answered; a problem and its cure when it did not."""
        # Only now, as below: 15 ms that a run does not need where there is the CPU only, or all is remembered.
        from onnxflow.providers.child import death, run_child
        from onnxflow.providers.import_failure import import_failure, silent_failure

        ended = run_child([*self._command, *arguments], self._limit)
        told = answer_in(ended.output)
        wheel, version = wheel_of(provider)
        if told is None:
            problem, cure = death(ended, self._limit, wheel, version, wheel_of("cpu")[0] or _PLAIN)
            return {"works": False, "problem": problem, "cure": cure, "died": True}
        if "import" in told:
            problem, cure = import_failure(str(told["import"]), wheel or _PLAIN)
            return {"works": False, "problem": problem, "cure": cure}
        if not told.get("works", True) and "took none of its" in str(told.get("problem")):
            said = silent_failure(ended.errors, provider_named(provider).symptoms)
            if said is not None:
                return {**told, "problem": said[0], "cure": said[1] or told.get("cure", "")}
        return told


def only_cpu() -> bool:
    """Whether the wheels installed here can have no other device than the CPU: the plain onnxruntime without plug-ins,
    not on macOS, where it has CoreML inside. Imports nothing, and reads one small file."""
    return sys.platform != "darwin" and _built_as() in ("", _PLAIN) and not any(map(plugin_of, PROVIDERS))


def surroundings() -> str:
    """A text that changes when a failure may be mended: a library was installed, the machine started anew, or a day has
    passed."""
    return digest(_stat("/etc/ld.so.cache"), _read("/proc/sys/kernel/random/boot_id"), str(int(time.time()) // _DAY))


def _key(device: Device) -> str:
    return digest("health", VERSION, str(device), stamp(device.facts), *_chosen())


def _chosen() -> list[str]:
    """What else an answer depends on: our own version, graphics cards, cores, and variables that choose devices."""
    from importlib import metadata

    from onnxflow.providers.host import cores

    cards = [
        _read(path)
        for part in ("vendor", "device")
        for path in sorted(glob.glob(f"/sys/class/drm/card*/device/{part}"))
    ]
    try:
        ours = metadata.version("onnxflow")
    except metadata.PackageNotFoundError:
        ours = ""
    return [ours, *cards, str(cores()), *(os.environ.get(name, "") for name in _CHOOSING)]


def _health_in(device: Device, told: Mapping[str, Any]) -> Health:
    speed = {str(name): float(value) for name, value in told.get("speed", {}).items()}
    problem, cure = str(told.get("problem", "")), str(told.get("cure", ""))
    return Health(device, bool(told["works"]), problem, cure, speed, bool(told.get("split", False)))


def _listing_in(told: Any) -> Listing | None:
    """The listing in what was told or kept; None when there is none."""
    try:
        return Listing(tuple(Offer(**{**offer, "device": Device(**offer["device"])}) for offer in told["offers"]))
    except (KeyError, TypeError):
        return None


def _built_as() -> str:
    """The name under which the installed onnxruntime was built; empty when it is not there or does not say."""
    try:
        spec = importlib.util.find_spec(_PLAIN)
    except ValueError:
        return ""
    if spec is None or not spec.origin:
        return ""
    text = _read(str(Path(spec.origin).parent / "capi" / "build_and_package_info.py"))
    name = text.partition("package_name")[2].partition("\n")[0]
    return name.strip(" =\t'\"\r")


def _read(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", errors="replace")
    except OSError:
        return ""


def _stat(path: str) -> str:
    try:
        return str(os.stat(path).st_mtime_ns)
    except OSError:
        return ""
