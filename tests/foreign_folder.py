"""Folders as Optimum writes them, of graphs without nodes: enough for everything that runs no network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graph_file import FLOAT, HALF, INT64, Declared, graph_file

from onnxflow.text.tokenizer import byte_symbols
from onnxflow.text.words import END, START

WIDTHS = {"text_encoder": 8, "text_encoder_2": 12}
SYMBOLS = [*byte_symbols(), *(f"{symbol}</w>" for symbol in byte_symbols()), "ca", "cat</w>", START, END]
VOCABULARY = {symbol: index for index, symbol in enumerate(SYMBOLS)}
MERGES = ("c a", "ca t</w>")


def write_foreign(folder: Path, *, xl: bool = False, half: bool = False, pad: str = END) -> Path:
    """A model of Stable Diffusion 1.x, or SDXL, whose text encoders have two layers."""
    kind = HALF if half else FLOAT
    encoders = list(WIDTHS) if xl else ["text_encoder"]
    index: dict[str, Any] = {
        "_class_name": "StableDiffusionXLPipeline" if xl else "StableDiffusionPipeline",
        "_name_or_path": "far/away/tiny",
        "safety_checker": [None, None],
    }
    for part in encoders:
        tokenizer = part.replace("text_encoder", "tokenizer")
        index |= {part: ["transformers", "CLIPTextModel"], tokenizer: ["transformers", "CLIPTokenizer"]}
        write_json(folder / tokenizer / "vocab.json", VOCABULARY)
        (folder / tokenizer / "merges.txt").write_text("#version: 0.2\n" + "\n".join(MERGES) + "\n", "utf-8")
        write_json(folder / tokenizer / "tokenizer_config.json", {"pad_token": pad})
        config = {"vocab_size": len(SYMBOLS), "hidden_size": WIDTHS[part], "num_hidden_layers": 2}
        write_json(folder / part / "config.json", config)
        states: Declared = (kind, ("b", "s", WIDTHS[part]))
        pooled = "text_embeds" if part == "text_encoder_2" else "pooler_output"
        outputs = {"last_hidden_state": states, pooled: (kind, ("b", WIDTHS[part]))}
        outputs |= {f"hidden_states.{layer}": states for layer in range(3) if xl}
        write_graph(folder / part, {"input_ids": (INT64, ("b", "s"))}, outputs)
    width = sum(WIDTHS[part] for part in encoders)
    inputs: dict[str, Declared] = {
        "sample": (kind, ("b", "c", "h", "w")),
        "timestep": (INT64, ()),
        "encoder_hidden_states": (kind, ("b", "s", width)),
    }
    unet: dict[str, Any] = {"cross_attention_dim": width, "sample_size": 16}
    if xl:
        inputs |= {"text_embeds": (kind, ("b", 12)), "time_ids": (kind, ("b", 6))}
        unet["addition_embed_type"] = "text_time"
    latent: Declared = (kind, ("b", 4, "h", "w"))
    write_graph(folder / "unet", inputs, {"out_sample": latent})
    image: Declared = (kind, ("b", 3, "h * 8", "w * 8"))
    write_graph(folder / "vae_encoder", {"sample": image}, {"latent_parameters": (kind, ("b", 8, "h", "w"))})
    write_graph(folder / "vae_decoder", {"latent_sample": latent}, {"sample": image})
    write_json(folder / "unet" / "config.json", unet)
    for part in ("vae_encoder", "vae_decoder"):
        write_json(folder / part / "config.json", {"block_out_channels": [4] * 4, "scaling_factor": 0.13025})
    write_json(folder / "scheduler" / "scheduler_config.json", {"beta_schedule": "scaled_linear"})
    write_json(folder / "model_index.json", index)
    return folder


def write_graph(folder: Path, inputs: Mapping[str, Declared], outputs: Mapping[str, Declared]) -> None:
    """FOLDER/model.onnx."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(graph_file(inputs, outputs))


def write_json(path: Path, content: object) -> None:
    """A JSON file in a folder, which is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def change_json(path: Path, **entries: object) -> None:
    """Other entries in a JSON file."""
    write_json(path, {**json.loads(path.read_text("utf-8")), **entries})
