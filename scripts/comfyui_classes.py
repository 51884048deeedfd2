"""Writes onnxflow/workflow/comfyui_classes.json from a recorded /object_info: `comfyui_classes.py OBJECT_INFO`.

Facts only: names, types, defaults, ranges, choices. Texts that somebody wrote (tooltips, descriptions) stay behind.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

OUT = Path(__file__).resolve().parents[1] / "onnxflow" / "workflow" / "comfyui_classes.json"
KEPT = ("input_order", "output", "output_name", "display_name", "category", "output_node")
LISTS = "output_is_list"
OPTIONS = {
    *("default", "min", "max", "step", "round", "multiline", "dynamicPrompts", "control_after_generate", "options"),
    *("multiselect", "forceInput", "advanced", "display", "image_upload", "image_folder", "file_upload"),
    *("audio_upload", "video_upload"),
}


def facts(info: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a class."""
    found: dict[str, Any] = {"python_module": info["python_module"].rpartition("nodes_")[2]}
    found["input"] = {
        title: {name: _input(described) for name, described in section.items()}
        for title, section in info["input"].items()
        if title != "hidden"
    }
    found |= {key: info[key] for key in KEPT}
    found["input_order"] = {title: names for title, names in info["input_order"].items() if title != "hidden"}
    if any(info[LISTS]):
        found[LISTS] = info[LISTS]
    return found


def _input(described: list[Any]) -> list[Any]:
    kind, *rest = described
    options = {key: value for key, value in (rest[0] if rest else {}).items() if key in OPTIONS}
    return [kind, options] if options else [kind]


def main() -> None:
    """Write one class a line, sorted by name."""
    classes = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    lines = [f"{json.dumps(name)}: {json.dumps(facts(classes[name]))}" for name in sorted(classes)]
    OUT.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
    print(f"{OUT.name}: {len(lines)} classes, {OUT.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
