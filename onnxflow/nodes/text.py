"""Prompts: CLIPTextEncode."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from onnxflow.errors import InputError, ModelError
from onnxflow.models.bundle import Bundle
from onnxflow.models.disk import Disk
from onnxflow.models.manifest import TextConstants, TokenizerFiles
from onnxflow.models.pipeline.tokenizer import read_one_file
from onnxflow.nodes.context import Context
from onnxflow.nodes.spec import node
from onnxflow.nodes.widgets import String
from onnxflow.text.chunks import ChunkShape
from onnxflow.text.encode import TextModel, encode_prompt, joined, reading_of
from onnxflow.text.groups import check
from onnxflow.text.prompt import parse
from onnxflow.text.tokenizer import Tokenizer, read_tokenizer, tokenizer_of
from onnxflow.values import Clip, Conditioning

Prompt = Annotated[str, String(multiline=True, dynamic_prompts=True)]


def _validate(disk: Disk, text: str | None = None) -> str | None:
    """A prompt that no model can encode, found before one is loaded."""
    try:
        check(parse(text or ""))
    except InputError as error:
        return f"{error.message} ({error.hint})"
    return None


@node(
    "CLIPTextEncode",
    category="conditioning",
    display_name="CLIP Text Encode (Prompt)",
    runs=("text_encoder", "text_encoder_2"),
    validate=_validate,
)
def clip_text_encode(ctx: Context, text: Prompt, clip: Clip) -> Conditioning:
    """The prompt as the text encoder sees it: [1, 77 a chunk, width], with weights, and pooled [1, width]."""
    source = clip.source
    conditions = []
    for component in source.manifest.texts:
        model = text_model(source, component)
        conditions.append(encode_prompt(text, model, ctx.session(clip, component)))
    return joined(conditions)


@lru_cache(maxsize=4)
def text_model(bundle: Bundle, component: str = "text_encoder") -> TextModel:
    """Tokenizer, memory-mapped token table if it needs one, chunk shape and reading of one of ``bundle``'s text
    encoders; ModelError when they do not fit together."""
    text = bundle.text(component)
    tokenizer = _tokenizer(bundle, text.tokenizer)
    if (tokenizer.start, tokenizer.end) != (text.bos, text.eos):
        raise ModelError(
            f"the manifest says that texts start with token {text.bos} and end with {text.eos}, the tokenizer has"
            f" {tokenizer.start} and {tokenizer.end}",
            where=str(bundle.root),
            hint="export the model again",
        )
    table = _table(bundle, text, text.token_embedding) if text.token_embedding is not None else None
    shape = ChunkShape(start=text.bos, end=text.eos, pad=text.pad, length=text.length)
    return TextModel(tokenizer, table, shape, reading_of(bundle.manifest.family, component, text.skipped))


def _tokenizer(bundle: Bundle, files: TokenizerFiles) -> Tokenizer:
    vocabulary, merges = bundle.path(files.vocab), bundle.path(files.merges)
    if vocabulary == merges:
        return tokenizer_of(*read_one_file(vocabulary), vocabulary, lowercase=files.lowercase)
    return read_tokenizer(vocabulary, merges, lowercase=files.lowercase)


def _table(bundle: Bundle, text: TextConstants, name: str) -> NDArray[Any]:
    path = bundle.path(name)
    try:
        table: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
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
    return table
