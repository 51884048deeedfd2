"""What is known of an execution provider before any of it is tried: plain data, one value in one file each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
NO_VARIANTS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType({})
FOLDER: Final = "{folder}"
"""In an option's value: the folder for what a provider compiles."""
ANY_UNIT: Final = frozenset({""})
"""In ``fixed``: every unit of a provider."""


def words(text: str) -> frozenset[str]:
    """The words of a text: a long list that reads well."""
    return frozenset(text.split())


def operators(onnx: str, microsoft: str = "") -> frozenset[str]:
    """Names of operators from two lists of words: of ONNX's own domain, and of com.microsoft."""
    return words(onnx) | {f"com.microsoft:{name}" for name in words(microsoft)}


@dataclass(frozen=True, slots=True)
class Wheel:
    """A distribution that brings a provider.

    ``module`` names the module of a plug-in, which is installed beside onnxruntime and tells where its library lies
    (``get_library_path()``); empty for a wheel that is onnxruntime itself, built with the provider inside, of which an
    environment may hold one only. ``install`` is the command that brings it, empty where none does (custom builds).
    ``platforms`` are pairs of sys.platform and platform.machine() in lower case. ``bad`` maps versions to what is wrong
    with them.
    """

    distribution: str
    install: str
    platforms: tuple[tuple[str, str], ...]
    module: str = ""
    bad: Mapping[str, str] = field(default_factory=lambda: NOTHING)

    @property
    def plugin(self) -> bool:
        """Whether it stands beside onnxruntime instead of replacing it."""
        return bool(self.module)


@dataclass(frozen=True, slots=True)
class Library:
    """A shared library of the system that a provider needs: the name the loader looks for, and the command that brings
    it, by sys.platform."""

    name: str
    platform: str
    install: str


@dataclass(frozen=True, slots=True)
class Symptom:
    """A regular expression that a message of ONNX Runtime or a driver matches, what that means, and what mends it."""

    pattern: str
    cause: str
    cure: str


@dataclass(frozen=True, slots=True)
class Provider:
    """An execution provider.

    ``name`` is ours ("cuda"), ``ep`` ONNX Runtime's. A device is named by ``units`` ("openvino:npu"), or by a number
    where ``counted`` ("cuda:1"), or by the provider alone; ``unit_option`` is the option that chooses it, and ``units``
    maps each to that option's value; the first unit is the default. ``hardware`` maps units to the kind of hardware
    ("CPU", "GPU", "NPU") that a plug-in's device must be; "" stands for any unit.

    ``options`` are the defaults we give, ``variants`` what a variant needs besides, ``keys`` all that it knows.
    ``precisions`` are the variants to take, best first; another one is refused. ``fixed`` are the units that need sizes
    fixed when a graph is loaded, ANY_UNIT where all do. ``kernels`` are the operators it takes ("Conv",
    "com.microsoft:MultiHeadAttention"), as far as our graphs and those of Optimum use them; empty means all of ONNX
    Runtime's. ``memory`` says that its tensors lie in a memory of its own. ``cache`` are the options that make it keep
    what it compiled in ``{folder}``; ``context`` that it can write an EPContext model instead. ``driver`` are files
    (globs) that change with its driver.
    """

    name: str
    ep: str
    title: str
    wheels: tuple[Wheel, ...]
    precisions: tuple[str, ...]
    units: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    counted: bool = False
    unit_option: str = ""
    hardware: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    options: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    variants: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: NO_VARIANTS)
    keys: frozenset[str] = frozenset()
    fixed: frozenset[str] = frozenset()
    kernels: frozenset[str] = frozenset()
    memory: bool = False
    cache: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    context: bool = False
    libraries: tuple[Library, ...] = ()
    symptoms: tuple[Symptom, ...] = ()
    driver: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    ran: str = field(default="")
    """Where it was run for real by us; empty: never, only its tables and a fake of onnxruntime are tested."""

    def __post_init__(self) -> None:
        for name in ("units", "hardware", "options", "variants", "cache"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def has(self, operator: str) -> bool:
        """Whether it has a kernel for an operator, its domain before it unless that is ONNX's own."""
        return not self.kernels or operator in self.kernels

    def fixes(self, unit: str) -> bool:
        """Whether a unit needs sizes fixed when a graph is loaded."""
        return bool(self.fixed & {"", unit})
