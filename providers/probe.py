"""This machine as it was tried: each device by a small network, in a child process that may crash or hang.

What came of it is kept in the user's cache (probe.json). It holds for the same wheels, driver, system and hardware; a
failure only until a library or a package was installed, the machine was started anew, or a day has passed, and not for
a device that a user named: that is tried again. A failure for want of memory is not kept, that a device did not answer
for ten minutes.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from onnxflow.cancel import CancelToken
from onnxflow.providers.cache_folder import digest, recall, remember
from onnxflow.providers.catalog import PROVIDERS, provider_named
from onnxflow.providers.circumstances import circumstances, surroundings
from onnxflow.providers.device import CPU, Device
from onnxflow.providers.machine import Health
from onnxflow.providers.offer import BUILT_IN, Offer
from onnxflow.providers.plugin import plugin_of
from onnxflow.providers.probe_child import DEVICES, LIBRARIES, answer_in
from onnxflow.providers.provider import Library, Provider
from onnxflow.providers.wheels import stamp, wheel_of

if TYPE_CHECKING:
    from onnxflow.providers.child import Ended

LIMIT: Final = 60.0
"""Seconds that a device has to answer. Drivers compile for some seconds when they see a network first."""

PATIENCE: Final = 5
"""A device that compiles for each size has so many times as long."""

SHORT: Final = 600.0
"""Seconds for which a device that did not answer is not waited for again, unless somebody names it."""

NO_ANSWER: Final = "did not answer within"
"""What child.death says of it."""

VERSION: Final = "3"
"""Of the trial: a change of its network or its tolerances makes what is remembered void."""

COMMAND: Final = (sys.executable, "-P", "-m", "onnxflow.providers.probe_child")
_NAME: Final = "probe"
_PLAIN: Final = "onnxruntime"
_LOG: Final = "3"
"""What ONNX Runtime logs in a child: errors, for it raises none when a provider cannot be made."""


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
        cancel: CancelToken | None = None,
    ) -> None:
        """``refresh`` tries again what is remembered; ``tell`` hears what is tried, before it is; ``cancel`` ends a
        trial, which raises Cancelled then."""
        self._refresh = refresh
        self._limit = limit
        self._command = tuple(command)
        self._tell = tell or (lambda _: None)
        self._cancel = cancel
        self._healths: dict[Device, Health] = {}
        self._believed: set[Device] = set()
        self._listing: Listing | None = None

    def devices(self) -> tuple[Device, ...]:
        """The CPU, and the devices that the installed wheels offer besides; nothing is started where there can be none.

        A build of ONNX Runtime of one's own that has other providers inside, but bears the name of the plain wheel, is
        taken for that here: its devices are used when they are asked for.
        """
        if only_cpu():
            return (CPU,)
        return (CPU, *(offer.device for offer in self.listing().offers if not offer.problem))

    def health(self, device: Device, *, again: bool = False) -> Health:
        """The health of a device; the CPU is tried only where there is another one to choose. With ``again`` a failure
        that another process remembered is tried once more: the user may have mended it."""
        if device == CPU and self.devices() == (CPU,):
            return Health(CPU, True)
        known = self.measured(device)
        if again and device in self._believed and (known.failed or not known.works):
            self._believed.discard(device)
            self._healths[device] = self._tried(device)
        return self._healths[device]

    def measured(self, device: Device) -> Health:
        """The health of a device, the CPU as well, with its speed."""
        if device not in self._healths:
            recalled = self._recalled(device)
            if recalled is not None:
                self._believed.add(device)
            self._healths[device] = recalled or self._tried(device)
        return self._healths[device]

    def missing(self, facts: Provider) -> tuple[Library, ...]:
        """The libraries of the system that a provider needs and that do not load, as far as a child lived to say."""
        from onnxflow.providers.libraries import needed

        libraries = needed(facts)
        told = answer_in(self._run([LIBRARIES, facts.name], self._limit).output) if libraries else None
        names = told.get("missing", ()) if told else ()
        return tuple(library for library in libraries if library.name in names)

    def listing(self) -> Listing:
        """What the installed wheels offer, and what is wrong with those that offer nothing."""
        if self._listing is None:
            key = digest("devices", VERSION, *(stamp(facts) for facts in PROVIDERS), *circumstances())
            around = surroundings()
            kept = None if self._refresh else recall(_NAME).get(key)
            fresh = isinstance(kept, dict) and kept.get("around") == around
            self._listing = _listing_in(kept) if fresh else None
            if self._listing is None:
                self._listing = self._listed()
                if not self._listing.problem and not _passing(offer.problem for offer in self._listing.offers):
                    offers = [asdict(offer) for offer in self._listing.offers]
                    remember(_NAME, {key: {"offers": offers, "around": around, "what": DEVICES}})
        return self._listing

    def _recalled(self, device: Device) -> Health | None:
        kept = None if self._refresh else recall(_NAME).get(_key(device))
        try:
            if kept is None:
                return None
            found = _health_in(device, kept)
            if (found.failed or not found.works) and kept["around"] != surroundings():
                return None
            if kept.get("until", float("inf")) < time.time():
                return None
            return found
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    def _tried(self, device: Device) -> Health:
        limit = self._limit * (PATIENCE if device.fixed else 1)
        self._tell(f"trying {device}" + (f", which compiles: it has {limit:g} s" if device.fixed else ""))
        told = self._ask([str(device)], device.provider, limit)
        try:
            found = _health_in(device, told)
        except (KeyError, TypeError, ValueError, AttributeError):
            found = Health(device, False, "its trial gave an answer that cannot be read", "onnxflow doctor")
        passing = _passing((found.problem, *(problem for problem, _ in found.failed.values())))
        silent = not found.works and NO_ANSWER in found.problem
        if not told.get("defect") and (silent or not passing):
            kept = {name: value for name, value in asdict(found).items() if name != "device"}
            if silent:  # each run would wait for it again, and it may be well the next time
                kept["until"] = time.time() + SHORT
            remember(_NAME, {_key(device): {**kept, "around": surroundings(), "what": str(device)}})
        return found

    def _listed(self) -> Listing:
        """The list of devices, asked at once; when that crashes or hangs, asked by one wheel after the other."""
        self._tell("asking ONNX Runtime for devices")
        told = self._ask([DEVICES], "cpu", self._limit)
        if "died" not in told:
            return _listing_in(told) or Listing((), str(told.get("problem", "")), str(told.get("cure", "")))
        found: list[Offer] = []
        inside = self._ask([DEVICES, BUILT_IN], "cpu", self._limit)
        listing = _listing_in(inside)
        if listing is None:
            return Listing((), str(inside.get("problem", "")), str(inside.get("cure", "")))
        found += listing.offers
        for facts in PROVIDERS:
            if plugin_of(facts) is None:
                continue
            told = self._ask([DEVICES, facts.name], facts.name, self._limit)
            listing = _listing_in(told)
            first = Device(facts.name, next(iter(facts.units), "0" if facts.counted else ""))
            problem = Offer(first, "", str(told.get("problem", "")), str(told.get("cure", "")))
            found += listing.offers if listing is not None else (problem,)
        return Listing(tuple(found))

    def _ask(self, arguments: list[str], provider: str, limit: float) -> dict[str, Any]:
        """What a child answered; a problem and its cure when it did not. When it died over a precision, what it had
        answered before counts, and that precision failed."""
        # Only now, as below: 15 ms that a run does not need where there is the CPU only, or all is remembered.
        from onnxflow.providers.child import death
        from onnxflow.providers.import_failure import import_failure, silent_failure

        ended = self._run(arguments, limit)
        told = answer_in(ended.output)
        wheel, version = wheel_of(provider)
        if told is None or told.get("left"):
            problem, cure = death(ended, limit, wheel, version, wheel_of("cpu")[0] or _PLAIN)
            if told is None:
                return {"works": False, "problem": problem, "cure": cure, "died": True}
            told["failed"] = {**told.get("failed", {}), **{str(name): (problem, cure) for name in told["left"]}}
        if "import" in told:
            problem, cure = import_failure(str(told["import"]), wheel or _PLAIN)
            return {"works": False, "problem": problem, "cure": cure}
        if not told.get("works", True) and "took none of its" in str(told.get("problem")):
            said = silent_failure(ended.errors, provider_named(provider).symptoms)
            if said is not None:
                return {**told, "problem": said[0], "cure": said[1] or told.get("cure", "")}
        return told

    def _run(self, arguments: list[str], limit: float) -> Ended:
        from onnxflow.providers.child import run_child
        from onnxflow.providers.runtime import LOG

        lower = os.environ.get(LOG) in ("0", "1", "2")
        environment = os.environ if lower else {**os.environ, LOG: _LOG}
        return run_child([*self._command, *arguments], limit, self._cancel, environment)


def only_cpu() -> bool:
    """Whether the wheels installed here can have no other device than the CPU: the plain onnxruntime without plug-ins,
    not on macOS, where it has CoreML inside. Imports nothing, and reads one small file."""
    return sys.platform != "darwin" and _built_as() in ("", _PLAIN) and not any(map(plugin_of, PROVIDERS))


def _key(device: Device) -> str:
    return digest("health", VERSION, str(device), stamp(device.facts), *circumstances())


def _passing(problems: Iterable[str]) -> bool:
    """Whether any of the problems may be gone the next time."""
    from onnxflow.providers.child import is_passing

    return any(map(is_passing, problems))


def _health_in(device: Device, told: Mapping[str, Any]) -> Health:
    speed = {str(name): float(value) for name, value in told.get("speed", {}).items()}
    problem, cure = str(told.get("problem", "")), str(told.get("cure", ""))
    failed = {str(name): (str(why), str(mend)) for name, (why, mend) in told.get("failed", {}).items()}
    split, partial = bool(told.get("split", False)), str(told.get("partial", ""))
    return Health(device, bool(told["works"]), problem, cure, speed, split, failed, partial)


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
