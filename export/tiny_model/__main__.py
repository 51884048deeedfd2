"""`python -m onnxflow.export.tiny_model`: train the embedded model from nothing, judge it, and export it.

Killed at any moment, it goes on where it was when it is started again; when all is done, it does nothing.
"""

import argparse
import os
import sys
from pathlib import Path

import torch

from onnxflow.export.folder import export_folder
from onnxflow.export.tiny_model.autoencoder import train_autoencoder
from onnxflow.export.tiny_model.config import RECIPE, Recipe, read_recipe
from onnxflow.export.tiny_model.decoder import train_decoder
from onnxflow.export.tiny_model.evaluate import (
    Networks,
    autoencoder_ceiling,
    contact_sheet,
    count_right,
    draw_prompts,
    held_out_prompts,
)
from onnxflow.export.tiny_model.folder import save_folder
from onnxflow.export.tiny_model.progress import Log, open_log
from onnxflow.export.tiny_model.text import make_tokenizer, train_text_encoder
from onnxflow.export.tiny_model.training import write_atomically
from onnxflow.export.tiny_model.unet import train_unet

STAGES = ("autoencoder", "decoder", "text", "unet", "export", "evaluate")


def main(arguments: list[str]) -> int:
    """Run the stages up to the one asked for; 0 when done, 2 for arguments or a recipe that make no sense."""
    parser = argparse.ArgumentParser(prog="python -m onnxflow.export.tiny_model", description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=Path("build/tiny-model"), help="folder for checkpoints, log and results"
    )
    parser.add_argument("--recipe", type=Path, default=RECIPE, help="another recipe file")
    parser.add_argument("--stage", choices=STAGES, default=STAGES[-1], help="the last stage to run (default: all)")
    options = parser.parse_args(arguments)
    try:
        recipe = read_recipe(options.recipe)
        run(recipe, options.out, options.stage)
    except (OSError, ValueError) as error:
        print(f"tiny_model: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("tiny_model: stopped; start it again to go on", file=sys.stderr)
        return 130
    return 0


def run(recipe: Recipe, folder: Path, last: str = STAGES[-1]) -> None:
    """All stages up to `last`, in `folder`."""
    report = folder / "report.txt"
    if report.exists():
        print(f"already done: {report}")
        return
    torch.set_num_threads(recipe.machine.threads)
    log = open_log(folder / "log.txt")
    autoencoder = train_autoencoder(recipe, folder, log)
    if last == "autoencoder":
        return
    train_decoder(recipe, autoencoder, folder, log)
    if last == "decoder":
        return
    tokenizer = make_tokenizer(recipe)
    encoder = train_text_encoder(recipe, tokenizer, folder, log)
    if last == "text":
        return
    unet = train_unet(recipe, autoencoder, encoder, tokenizer, folder, log)
    if last == "unet":
        return
    save_folder(folder / "diffusers", autoencoder, encoder, tokenizer, unet)
    export_folder(folder / "diffusers", folder / "bundle", storage="fp16", report=log)
    if last == "export":
        return
    _evaluate(recipe, Networks(autoencoder, encoder, tokenizer, unet), folder, log)


def _evaluate(recipe: Recipe, networks: Networks, folder: Path, log: Log) -> None:
    lines = []
    ceiling, decibels = autoencoder_ceiling(recipe, networks.autoencoder, recipe.evaluation.prompts)
    lines.append(f"autoencoder: {decibels:.1f} dB, all right {ceiling['all_right']}")
    for title, two_objects in (("one object", 0.0), ("two objects", 1.0)):
        asked = held_out_prompts(recipe, recipe.evaluation.prompts, two_objects)
        pictures = draw_prompts(recipe, networks, [text for _, text in asked])
        contact_sheet(pictures[:64], 8, folder / f"{title.replace(' ', '-')}.png")
        (folder / f"{title.replace(' ', '-')}.txt").write_text(
            "\n".join(text for _, text in asked[:64]) + "\n", encoding="utf-8"
        )
        shares = count_right(pictures, [scene for scene, _ in asked])
        lines += [f"{title}, {name}: {share}" for name, share in shares.items()]
    for line in lines:
        log(line)
    write_atomically(folder / "report.txt", lambda path: _write_lines(path, lines))


def _write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    sys.exit(main(sys.argv[1:]))
