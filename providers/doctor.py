"""What is wrong with an installation, and the one command that mends each thing: a function of what was found out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from onnxflow.memory import size
from onnxflow.providers.catalog import PROVIDERS, provider_named
from onnxflow.providers.device import CPU
from onnxflow.providers.host import Host
from onnxflow.providers.machine import Health
from onnxflow.providers.probe import Listing
from onnxflow.providers.provider import Library, Provider, Wheel
from onnxflow.providers.wheels import REPLACING

OLDEST: Final = (1, 24)
"""The version of onnxruntime from which on plug-ins and the record of who took which node are there."""

NEWEST_PYTHON: Final = (3, 14)
"""Of the versions of Python that wheels of onnxruntime were made for when this was written."""

_64_BITS: Final = ("x86_64", "amd64", "aarch64", "arm64")
_INCOMPATIBLE: Final = re.compile(r"API version|ORT_API_VERSION|OrtGetApiBase|CreateEpFactories|not compatible", re.I)

Severity = Literal["ok", "note", "problem"]


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that onnxflow writes into: what for, where, whether it can be written, how to name another one, and
    whether a run needs to write there."""

    what: str
    path: Path
    writable: bool
    cure: str = ""
    needed: bool = True


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found out: the machine, versions of wheels, what they offer, how the devices did, libraries that
    do not load, by provider, the commands that bring wheels here, by distribution, and the folders."""

    host: Host
    wheels: Mapping[str, str] = field(default_factory=dict)
    listing: Listing = field(default_factory=Listing)
    healths: tuple[Health, ...] = ()
    missing: Mapping[str, tuple[Library, ...]] = field(default_factory=dict)
    commands: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[Folder, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """A line of the diagnosis; ``cure`` is the command that mends a problem, or brings what a note tells of."""

    severity: Severity
    what: str
    why: str
    cure: str = ""


def findings(seen: Examined) -> tuple[Finding, ...]:
    """Everything that was looked at, in order; something is to mend where one is a problem."""
    return (
        _system(seen.host),
        _python(seen),
        *_wheels(seen),
        *_devices(seen),
        *_folders(seen),
        *_tips(seen),
    )


def _system(host: Host) -> Finding:
    what = "system"
    if host.bits < 64 or host.machine not in _64_BITS:
        raspberry = "raspberry" in host.board.lower()
        image = "Raspberry Pi OS (64-bit), with Raspberry Pi Imager" if raspberry else "a 64-bit system and Python"
        why = f"{host.bits}-bit Python on {host.machine}: there is no onnxruntime for 32 bits"
        if host.bits == 64:
            why = f"there is no wheel of onnxruntime for the processor {host.machine}"
        return Finding("problem", what, why, f"install {image}")
    if host.libc.startswith("musl"):
        return Finding(
            "problem",
            what,
            f"{host.libc}: wheels of onnxruntime need glibc",
            "use an image with glibc (python:3.13-slim)",
        )
    memory = f", {size(host.memory)} of memory" if host.memory else ""
    parts = [host.board, f"{host.platform} {host.machine}", host.libc, host.processor]
    told = ", ".join(part for part in parts if part)
    return Finding("ok", what, f"{told}, {host.cores} core{'s' if host.cores > 1 else ''}{memory}")


def _python(seen: Examined) -> Finding:
    host = seen.host
    told = ".".join(map(str, host.python)) + (", free-threaded" if host.free_threaded else "")
    if _onnxruntimes(seen) or not seen.listing.problem:
        return Finding("ok", "Python", told)
    newest = ".".join(map(str, NEWEST_PYTHON))
    if host.free_threaded:
        why = f"{told}: onnxruntime is missing, and not every version has a wheel for a free-threaded Python"
        return Finding("problem", "Python", why, f"make the environment with the usual Python {newest}")
    if host.python[:2] > NEWEST_PYTHON:
        why = f"{told}: onnxruntime is missing, and may have no wheel yet for a Python newer than {newest}"
        return Finding("problem", "Python", why, f"make the environment with Python {newest}")
    return Finding("ok", "Python", told)


def _onnxruntimes(seen: Examined) -> list[str]:
    """The installed distributions that are onnxruntime itself."""
    return [name for name in REPLACING if name in seen.wheels]


def _wheels(seen: Examined) -> Iterator[Finding]:
    found = _onnxruntimes(seen)
    if len(found) > 1:
        kept = next((name for name in found if name != "onnxruntime"), found[0])
        version = seen.wheels[kept]
        exact = f"{kept}=={version}" if _version(version) >= OLDEST and not _bad(kept, version) else kept
        yield Finding(
            "problem",
            "onnxruntime",
            f"{' and '.join(f'{name} {seen.wheels[name]}' for name in found)} are installed, and overwrite each other's"
            " files: an environment can hold one",
            f"pip uninstall -y {' '.join(found)} && pip install {exact}",
        )
    elif seen.listing.problem:
        name = found[0] if found else "onnxruntime"
        yield Finding("problem", name, seen.listing.problem, seen.listing.cure)
    elif not found:
        yield Finding("ok", "onnxruntime", "a build of one's own: it imports, and no wheel is installed")
    for name, version in seen.wheels.items():
        wrong = _bad(name, version)
        if wrong:
            yield Finding(
                "problem", name, f"{version} is known to be bad: {wrong}", f"pip install -U '{name}!={version}'"
            )
        elif name in found and _version(version) < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            why = f"{version} is too old: {oldest} or newer is needed"
            yield Finding("problem", name, why, f"pip install -U '{name}>={oldest}'")
        elif len(found) <= 1 and not (name in found and seen.listing.problem):
            yield Finding("ok", name, version)


def _devices(seen: Examined) -> Iterator[Finding]:
    """A device that does not work is to be mended, unless another one of its provider does work (Core ML's GPU beside
    its NPU), or another provider in the same wheel (TensorRT beside CUDA), or it is hardware that a machine may well
    lack (OpenVINO's NPU). So is a precision that a device does not compute."""
    working = {health.device.provider for health in seen.healths if health.works} - {CPU.provider}
    for health in seen.healths:
        facts = health.device.facts
        if health.works:
            speeds = ", ".join(f"{name} {speed:,.3g} GFLOP/s" for name, speed in health.speed.items())
            yield Finding("ok", str(health.device), f"works{': ' if speeds else ''}{speeds}")
            yield from (Finding("note", str(health.device), *limit) for limit in limits(health))
            continue
        beside = any(name == facts.name or _share_a_wheel(facts, provider_named(name)) for name in working)
        yield Finding(
            "note" if beside else "problem", str(health.device), *_mended(seen, facts, health.problem, health.cure)
        )
    for offer in seen.listing.offers:
        if offer.problem:
            units = offer.device.facts.units
            lacking = bool(units) and offer.device.unit != next(iter(units))
            told = _mended(seen, offer.device.facts, offer.problem, offer.cure)
            yield Finding("note" if lacking else "problem", str(offer.device), *told)


def limits(health: Health) -> Iterator[tuple[str, str]]:
    """What a device that works does not do, and what mends that as far as it can be mended."""
    for precision, (problem, cure) in health.failed.items():
        yield f"{precision}: {problem}", "" if cure == "onnxflow doctor" else cure
    if health.partial:
        yield f"it takes part of a graph only: {health.partial}", "--fallback allow lets the CPU do the rest"


def _share_a_wheel(one: Provider, other: Provider) -> bool:
    return bool({wheel.distribution for wheel in one.wheels} & {wheel.distribution for wheel in other.wheels})


def _mended(seen: Examined, facts: Provider, problem: str, cure: str) -> tuple[str, str]:
    """The problem and the command for it, with what is known of libraries, cards and versions."""
    missing = seen.missing.get(facts.name, ())
    if missing and not any(symptom.cause in problem for symptom in facts.symptoms):
        names = " and ".join(library.name for library in missing)
        commands = dict.fromkeys(library.install for library in missing)
        return f"{problem}; {names} {'is' if len(missing) == 1 else 'are'} missing", " && ".join(commands)
    wheel = _plugin(seen, facts)
    if wheel is not None and _INCOMPATIBLE.search(problem):
        core = (*_onnxruntimes(seen), "onnxruntime")[0]
        why = f"{wheel.distribution} and {core} do not fit together: {problem}"
        return why, f"pip install -U {core} {wheel.distribution}"
    alone = set(facts.hardware.values()) == {"GPU"} and seen.host.platform == "linux" and not seen.host.gpus
    if wheel is not None and alone:
        why = f"{problem}; Linux shows no graphics card (/sys/class/drm): if there is one, its driver is not loaded"
        return why, f"pip uninstall -y {wheel.distribution}"
    return problem, "" if cure == "onnxflow doctor" else cure.replace("; see onnxflow doctor", "")


def _plugin(seen: Examined, facts: Provider) -> Wheel | None:
    return next((wheel for wheel in facts.wheels if wheel.plugin and wheel.distribution in seen.wheels), None)


def _folders(seen: Examined) -> Iterator[Finding]:
    for folder in seen.folders:
        if folder.writable:
            yield Finding("ok", folder.what, str(folder.path))
        else:
            severity: Severity = "problem" if folder.needed else "note"
            yield Finding(severity, folder.what, f"{folder.path} cannot be written", folder.cure)


def _tips(seen: Examined) -> Iterator[Finding]:
    """The cards whose provider is not installed."""
    for maker in seen.host.gpus:
        for name in {"NVIDIA": ("cuda", "webgpu"), "Apple": ("coreml",)}.get(maker, ("webgpu",)):
            wheels = wheels_here(provider_named(name), seen.host)
            if not wheels:
                continue
            if not any(wheel.distribution in seen.wheels for wheel in wheels):
                why = f"{provider_named(name).title} computes on it, and is not installed"
                yield Finding("note", f"{maker} GPU", why, seen.commands.get(wheels[0].distribution, wheels[0].install))
            break


def wheels_here(facts: Provider, host: Host) -> list[Wheel]:
    """The wheels that bring a provider on a machine."""
    return [wheel for wheel in facts.wheels if wheel.install and (host.platform, host.machine) in wheel.platforms]


def _bad(name: str, version: str) -> str:
    for facts in PROVIDERS:
        for wheel in facts.wheels:
            if wheel.distribution == name and version in wheel.bad:
                return wheel.bad[version]
    return ""


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])
