"""Why onnxruntime does not import, in words that say what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from onnxflow.providers.catalog import PROVIDERS, provider_named
from onnxflow.providers.failure import symptom_of
from onnxflow.providers.provider import Symptom

_PACKAGES: Final = {
    "libgomp.so.1": "sudo apt-get install libgomp1",
    "libstdc++.so.6": "sudo apt-get install libstdc++6",
    "libvulkan.so.1": "sudo apt-get install libvulkan1",
}
REINSTALL: Final = "pip install --force-reinstall --no-deps {wheel}"

_CAUSES: Final[tuple[tuple[str, str, str | Callable[[str], str]], ...]] = (
    (
        r"No module named '?onnxruntime'?$",
        "onnxruntime is not installed",
        lambda _: provider_named("cpu").wheels[0].install,
    ),
    (r"wrong ELF class", "a library is for 32 bits and Python for 64, or the other way round", REINSTALL),
    (
        r"(?P<lib>[\w.+-]+\.so[\w.]*): cannot open shared object file",
        "the library {lib} is missing",
        lambda lib: package_of(lib),
    ),
    (
        r"(?P<lib>GLIBC(?:XX)?_[\d.]+)' not found",
        "the system's C or C++ library is too old for this onnxruntime: it lacks {lib}",
        "update the operating system (Debian 12, Ubuntu 22.04, Raspberry Pi OS 12 or newer)",
    ),
    (r"static TLS block", "libgomp is loaded too late", "LD_PRELOAD=libgomp.so.1 onnxflow doctor"),
    (
        r"cannot enable executable stack",
        "this system forbids the executable stack that this onnxruntime asks for",
        "pip install --upgrade {wheel}",
    ),
    (
        r"compiled (?:using|against|with).*NumPy|_ARRAY_API not found|multiarray failed to import|numpy\.core",
        "onnxruntime was built for another NumPy than the one installed",
        "pip install --upgrade numpy {wheel}",
    ),
    (
        r"DLL load failed",
        "a DLL that onnxruntime needs is missing or too old, most likely Microsoft's Visual C++ runtime",
        "winget install Microsoft.VCRedist.2015+.x64",
    ),
    (
        r"onnxruntime_pybind11_state|Module use of python\d+",
        "the installed onnxruntime is for another version of Python, or damaged",
        REINSTALL,
    ),
    (
        r"undefined symbol|cannot import name|has no attribute|partially initialized",
        "the installed onnxruntime is damaged, as when two wheels of it lie in one place",
        REINSTALL,
    ),
)


def import_failure(text: str, wheel: str = "onnxruntime") -> tuple[str, str]:
    """The problem and its cure, of the message with which importing onnxruntime failed; ``wheel`` is the distribution
    that brought it."""
    for pattern, problem, cure in _CAUSES:
        found = re.search(pattern, text, re.MULTILINE)
        if found is None:
            continue
        library = found.groupdict().get("lib", "")
        told = cure(library) if callable(cure) else cure.format(wheel=wheel)
        return problem.format(lib=library), told
    lines = [line for line in text.strip().splitlines() if line.strip()] or ["it said nothing"]
    return f"onnxruntime does not import: {lines[-1].strip()[:300]}", REINSTALL.format(wheel=wheel)


def silent_failure(words: str, symptoms: Sequence[Symptom]) -> tuple[str, str] | None:
    """The problem and its cure, out of what ONNX Runtime wrote to stderr; None when that says nothing of the kind.

    When a provider inside its wheel cannot be made, nothing is raised, and the CPU runs in its place."""
    known = symptom_of(words, symptoms)
    required = re.search(r"Require (?P<what>.+?), and the latest MSVC", words)
    asked = known.cure if known else f"install {required['what']}" if required else ""
    missing = re.search(r"(?P<lib>[\w.+-]+\.so[\w.]*): cannot open shared object file", words)
    missing = missing or re.search(r'"(?P<lib>[\w.+-]+\.dll)" which is missing', words)
    if missing is not None and "onnxruntime" not in missing["lib"]:
        return f"the library {missing['lib']} is missing", package_of(missing["lib"], asked)
    if known is not None:
        return known.cause, known.cure
    loading = re.search(r'LoadLibrary failed with error 12[67].*?(?P<lib>[\w.-]+\.dll)"', words)
    if loading is not None:
        return f"a library that {loading['lib']} needs is missing", asked
    told = _said(words)
    return (told, "") if told else None


def _said(words: str) -> str:
    """The first error of ONNX Runtime's log, without the places in its sources."""
    plain = re.sub(r"\x1b\[[\d;]*m", "", words)
    found = re.search(r"\[E:onnxruntime:[^\]]*\] (?P<text>[^\n]+)", plain)
    if found is None:
        return ""
    text = re.sub(r"^.*?\[ERROR\] |^\S+\.(?:cc|cpp|h):\d+ .*?\) ", "", found["text"]).strip()
    return text[:300]


def package_of(library: str, otherwise: str = "") -> str:
    """The command that brings a shared library, as far as it is known; else what ``otherwise`` says."""
    for facts in PROVIDERS:
        for known in facts.libraries:
            if known.name == library:
                return known.install
    return _PACKAGES.get(library) or otherwise or f"install the package of your system that brings {library}"
