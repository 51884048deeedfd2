"""The tiny checkpoint that scripts/tiny_checkpoint.py has made, on a device and on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from onnxflow.cancel import CancelToken
from onnxflow.export.template_bundle import questions
from onnxflow.models.checkpoint import open_checkpoint
from onnxflow.providers.device import CPU, parse_device
from onnxflow.providers.session import SessionKey, load_graph

FOLDER = Path(__file__).parents[1] / ".cache" / "tiny-checkpoint"


def apart(device: str, *, split: bool = False) -> dict[str, float]:
    """How far every output of every component on ``device`` is from the CPU's, of its norm. Nothing of it may run
    elsewhere: without fallback, opening a session checks that. ``split``: attention in standard nodes."""
    model = open_checkpoint(FOLDER / "tiny.safetensors", FOLDER / "templates")
    found: dict[str, float] = {}
    for component in model.manifest.components:
        feeds = questions(model, component)
        answers = []
        for one in (CPU, parse_device(device)):
            variant = model.variants(component)[0]
            key = SessionKey(model.identity, component, variant, one, split=split and one != CPU)
            graph = load_graph(model, key, CancelToken())
            answers.append(graph.run(feeds, CancelToken()))
            graph.close()
        for name, expected in answers[0].items():
            distance = np.linalg.norm(answers[1][name] - expected) / np.linalg.norm(expected)
            found[f"{component} {name}"] = float(distance)
    return found
