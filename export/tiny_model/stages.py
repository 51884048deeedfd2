"""The stages of the training, one after the other, and what is said of the result."""

from pathlib import Path

import numpy as np
import torch
from diffusers import ControlNetModel
from numpy.typing import NDArray

from onnxflow.export.bundle import export_bundle
from onnxflow.export.tiny_model.autoencoder import decode, encode, train_autoencoder, training_pictures
from onnxflow.export.tiny_model.config import Recipe
from onnxflow.export.tiny_model.controlnet import train_controlnet
from onnxflow.export.tiny_model.crew import ALONE, Crew
from onnxflow.export.tiny_model.decoder import train_decoder
from onnxflow.export.tiny_model.evaluate import Networks, autoencoder_ceiling, draw_prompts
from onnxflow.export.tiny_model.extras import judge_controlnet, judge_lora
from onnxflow.export.tiny_model.folder import CONTROLNET_FILE, save_controlnet, save_folder
from onnxflow.export.tiny_model.latent_rgb import fit_rgb, write_rgb
from onnxflow.export.tiny_model.lineage import recipe_line
from onnxflow.export.tiny_model.lora import train_lora
from onnxflow.export.tiny_model.progress import Log, open_log
from onnxflow.export.tiny_model.prompts import held_out_landscapes, held_out_prompts
from onnxflow.export.tiny_model.score import contact_sheet, count_right, count_right_landscapes
from onnxflow.export.tiny_model.text import make_tokenizer, train_text_encoder
from onnxflow.export.tiny_model.training import write_atomically
from onnxflow.export.tiny_model.unet import train_unet
from onnxflow.models.manifest import FILE_NAME

REPORT = "report.txt"
RGB_PICTURES = 256  # whose latents the colours of previews are fitted to
STAGES = ("autoencoder", "decoder", "text", "unet", "lora", "controlnet", "export", "evaluate")


def is_done(recipe: Recipe, folder: Path) -> bool:
    """Whether all of a recipe was done in a folder; ValueError when it was another one's."""
    report = folder / REPORT
    if not report.exists():
        return False
    if recipe_line(recipe) not in report.read_text(encoding="utf-8").splitlines():
        raise ValueError(f"{report} is of another recipe: use another folder or remove the file")
    return True


def run(recipe: Recipe, folder: Path, last: str = STAGES[-1], device: str = "cpu", crew: Crew = ALONE) -> None:
    """All stages up to `last`, in `folder`, as one member of a crew; export and evaluation are the leader's alone, and
    always on the processor, where the model will run."""
    torch.set_num_threads(recipe.machine.threads)
    torch.set_default_device(device)
    log = open_log(folder / "log.txt") if crew.leads else _silent
    autoencoder = train_autoencoder(recipe, folder, log, crew)
    if last == "autoencoder":
        return
    train_decoder(recipe, autoencoder, folder, log, crew)
    if last == "decoder":
        return
    tokenizer = make_tokenizer(recipe)
    encoder = train_text_encoder(recipe, tokenizer, folder, log, crew)
    if last == "text":
        return
    unet = train_unet(recipe, autoencoder, encoder, tokenizer, folder, log, crew)
    if last == "unet":
        return
    train_lora(recipe, autoencoder, encoder, tokenizer, unet, folder, log, crew)
    if last == "lora":
        return
    controlnet = train_controlnet(recipe, autoencoder, encoder, tokenizer, unet, folder, log, crew)
    if last == "controlnet" or not crew.leads:
        return
    torch.set_default_device("cpu")
    for network in (autoencoder, encoder, unet, controlnet):
        network.to("cpu")
    save_folder(folder / "diffusers", autoencoder, encoder, tokenizer, unet)
    save_controlnet(folder / CONTROLNET_FILE, controlnet)
    export_bundle(folder / "diffusers", folder / "bundle", precisions=("fp32", "int8"), storage="fp16", report=log)
    export_bundle(
        folder / "diffusers", folder / "checkpoints" / "reference", report=log
    )  # what the others are judged by
    latents = encode(autoencoder, training_pictures(recipe, RGB_PICTURES))
    rgb = fit_rgb(latents.numpy(), decode(autoencoder, latents))
    for bundle in ("bundle", "checkpoints/reference"):
        write_rgb(folder / bundle / FILE_NAME, rgb)
    if last == "export":
        return
    _evaluate(recipe, Networks(autoencoder, encoder, tokenizer, unet), controlnet, folder, log)


def _silent(line: str) -> None:
    """A log for members that do not lead."""


def _evaluate(recipe: Recipe, networks: Networks, controlnet: ControlNetModel, folder: Path, log: Log) -> None:
    lines = []
    ceiling, decibels = autoencoder_ceiling(recipe, networks.autoencoder, recipe.evaluation.prompts)
    lines.append(f"autoencoder: {decibels:.1f} dB, all right {ceiling['all_right']}")
    count = recipe.evaluation.prompts
    for title, two_objects in (("one object", 0.0), ("two objects", 1.0)):
        asked = held_out_prompts(recipe, count, two_objects)
        pictures = _draw_sheet(recipe, networks, [text for _, text in asked], folder / title.replace(" ", "-"))
        shares = count_right(pictures, [scene for scene, _ in asked])
        lines += [f"{title}, {name}: {share}" for name, share in shares.items()]
    landscapes = held_out_landscapes(recipe, count)
    pictures = _draw_sheet(recipe, networks, [text for _, text in landscapes], folder / "landscapes")
    shares = count_right_landscapes(pictures, [landscape for landscape, _ in landscapes])
    lines += [f"landscapes, {name}: {share}" for name, share in shares.items()]
    lines += judge_lora(recipe, networks, folder, min(count, 32))
    lines += judge_controlnet(recipe, networks, controlnet, folder, min(count, 32))
    for line in lines:
        log(line)
    lines.append(recipe_line(recipe))
    write_atomically(folder / REPORT, lambda path: _write_lines(path, lines))


def _draw_sheet(recipe: Recipe, networks: Networks, prompts: list[str], path: Path) -> NDArray[np.uint8]:
    """Draw prompts; the first 64 pictures and prompts are saved as `path`.png and .txt."""
    pictures = draw_prompts(recipe, networks, prompts)
    contact_sheet(pictures[:64], 8, path.with_suffix(".png"))
    _write_lines(path.with_suffix(".txt"), prompts[:64])
    return pictures


def _write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
