"""ONNX Runtime's exceptions as ours: they share no base class, and tell of its insides rather than of what to do."""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from onnxflow.errors import MemoryLimitError, ModelError, OnnxflowError, ProviderError
from onnxflow.memory import free_memory, size
from onnxflow.providers.device import Device
from onnxflow.providers.provider import Provider, Symptom

_NO_MEMORY: Final = re.compile(
    r"failed to allocate memory|bfc_arena|bad_alloc|out.?of.?memory|8007000E|CL_OUT_OF_RESOURCES|_MEM_ALLOC\b"
    r"|CL_MEM_OBJECT_ALLOCATION_FAILURE|not enough memory|insufficient memory|VK_ERROR_OUT_OF|_ALLOC_FAILED"
    r"|CUDA failure 2\b|ErrorMemoryAllocation|exceeded max size of memory|exceeds the max (?:buffer|storage)",
    re.IGNORECASE,
)
_ASKED: Final = re.compile(
    r"(?:requested buffer of size|requested size|requested bytes of|allocate|required|buffer size)\D{0,20}(\d{4,})",
    re.IGNORECASE,
)
_NO_KERNEL: Final = re.compile(
    r"Could not find an implementation for (?:the node )?(?P<node>\S*?):?(?P<op>\w+)\((?P<version>\d+)\)"
)
_CODE: Final = re.compile(r"\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : ")
_PLACE: Final = re.compile(r"(?:[A-Za-z]:(?=\\))?[^\s:]*\.(?:cc|cpp|cu|cuh|h|mm):\d+ ")
"""A line of ONNX Runtime's sources, before the name of a function there and what that says."""
_FILE: Final = re.compile(
    r"INVALID_PROTOBUF|NO_SUCHFILE|Load model from .* failed:|This is an invalid model|External data path|Type Error: "
    r"|External initializer: |is not a registered function/op"
)
"""What is said of files before any provider is asked, or when their weights are read."""
_LOST: Final = "an update of the driver, or another device, may help; `onnxflow doctor` tries each"


def loading_error(error: Exception, name: str, file: Path, device: Device) -> OnnxflowError:
    """Why a graph could not be loaded: MemoryLimitError, ProviderError or ModelError."""
    text = str(error)
    if is_out_of_memory(error):
        return _memory(f"not enough memory to load {name}", text, device, where=str(file))
    kernel = _NO_KERNEL.search(text)
    if kernel is not None:
        return ProviderError(
            f"{name}: this ONNX Runtime has no kernel for {kernel['op']} of opset {kernel['version']} in this precision"
            f" ({device})",
            where=str(file),
            hint="take another precision of the model, as in NAME@fp32, or another device with --place",
        )
    known = symptom_of(text, device.facts.symptoms)
    if known is not None:
        return ProviderError(f"{name}: {known.cause}", where=str(file), hint=known.cure)
    if device.provider != "cpu" and not _is_about_the_file(error):
        return ProviderError(f"cannot load {name} on {device}: {first_line(error)}", where=str(file), hint=_LOST)
    return ModelError(
        f"cannot load {name}: {first_line(error)}",
        where=str(file),
        hint="the file may be truncated or made for a newer ONNX Runtime: copy it again, or export the model again",
    )


def running_error(error: Exception, name: str, device: Device) -> OnnxflowError:
    """Why a graph could not be run: MemoryLimitError or ProviderError."""
    text = str(error)
    if is_out_of_memory(error):
        return _memory(f"not enough memory to run {name}", text, device)
    known = symptom_of(text, device.facts.symptoms)
    if known is not None:
        return ProviderError(f"{name}: {known.cause}", hint=known.cure)
    return ProviderError(f"{name} failed: {first_line(error)}", hint=_LOST if device.provider != "cpu" else "")


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory was asked for that was not there, in the words of any provider."""
    return isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)) is not None


def symptom_of(text: str, symptoms: Sequence[Symptom]) -> Symptom | None:
    """The first symptom whose pattern a message matches."""
    return next((one for one in symptoms if re.search(one.pattern, text, re.IGNORECASE)), None)


def mended(facts: Provider) -> str:
    """The command that brings the first library of the system that a provider needs and that does not load here; empty
    when nothing is missing."""
    for library in facts.libraries:
        if library.platform == sys.platform and not loads(library.name):
            return library.install
    return ""


def loads(library: str) -> bool:
    """Whether a shared library of the system loads."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def first_line(error: BaseException) -> str:
    """The first line of an exception's text, or its type; of ONNX Runtime's what is said last, without its codes and
    the places in its sources."""
    lines = str(error).strip().splitlines()
    if not lines:
        return type(error).__name__
    line = _CODE.split(lines[0])[-1]
    while place := _PLACE.search(line):
        line = line[: place.start()] + _without_function(line[place.end() :], "/" in place[0])
    return (line.strip() or lines[0])[:300]


def _without_function(text: str, signature: bool) -> str:
    """A text without the function at its beginning: one word, or a whole ``signature`` as GCC and Clang write it."""
    if not signature:
        return text.partition(" ")[2]
    depth = opened = 0
    for at, char in enumerate(text):
        if char == "(":
            opened = opened if depth else at
            depth += 1
        elif char == ")":
            depth -= 1
            # Not "(anonymous namespace)::", nor "operator()(int)", nor "std::function<void(int)>".
            if not depth and re.match(r"[\w>)]", text[opened - 1 : opened]) and text[at + 1 : at + 2] in ("", " "):
                return re.sub(r"^(?: const| noexcept| \[with [^]]*\])* ?", "", text[at + 1 :])
    return text


def _is_about_the_file(error: Exception) -> bool:
    return _FILE.search(str(error)) is not None or type(error).__name__ in {"InvalidProtobuf", "NoSuchFile"}


def _memory(message: str, text: str, device: Device, where: str = "") -> MemoryLimitError:
    """What was asked for and what was free, as far as that is known, and what to try."""
    asked = _ASKED.search(text)
    parts = [f"it asked for {size(int(asked[1]))}"] if asked else []
    free = None if device.own_memory else free_memory()
    if free is not None:
        parts.append(f"{size(free.available)} are free")
    told = f" ({', '.join(parts)})" if parts else ""
    smaller = "a smaller picture or batch, a smaller precision (NAME@int8, NAME@fp16)"
    other = "closing other programs" if device.provider == "cpu" else "the CPU with --place COMPONENT=cpu"
    return MemoryLimitError(f"{message}{told}", where=where, hint=f"{smaller}, or {other}")
