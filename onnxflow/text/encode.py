"""A prompt through a text encoder: tokens looked up here, the network run by a Session, weights applied here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from onnxflow.errors import InputError, ModelError
from onnxflow.text.chunks import Chunk, ChunkShape, chunks_of, empty_chunk
from onnxflow.text.groups import WEIGHT_HINT, check, groups_of
from onnxflow.text.prompt import parse
from onnxflow.text.tokenizer import Tokenizer
from onnxflow.values import Array, Cond, Conditioning, Session

CHUNKS_A_RUN: Final = 16
"""How many chunks go through the network at once; bounds its memory for very long prompts."""

LAST_LAYER: Final = -1
"""The layer ComfyUI reads unless a workflow skips some (CLIPSetLastLayer's -1)."""


@dataclass(frozen=True, slots=True, eq=False)
class TextModel:
    """What a text encoder needs besides its network: tokenizer, token table [vocabulary, dim], shape of its chunks."""

    tokenizer: Tokenizer
    table: NDArray[Any]
    shape: ChunkShape

    def __post_init__(self) -> None:
        ids = (self.tokenizer.largest_id, self.shape.start, self.shape.end, self.shape.pad)
        if self.table.ndim != 2 or len(self.table) <= max(ids) or min(ids) < 0:
            raise ModelError(
                f"the token table has the shape {list(self.table.shape)}, which does not hold the tokenizer's token"
                f" {max(ids)}",
                hint="export the model again, so that its tokenizer and its weights belong together",
            )


def encode_prompt(prompt: str, model: TextModel, session: Session, *, layer: int = LAST_LAYER) -> Conditioning:
    """The condition of ``prompt``, [1, 77 a chunk, dim], and the pooled output of its first chunk, [1, dim].

    ``layer`` counts from the end (-1 is the last); one that the network does not have means the last. A weight w moves
    a token's state x away from the empty prompt's state e at the same place: e + w (x - e). InputError for a weight
    that is not finite or makes states overflow and for embeddings; ModelError when the network's outputs are not those
    of a text encoder, or not finite.
    """
    segments = parse(prompt)
    check(segments)
    chunks = chunks_of(groups_of(segments, model.tokenizer), model.shape)
    weights = np.array([chunk.weights for chunk in chunks], dtype=np.float32)
    weighted = bool((weights != 1).any())
    states, pooled = _run((*chunks, empty_chunk(model.shape)) if weighted else chunks, model, session, layer)
    if weighted:
        states = _weigh(states[:-1], states[-1], weights)
    return Conditioning((Cond(states.reshape(1, -1, states.shape[-1]), pooled[:1]),))


def _weigh(states: Array, empty: Array, weights: Array) -> Array:
    """``states`` [chunks, length, dim] moved away from those of the empty prompt [length, dim]; 1 leaves them alone."""
    factors = weights[..., None]
    with np.errstate(over="ignore", invalid="ignore"):
        found: Array = np.where(factors == 1, states, (states - empty) * factors + empty)
    overflowed = ~np.isfinite(found).all(axis=2)
    if overflowed.any():
        raise InputError(
            f"the prompt's weight {weights[overflowed][0]:g} is too large for this text encoder: its states overflow",
            hint=WEIGHT_HINT,
        )
    return found


def _run(chunks: tuple[Chunk, ...], model: TextModel, session: Session, layer: int) -> tuple[Array, Array]:
    """States [chunks, length, dim] of ``layer`` after the final norm, and pooled outputs [chunks, dim]."""
    states: list[NDArray[Any]] = []
    pooled: list[NDArray[Any]] = []
    for first in range(0, len(chunks), CHUNKS_A_RUN):
        batch = chunks[first : first + CHUNKS_A_RUN]
        ids = np.array([chunk.tokens for chunk in batch], dtype=np.int64)
        outputs = session.run(
            {
                "inputs_embeds": np.asarray(model.table[ids], dtype=np.float32),
                "eos_index": np.array([chunk.end_index(model.shape.end) for chunk in batch], dtype=np.int64),
            }
        )
        missing = [name for name in ("normed_hidden_states", "pooled") if name not in outputs]
        if missing:
            raise ModelError(
                f"the text encoder does not give {' and '.join(missing)}, only {', '.join(outputs) or 'nothing'}",
                hint="export the model again with 'onnxflow export'",
            )
        layers = outputs["normed_hidden_states"]
        states.append(layers[layer if -len(layers) < layer < 0 else LAST_LAYER])
        pooled.append(outputs["pooled"])
    found = [np.concatenate(parts).astype(np.float32, copy=False) for parts in (states, pooled)]
    if not all(np.isfinite(part).all() for part in found):
        raise ModelError(
            "the text encoder gave NaN or infinity",
            hint="its weights are damaged, or it overflowed in 16 bits: export the model again, in 32 bits",
        )
    return found[0], found[1]
