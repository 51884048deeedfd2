"""A tiny checkpoint straight from its file, and exported to int8 without PyTorch, on whatever machine this runs.

`make FOLDER` writes the checkpoint and templates of its shape (the exporters' environment); `run FOLDER OUT` computes
with both and writes what came of it; `compare ONE OTHER` says how far two machines are apart.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

ALLOWED = {"direct": 1e-5, "int8": 2e-2}  # of the norm; bytes are rounded at other places where a bit differs


def make(folder: Path) -> None:
    """Write `tiny.safetensors` and `templates/`."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    from families import KINDS, unet_shape, write_file, write_folder

    from onnxflow.export.templates import Shapes, write_templates
    from onnxflow.models.layout.text import TextShape
    from onnxflow.models.layout.vae import VaeShape

    text = TextShape(vocabulary=49408, length=77, hidden=64, inner=128, layers=2, projection=None)
    shape = unet_shape(KINDS["sd1"])
    shapes = Shapes({"sd1-unet": ("sd1", shape)}, {"clip-l": (False, text)}, VaeShape((32, 32, 64, 64), 1, 4))
    written = list(write_templates(folder / "templates", shapes))
    write_folder(KINDS["sd1"], folder / "model")
    file = write_file(folder / "model", folder / "tiny.safetensors")
    print(f"{file}, {len(written)} templates")


def run(folder: Path, out: Path) -> None:
    """Compute every component in place, and those of the int8 bundle."""
    from onnxflow.cancel import CancelToken
    from onnxflow.export.template_bundle import export_with_templates, questions
    from onnxflow.models.bundle import open_bundle
    from onnxflow.models.checkpoint import open_checkpoint
    from onnxflow.models.source import Source
    from onnxflow.providers.session import LOW, SessionKey, load_graph

    model = open_checkpoint(folder / "tiny.safetensors", folder / "templates")
    export_with_templates(model, out.with_suffix(".bundle"), precisions=("int8",))
    bundle = open_bundle(out.with_suffix(".bundle"))
    found = {}
    sources: list[tuple[str, Source]] = [("direct", model), ("int8", bundle)]
    for kind, source in sources:
        for component in source.manifest.components:
            variant = source.variants(component)[0]
            key = SessionKey(source.identity, component, variant, loading=LOW)
            outputs = load_graph(source, key, CancelToken()).run(questions(model, component), CancelToken())
            found |= {f"{kind} {component} {name}": values for name, values in outputs.items()}
    np.savez(out, **found)
    print(f"{len(found)} outputs of a checkpoint in place and of its int8 bundle")


def compare(one: Path, other: Path) -> int:
    """1 when an output differs by more than it may."""
    with np.load(one) as here, np.load(other) as there:
        if set(here.files) != set(there.files) or not here.files:
            print("the machines computed different things")
            return 1
        worst = dict.fromkeys(ALLOWED, 0.0)
        for name in here.files:
            kind = name.split()[0]
            apart = np.linalg.norm(here[name] - there[name]) / max(float(np.linalg.norm(there[name])), 1e-12)
            worst[kind] = max(worst[kind], float(apart))
    wrong = [kind for kind, value in worst.items() if not value <= ALLOWED[kind]]
    print(", ".join(f"{kind}: {value:.1e} apart (allowed {ALLOWED[kind]:.0e})" for kind, value in worst.items()))
    return 1 if wrong else 0


if __name__ == "__main__":
    command, *paths = sys.argv[1:]
    folders = [Path(path) for path in paths]
    if command == "compare":
        raise SystemExit(compare(*folders))
    make(*folders) if command == "make" else run(*folders)
