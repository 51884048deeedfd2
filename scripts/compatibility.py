"""Write docs/compatibility.md from the catalog: which of ComfyUI's node classes, samplers and schedulers there are.

compatibility.py OUTPUT; a test compares the committed page with what this writes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from onnxflow.nodes.catalog import builtin_catalog
from onnxflow.nodes.placement import PLACING
from onnxflow.sampling import SAMPLERS, SCHEDULES

TIERS = Path(__file__).parent.parent / "tests" / "goldens" / "node_tiers.json"
MEANING = {
    "T1": "what most Stable Diffusion workflows use",
    "T2": "what many use",
    "T3": "video, audio, 3D, training and special models",
}


def page() -> str:
    """The page as Markdown."""
    catalog = builtin_catalog()
    tiers: dict[str, list[str]] = json.loads(TIERS.read_text(encoding="utf-8"))
    lines = [
        "# What of ComfyUI works",
        "",
        "Made by `make compatibility` from the node catalog; compared with ComfyUI 0.3.64, whose 382 classes (without",
        "paid services) are sorted into three tiers by our own judgement. A class listed as present has exactly",
        "ComfyUI's sockets: a test compares names, order, types, defaults, ranges and choices.",
        "",
        "| tier | what it is | present | of |",
        "|---|---|---|---|",
    ]
    for tier, names in tiers.items():
        lines.append(f"| {tier} | {MEANING[tier]} | {sum(name in catalog for name in names)} | {len(names)} |")
    lines += ["", "## Samplers and schedulers", ""]
    lines.append(f"Samplers, {len(SAMPLERS)} of 42: " + _code(SAMPLERS) + ".")
    lines += ["", f"Schedulers, {len(SCHEDULES)} of 9: " + _code(SCHEDULES) + "."]
    refused = [
        f"`{name}.{item.name}` = `{choice}`: {item.refuse(choice)}"
        for name, spec in catalog.items()
        for item in spec.inputs
        if item.refuse is not None and isinstance(item.choices, tuple)
        for choice in item.choices
        if item.refuse(choice) is not None
    ]
    lines += ["", "## Choices that are refused", "", *(f"- {line}" for line in refused)]
    lines += ["", "## Formats", ""]
    lines.append(
        "What ComfyUI's editor saves and exports (API) runs, and pictures that carry either: docs/workflows.md."
    )
    lines.append("All 382 classes are known, so that a file with others converts, and is refused by what it needs.")
    ours = _code(name for name in catalog if name in PLACING)
    lines += ["", "## Our own", "", f"Nodes that ComfyUI has not: {ours}, which say what runs where (providers.md)."]
    for tier, names in tiers.items():
        present = [name for name in names if name in catalog]
        absent = [name for name in names if name not in catalog]
        lines += ["", f"## {tier}", "", f"Present ({len(present)}): " + (_code(present) or "none") + "."]
        lines += ["", f"Missing ({len(absent)}): " + (_code(absent) or "none") + "."]
    return "\n".join(lines) + "\n"


def _code(names: object) -> str:
    return ", ".join(f"`{name}`" for name in names)  # type: ignore[attr-defined]


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
