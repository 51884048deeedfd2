"""The tokenizer that all Stable Diffusion models share, for checkpoints that bring none; and writing any."""

import json
from pathlib import Path

from onnxflow.models.pipeline.tokenizer import Tokenizer
from onnxflow.text.clip import clip_merges, clip_vocabulary
from onnxflow.text.words import END, START


def clip_tokenizer(pad: str = END) -> Tokenizer:
    """The tokenizer of every Stable Diffusion model; OpenCLIP pads with "!"."""
    vocabulary = clip_vocabulary()
    return Tokenizer(vocabulary, clip_merges(), vocabulary[START], vocabulary[END], vocabulary[pad], lowercase=True)


def write_tokenizer(folder: Path, tokenizer: Tokenizer) -> None:
    """Write vocab.json and merges.txt into a folder, which is made."""
    folder.mkdir(exist_ok=True)
    vocabulary = json.dumps(tokenizer.vocabulary, ensure_ascii=False, separators=(",", ":"))
    (folder / "vocab.json").write_text(vocabulary + "\n", encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *tokenizer.merges]) + "\n", encoding="utf-8")
