"""The program that tries a device: ``python -P -m onnxflow.providers.probe_child DEVICE``; or ``devices``, or
``libraries PROVIDER``.

What it loads may crash or never return, so it is a process of its own. It prints lines of JSON behind ``MARK``, among
whatever libraries print; the last one counts: what is known by then is printed before anything that may be its end. It
imports what may fail inside functions, so that a failure is an answer too.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import warnings
from typing import Any, Final

MARK: Final = "onnxflow-probe: "
DEVICES: Final = "devices"
LIBRARIES: Final = "libraries"


def main(arguments: list[str]) -> None:
    """Answer, and end without ado: some drivers crash when their process ends in good order."""
    _die_quietly()
    _tell(_answer(arguments))
    sys.stderr.flush()
    os._exit(0)


def _tell(told: dict[str, Any]) -> None:
    sys.stdout.write(f"\n{MARK}{json.dumps(told)}\n")
    sys.stdout.flush()


def answer_in(output: str) -> dict[str, Any] | None:
    """What a child said last, out of all that it wrote; None when it said nothing that can be read."""
    for line in reversed(output.splitlines()):
        if line.startswith(MARK):
            try:
                told = json.loads(line.removeprefix(MARK))
            except ValueError:  # it died within the line
                continue
            if isinstance(told, dict):
                return told
    return None


def _answer(arguments: list[str]) -> dict[str, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import onnxruntime

            version = str(onnxruntime.__version__)
            onnxruntime.get_available_providers  # noqa: B018  # wheels that lie over each other lack this
    except Exception as error:  # an ImportError, or what a damaged package raises
        return {"import": f"{error}" or type(error).__name__}
    try:
        if arguments[0] == DEVICES:
            from dataclasses import asdict

            from onnxflow.providers.offer import offers

            return {"version": version, "offers": [asdict(offer) for offer in offers(arguments[1:])]}
        if arguments[0] == LIBRARIES:
            from onnxflow.providers.catalog import provider_named
            from onnxflow.providers.libraries import missing

            names: list[str] = []
            for names in missing(provider_named(arguments[1])):
                _tell({"missing": names})
            return {"missing": names}
        from onnxflow.providers.device import parse_device
        from onnxflow.providers.trial import try_device

        found = try_device(parse_device(arguments[0]), lambda trial: _tell({"version": version, **trial.told()}))
        return {"version": version, **found.told()}
    except Exception as error:  # the answer is one line of JSON, whatever happens
        problem = f"a defect of onnxflow: {type(error).__name__}: {error}"[:500]
        return {"works": False, "problem": problem, "cure": "report this line, and what is installed", "defect": True}


def _die_quietly() -> None:
    """No core dump and no dialog of Windows when a driver crashes: that is told by us."""
    if sys.platform == "win32":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.windll.kernel32.SetErrorMode(0x8007)
    else:
        import resource

        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


if __name__ == "__main__":
    main(sys.argv[1:])
