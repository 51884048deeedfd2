"""Prompts: CLIPTextEncode."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

import numpy as np

from onnxflow.errors import InputError, ModelError
from onnxflow.models.bundle import Bundle
from onnxflow.models.disk import Disk
from onnxflow.nodes.context import Context
from onnxflow.nodes.spec import node
from onnxflow.nodes.widgets import String
from onnxflow.text.chunks import ChunkShape
from onnxflow.text.encode import TextModel, encode_prompt
from onnxflow.text.groups import check
from onnxflow.text.prompt import parse
from onnxflow.text.tokenizer import read_tokenizer
from onnxflow.values import Clip, Conditioning

Prompt = Annotated[str, String(multiline=True, dynamic_prompts=True)]


def _validate(disk: Disk, text: str | None = None) -> str | None:
    """A prompt that no model can encode, found before one is loaded."""
    try:
        check(parse(text or ""))
    except InputError as error:
        return f"{error.message} ({error.hint})"
    return None


@node("CLIPTextEncode", category="conditioning", display_name="CLIP Text Encode (Prompt)", validate=_validate)
def clip_text_encode(ctx: Context, text: Prompt, clip: Clip) -> Conditioning:
    """The prompt as the text encoder sees it: [1, 77 a chunk, width], with weights, and pooled [1, width]."""
    return encode_prompt(text, text_model(clip.source), ctx.session(clip, "text_encoder"))


@lru_cache(maxsize=4)
def text_model(bundle: Bundle) -> TextModel:
    """Tokenizer, memory-mapped token table and chunk shape of ``bundle``; ModelError when they do not fit together."""
    files, text = bundle.manifest.tokenizer, bundle.text
    tokenizer = read_tokenizer(bundle.path(files.vocab), bundle.path(files.merges), lowercase=files.lowercase)
    if (tokenizer.start, tokenizer.end) != (text.bos, text.eos):
        raise ModelError(
            f"the manifest says that texts start with token {text.bos} and end with {text.eos}, the tokenizer has"
            f" {tokenizer.start} and {tokenizer.end}",
            where=str(bundle.root),
            hint="export the model again",
        )
    path = bundle.path(text.token_embedding)
    try:
        table = np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # numpy reads the header with Python's parser and passes on whatever that raises
        raise ModelError(
            f"the token table cannot be read: {str(error) or type(error).__name__}",
            where=str(path),
            hint="export the model again",
        ) from None
    if table.shape != (text.vocab, text.hidden) or table.dtype.kind != "f":
        raise ModelError(
            f"the token table is {table.dtype} {list(table.shape)}, expected floats {[text.vocab, text.hidden]}",
            where=str(path),
            hint="export the model again",
        )
    return TextModel(tokenizer, table, ChunkShape(start=text.bos, end=text.eos, pad=text.pad, length=text.length))
