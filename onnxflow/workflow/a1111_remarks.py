"""What A1111's parameters say that no graph of ComfyUI's own nodes holds: said once each, in groups."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from onnxflow.errors import shown
from onnxflow.workflow.a1111_fields import Fields

_GROUPS: Final[Mapping[str, str]] = {
    "adetailer": "ADetailer, which redraws faces or hands",
    "controlnet": "ControlNet, whose picture is not in the text",
    "refiner": "the refiner, a second model for the last steps",
    "hypernet": "hypernetworks",
    "variation": "variations of the seed",
    "seed resize": "variations of the seed",
    "ensd": "another seed for the noise of the steps",
    "eta noise seed delta": "another seed for the noise of the steps",
    "rng": "noise that is not drawn on the CPU",
    "module": "text encoders or VAEs in files of their own",
    "hires": "more of the second pass",
}
"""How keys begin, and what they are about."""
_ANY: Final = ""
_WITHOUT_EFFECT: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("model hash", "vae hash", "lora hashes", "hashes", "lora networks", "version", "app"), (_ANY,)),
    **dict.fromkeys(("batch size", "batch pos", "created date", "user", "backend", "pipeline", "parser"), (_ANY,)),
    "civitai metadata": (_ANY,),
    "operations": ("txt2img",),
    "rng": ("cpu",),
    "beta schedule alpha": ("0.6",),
    "beta schedule beta": ("0.6",),
    "schedule rho": ("0",),
    "hires checkpoint": ("use same checkpoint",),
    "hires module 1": ("use same choices", "built-in"),
    "hires force": ("false",),
    "ensd": ("0",),
    "eta": ("1", "1.0"),
}
"""Keys that change no picture, or not with these values."""
_LONGEST: Final = 300
_MOST: Final = 20


def without_effect(key: str, value: str) -> bool:
    """Whether the pair changes no picture."""
    allowed = _WITHOUT_EFFECT.get(key.casefold(), ())
    return _ANY in allowed or value.casefold() in allowed


def remarks_on(fields: Fields, strays: Iterable[str]) -> list[str]:
    """A line for each subject of which ``fields`` has pairs left, one for unknown keys, one for ``strays``."""
    groups: dict[str, list[str]] = {}
    for key, value in fields.left():
        if without_effect(key, value):
            continue
        subject = next(
            (said for start, said in _GROUPS.items() if key.casefold().startswith(start)), "other parameters"
        )
        groups.setdefault(subject, []).append(f"{key[:60]}: {value[:60]}")
    if strays := list(strays):
        groups["text among the parameters"] = [shown(stray, 60) for stray in strays]
    return [f"{subject} ({_listed(pairs)})" for subject, pairs in groups.items()]


def read_resources(value: str | None) -> tuple[str | None, str]:
    """Of Civitai's list of resources: the checkpoint's title, and all else in words; nothing if it is no such list."""
    try:
        found: Any = json.loads(value) if value else []
    except (ValueError, RecursionError):
        return None, value[:_LONGEST] if value else ""
    resources = [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
    named = [entry for entry in resources if isinstance(entry.get("modelName"), str)]
    checkpoint = next((entry["modelName"] for entry in named if entry.get("type") == "checkpoint"), None)
    others = [
        f"{entry.get('type', 'resource')!s:.20} {entry['modelName'][:60]}"
        for entry in named
        if entry.get("type") != "checkpoint"
    ]
    return checkpoint or None, _listed(others)


def _listed(pairs: list[str]) -> str:
    text = ", ".join(pairs[:_MOST]) + (f" and {len(pairs) - _MOST} more" if len(pairs) > _MOST else "")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
