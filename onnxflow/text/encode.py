"""A prompt through a text encoder: tokens looked up here, the network run by a Session, weights applied here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
"""The last layer, as CLIPSetLastLayer counts."""

BEFORE_LAST: Final = -2
"""The layer before it."""
NORMED: Final = "normed_hidden_states"
LAST: Final = "last_hidden_state"
"""What a network gives instead of ``NORMED`` that has only its last layer to give: that one, [chunks, length, dim]."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What ComfyUI reads of a family's text encoder: the layer unless a workflow says another, whether after the final
    norm, and whether the pooled output is the projected one.

    ``skipped`` is how many last layers the network was exported without.
    """

    layer: int = LAST_LAYER
    normed: bool = True
    projected: bool = False
    skipped: int = 0


def reading_of(family: str, component: str, skipped: int) -> Reading:
    """What ComfyUI reads of a family's text encoder: of SDXL's the states of the layer before the last, without the
    norm, and the second one's projected output; of 2.x's the layer before the last."""
    if family in ("sdxl", "sdxl-refiner"):
        return Reading(BEFORE_LAST, normed=False, projected=component == "text_encoder_2", skipped=skipped)
    if family == "sd2":
        return Reading(BEFORE_LAST, skipped=skipped)
    return Reading(skipped=skipped)


@dataclass(frozen=True, slots=True, eq=False)
class TextModel:
    """What a text encoder needs besides its network: tokenizer, token table [vocabulary, dim], shape of its chunks, and
    what is read of it. Without a table the network takes token ids and looks them up itself."""

    tokenizer: Tokenizer
    table: NDArray[Any] | None
    shape: ChunkShape
    reading: Reading = Reading()

    def __post_init__(self) -> None:
        if self.table is None:
            return
        ids = (self.tokenizer.largest_id, self.shape.start, self.shape.end, self.shape.pad)
        if self.table.ndim != 2 or len(self.table) <= max(ids) or min(ids) < 0:
            raise ModelError(
                f"the token table has the shape {list(self.table.shape)}, which does not hold the tokenizer's token"
                f" {max(ids)}",
                hint="export the model again, so that its tokenizer and its weights belong together",
            )


def encode_prompt(prompt: str, model: TextModel, session: Session, *, layer: int | None = None) -> Conditioning:
    """The condition of ``prompt``, [1, 77 a chunk, dim], and the pooled output of its first chunk, [1, dim].

    ``layer`` counts from the end (-1 is the last); None means the family's own, one that the network does not have the
    last. A weight w moves
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


def joined(conditions: Sequence[Conditioning]) -> Conditioning:
    """One condition of those that several text encoders gave for a prompt: their states side by side, [1, tokens, sum
    of dims], and the last one's pooled output (Podell et al. 2023, section 2.1)."""
    if len(conditions) == 1:
        return conditions[0]
    states = [condition.entries[0].cross_attn for condition in conditions]
    shortest = min(part.shape[1] for part in states)
    together = np.concatenate([part[:, :shortest] for part in states], axis=2)
    return Conditioning((Cond(together, conditions[-1].entries[0].pooled),))


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


def _layer(outputs: Mapping[str, NDArray[Any]], wanted: str, place: int) -> NDArray[Any]:
    """The states of one layer, counted from the end; ModelError when the network gives the last one only, normed, and
    that is not what is asked for."""
    if place >= 0:
        place = LAST_LAYER  # beyond what the network was exported with
    if wanted in outputs:
        layers = outputs[wanted]
        found: NDArray[Any] = layers[place if -len(layers) < place else LAST_LAYER]
        return found
    if place != LAST_LAYER or wanted != NORMED:
        raise ModelError(
            f"the workflow needs layer {place} of the text encoder ({wanted}), whose graph gives only the last one"
            f" after the final norm ({LAST})",
            hint="export the model again with 'onnxflow export', whose graphs give all layers",
        )
    return outputs[LAST]


def _run(chunks: tuple[Chunk, ...], model: TextModel, session: Session, layer: int | None) -> tuple[Array, Array]:
    """States [chunks, length, dim] of ``layer``, and pooled outputs [chunks, dim]."""
    reading = model.reading
    wanted = NORMED if reading.normed else "hidden_states"
    pool = "projected" if reading.projected else "pooled"
    place = (reading.layer if layer is None else layer) + reading.skipped
    states: list[NDArray[Any]] = []
    pooled: list[NDArray[Any]] = []
    for first in range(0, len(chunks), CHUNKS_A_RUN):
        batch = chunks[first : first + CHUNKS_A_RUN]
        ids = np.array([chunk.tokens for chunk in batch], dtype=np.int64)
        feeds = {"eos_index": np.array([chunk.end_index(model.shape.end) for chunk in batch], dtype=np.int64)}
        if model.table is None:
            feeds["input_ids"] = ids
        else:
            feeds["inputs_embeds"] = np.asarray(model.table[ids], dtype=np.float32)
        outputs = session.run(feeds)
        missing = [name for name in (wanted, pool) if name not in outputs and not (name == wanted and LAST in outputs)]
        if missing:
            raise ModelError(
                f"the text encoder does not give {' and '.join(missing)}, only {', '.join(outputs) or 'nothing'}",
                hint="export the model again with 'onnxflow export'",
            )
        states.append(_layer(outputs, wanted, place))
        pooled.append(outputs[pool])
    found = [np.concatenate(parts).astype(np.float32, copy=False) for parts in (states, pooled)]
    if not all(np.isfinite(part).all() for part in found):
        raise ModelError(
            "the text encoder gave NaN or infinity",
            hint="its weights are damaged, or it overflowed in 16 bits: export the model again, in 32 bits",
        )
    return found[0], found[1]
