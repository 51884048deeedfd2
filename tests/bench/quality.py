"""`make bench-quality`: what the embedded model gets right in every precision that is shipped, and how far each is
from fp32 on fixed seeds.

Pictures are drawn by the program itself, one prompt at a time. The fp32 weights are not shipped: their 64 pictures and
their counts, drawn by the same code when the model was made, lie in tests/goldens (tiny_fp32.png, tiny_fp32.json) and
are written by `--write-reference NAME --models DIR`. Exit code 1 when a required bound is missed.

With `--place '*=openvino'` (as in `onnxflow run`) another device draws, only the variant that suits it.

The prompts are others than those that the training's own report asks for (EXAM): the recipe was chosen by the latter.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from onnxflow.engine.cache import ResultCache
from onnxflow.engine.places import Placing
from onnxflow.engine.run import run_workflow
from onnxflow.export.tiny_model.config import Recipe, read_recipe
from onnxflow.export.tiny_model.prompts import held_out_landscapes, held_out_prompts
from onnxflow.export.tiny_model.score import Share, count_right, count_right_landscapes
from onnxflow.graph.graph import Link, Node
from onnxflow.models.disk import Disk, Folders
from onnxflow.models.store import ModelStore
from onnxflow.nodes.catalog import builtin_catalog
from onnxflow.placing import placing_of
from onnxflow.providers.probe import ProbedMachine
from onnxflow.providers.session import SessionCache
from onnxflow.workflow.overrides import apply_overrides, override
from onnxflow.workflow.read import read_workflow

ROOT = Path(__file__).parents[2]
GOLDENS = ROOT / "tests" / "goldens"
SHIPPED = {"fp16": "onnxflow-tiny", "int8": "onnxflow-tiny@int8"}
EXAM = 1  # seed of the prompts; no recipe was ever chosen by them
PROMPTS = 200  # of each of the two kinds of scene
LANDSCAPES = 100
COMPARED = {"one object": 24, "two objects": 24, "landscapes": 16}  # pictures compared with fp32's
LEAST = {"one object": 80.0, "two objects": 50.0}  # per cent all right, required
FARTHEST = {"fp16": 0.5, "int8": 2.0}  # mean distance to fp32 in 1/255, required
FEWER = 2.0  # points fewer right than fp32, at the most, required

Pictures = NDArray[np.uint8]  # [n, 128, 128, 3]


@dataclass(frozen=True)
class Drawn:
    """All pictures of one precision by kind, and the shares of right answers by kind and category."""

    pictures: dict[str, Pictures]
    shares: dict[str, dict[str, Share]]

    def compared(self) -> Pictures:
        """The pictures that are compared with fp32's."""
        return np.concatenate([self.pictures[kind][:count] for kind, count in COMPARED.items()])


class Draughtsman:
    """Draws prompts with one model through workflows/txt2img.json."""

    def __init__(self, model: str, roots: tuple[Path, ...], folder: Path, placing: Placing | None) -> None:
        self._placing = placing
        self._workflow = read_workflow(str(ROOT / "workflows" / "txt2img.json"))
        self._model = model
        self._catalog = builtin_catalog()
        self._disk = Disk(Folders(folder, folder, folder), ModelStore(roots))
        self._sessions, self._cache = SessionCache(), ResultCache()  # the loaded model stays from prompt to prompt

    def draw(self, prompt: str, seed: int) -> NDArray[np.uint8]:
        """One picture [128, 128, 3]."""
        changes: dict[str, Any] = {
            "CheckpointLoaderSimple.ckpt_name": self._model,
            f"{self._positive()}.text": prompt,
            "KSampler.seed": seed,
        }
        changed = apply_overrides(
            self._workflow, [override(name, value) for name, value in changes.items()], self._catalog
        )
        lasting = {node.id for node in changed.graph.nodes.values() if node.class_type == "CheckpointLoaderSimple"}
        report = run_workflow(
            changed,
            self._catalog,
            self._disk,
            self._sessions,
            cache=self._cache,
            metadata=False,
            volatile=frozenset(changed.graph.nodes) - lasting,
            placing=self._placing,
        )
        picture: NDArray[np.uint8] = report.images[0]
        return picture

    def settings(self) -> str:
        """How it samples, as the workflow says."""
        inputs = self._sampler().inputs
        names = ("sampler_name", "scheduler", "steps", "cfg")
        return ", ".join(f"{name} {inputs[name]}" for name in names)

    def _sampler(self) -> Node:
        nodes = self._workflow.graph.nodes
        return next(node for node in nodes.values() if node.class_type == "KSampler")

    def _positive(self) -> str:
        """The node whose text KSampler's `positive` reads."""
        link = self._sampler().inputs["positive"]
        assert isinstance(link, Link)
        return link.node


@contextmanager
def draughtsman(model: str, roots: tuple[Path, ...], placing: Placing | None = None) -> Iterator[Draughtsman]:
    """One whose files go to a folder that is removed."""
    with tempfile.TemporaryDirectory() as folder:
        yield Draughtsman(model, roots, Path(folder), placing)


def draw_all(recipe: Recipe, model: str, roots: tuple[Path, ...], label: str, placing: Placing | None = None) -> Drawn:
    """Draw and judge every prompt; the seed of a picture is its number."""
    asked: dict[str, list[tuple[Any, str]]] = {
        "one object": list(held_out_prompts(recipe, PROMPTS, 0.0, EXAM)),
        "two objects": list(held_out_prompts(recipe, PROMPTS, 1.0, EXAM)),
        "landscapes": list(held_out_landscapes(recipe, LANDSCAPES, EXAM)),
    }
    pictures, shares = {}, {}
    with draughtsman(model, roots, placing) as drawer:
        for kind, prompts in asked.items():
            started = time.perf_counter()
            drawn = np.stack([drawer.draw(prompt, seed) for seed, (_, prompt) in enumerate(prompts)])
            wanted = [subject for subject, _ in prompts]
            count = count_right_landscapes if kind == "landscapes" else count_right
            pictures[kind], shares[kind] = drawn, count(drawn, wanted)
            took = (time.perf_counter() - started) / len(prompts)
            print(f"  {label}: {kind}, {len(prompts)} prompts, {took:.2f} s each", file=sys.stderr, flush=True)
    return Drawn(pictures, shares)


def percent(share: Share) -> float:
    """Right ones of a hundred."""
    return 100 * share.right / share.of


def write_reference(recipe: Recipe, model: str, roots: tuple[Path, ...]) -> None:
    """Draw with fp32 weights, and keep the compared pictures and all counts."""
    drawn = draw_all(recipe, model, roots, "fp32")
    rows = [np.concatenate(list(row), 1) for row in drawn.compared().reshape(8, 8, 128, 128, 3)]
    Image.fromarray(np.concatenate(rows)).save(GOLDENS / "tiny_fp32.png", optimize=True)
    counts = {
        kind: {name: [share.right, share.of] for name, share in shares.items()} for kind, shares in drawn.shares.items()
    }
    (GOLDENS / "tiny_fp32.json").write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8")


def read_reference() -> tuple[Pictures, dict[str, dict[str, Share]]]:
    """fp32's pictures [64, 128, 128, 3] and counts; FileNotFoundError when none were ever written."""
    with Image.open(GOLDENS / "tiny_fp32.png") as image:
        sheet = np.asarray(image.convert("RGB"))
    pictures = sheet.reshape(8, 128, 8, 128, 3).swapaxes(1, 2).reshape(64, 128, 128, 3)
    counts = json.loads((GOLDENS / "tiny_fp32.json").read_text(encoding="utf-8"))
    shares = {kind: {name: Share(*pair) for name, pair in found.items()} for kind, found in counts.items()}
    return pictures, shares


def print_table(shares: dict[str, dict[str, dict[str, Share]]]) -> None:
    """A Markdown table: a line for every kind and category, a column for every precision."""
    print(f"| right | of | {' | '.join(shares)} |")
    print(f"|---|---:|{'---:|' * len(shares)}")
    for kind, found in next(iter(shares.values())).items():
        for name, first in found.items():
            if first.of:
                cells = " | ".join(f"{percent(column[kind][name]):.1f} %" for column in shares.values())
                print(f"| {kind}: {name.replace('all_right', 'all right')} | {first.of} | {cells} |")


def main(arguments: list[str]) -> int:
    """Draw, judge and print; 1 when a required bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, action="append", default=[], help="folder with checkpoints/ below it")
    parser.add_argument("--write-reference", metavar="NAME", help="the fp32 model whose pictures become the reference")
    parser.add_argument("--place", action="append", default=[], metavar="WHAT=DEVICE,...", help="what runs where")
    options = parser.parse_args(arguments)
    placing = placing_of(options.place, {}, machine=ProbedMachine()) if options.place else None
    shipped = {"fp16": SHIPPED["fp16"]} if placing else SHIPPED
    recipe, roots = read_recipe(), tuple(options.models)
    if options.write_reference:
        write_reference(recipe, options.write_reference, roots)
        return 0
    try:
        reference, counts = read_reference()
    except FileNotFoundError as error:
        print(f"quality: {error.filename} is missing; make ship-tiny-model writes it", file=sys.stderr)
        return 2
    shares, missed = {"fp32": counts}, []
    with draughtsman(SHIPPED["fp16"], roots) as drawer:
        settings = drawer.settings()
    print(
        f"{platform.platform()}, Python {platform.python_version()}, onnxruntime {onnxruntime.__version__}, "
        f"{os.cpu_count()} cores; {settings}; seed = number of the prompt"
        + (f"; --place {' '.join(options.place)}" if placing else "")
    )
    for precision, name in shipped.items():
        drawn = draw_all(recipe, name, roots, precision, placing)
        shares[precision] = drawn.shares
        away = np.abs(drawn.compared().astype(np.int16) - reference)
        mean, farthest = float(away.mean()), float(np.quantile(away, 0.99))
        print(f"{precision}: mean distance to fp32 {mean:.3f}/255, 99th percentile {farthest:.1f}/255")
        if mean > FARTHEST[precision]:
            missed.append(f"{precision} is {mean:.2f}/255 from fp32, required <= {FARTHEST[precision]}")
        for kind, found in drawn.shares.items():
            right, wanted = percent(found["all_right"]), percent(counts[kind]["all_right"])
            if kind in LEAST and right < LEAST[kind]:
                missed.append(f"{precision}, {kind}: {right:.1f} % all right, required >= {LEAST[kind]}")
            if right < wanted - FEWER:
                missed.append(
                    f"{precision}, {kind}: {wanted - right:.1f} points fewer right than fp32, allowed {FEWER}"
                )
    print_table(shares)
    for line in missed:
        print(f"MISSED: {line}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
