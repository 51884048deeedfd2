"""A prompt through a text encoder: tokens looked up here, the network run by a Session, weights applied here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from onnxflow.errors import InputError, ModelError
from onnxflow.text.chunks import Chunk, ChunkShape, chunks_of, empty_chunk
from onnxflow.text.embeddings import NO_EMBEDDINGS, Embeddings, Vector
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
HIDDEN: Final = "hidden_states"
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


class TokenTable(Protocol):
    """A matrix of vectors by token, of which some rows are asked for: a numpy array, or one that lies in a file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Tokens, and the width of their vectors."""
        ...

    @property
    def ndim(self) -> int:
        """Two."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, tokens: Any, /) -> NDArray[Any]: ...


@dataclass(frozen=True, slots=True, eq=False)
class TextModel:
    """What a text encoder needs besides its network: tokenizer, token table [vocabulary, dim], shape of its chunks,
    what is read of it, and the embeddings that prompts may refer to. Without a table the network takes token ids and
    looks them up itself; then it can have no embeddings."""

    tokenizer: Tokenizer
    table: TokenTable | None
    shape: ChunkShape
    reading: Reading = Reading()
    embeddings: Embeddings = NO_EMBEDDINGS

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
    """The condition of ``prompt``: ``encode_chunks`` of its ``prompt_chunks``, with their errors."""
    return encode_chunks(prompt_chunks(prompt, model), model, session, layer=layer)


def prompt_chunks(prompt: str, model: TextModel) -> tuple[Chunk, ...]:
    """The chunks of ``prompt``, at least one; InputError for a weight that is not finite and for an embedding that is
    not there."""
    segments = parse(prompt)
    check(segments, model.embeddings)
    return chunks_of(groups_of(segments, model.tokenizer, model.embeddings), model.shape)


def encode_chunks(
    chunks: Sequence[Chunk], model: TextModel, session: Session, *, layer: int | None = None
) -> Conditioning:
    """The condition of ``chunks``, [1, 77 a chunk, dim], and the pooled output of the first one, [1, dim].

    ``layer`` counts from the end (-1 is the last, after the final norm where the family's states are); None means the
    family's own, one that the network does not have the last after the final norm. A weight w moves a token's state x
    away from the empty prompt's state e at the same place: e + w (x - e). InputError for weights that make states
    overflow; ModelError when the network's outputs are not those of a text encoder, or not finite.
    """
    weights = np.array([chunk.weights for chunk in chunks], dtype=np.float32)
    weighted = bool((weights != 1).any())
    states, pooled = _run((*chunks, empty_chunk(model.shape)) if weighted else tuple(chunks), model, session, layer)
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


def _layer(outputs: Mapping[str, NDArray[Any]], reading: Reading, layer: int | None) -> NDArray[Any]:
    """The states of ``layer``, counted from the end of the whole network; beyond the first one those of the last, after
    the final norm. ModelError when the graph does not give them."""
    wanted = NORMED if reading.normed else HIDDEN
    place = (reading.layer if layer is None else layer) + reading.skipped
    if wanted in outputs and place < 1 - len(outputs[wanted]):
        wanted, place = NORMED, LAST_LAYER + reading.skipped
    if place > LAST_LAYER:
        raise ModelError(
            f"the workflow needs a layer of the text encoder that its export left out: the last {reading.skipped}",
            hint="use CLIPSetLastLayer with -2 or less, or export the model from a file that has all layers",
        )
    if wanted in outputs:
        found: NDArray[Any] = outputs[wanted][place]
        return found
    if place != LAST_LAYER or wanted != NORMED or LAST not in outputs:
        raise ModelError(
            f"the workflow needs layer {place} of the text encoder ({wanted}), whose graph gives only"
            f" {', '.join(outputs) or 'nothing'}",
            hint="export the model again with 'onnxflow export', whose graphs give all layers",
        )
    return outputs[LAST]


def _run(chunks: Sequence[Chunk], model: TextModel, session: Session, layer: int | None) -> tuple[Array, Array]:
    """States [chunks, length, dim] of ``layer``, and pooled outputs [chunks, dim]."""
    reading = model.reading
    pool = "projected" if reading.projected else "pooled"
    states: list[NDArray[Any]] = []
    pooled: list[NDArray[Any]] = []
    for first in range(0, len(chunks), CHUNKS_A_RUN):
        batch = chunks[first : first + CHUNKS_A_RUN]
        ends = np.array([chunk.end_index(model.shape.end) for chunk in batch], dtype=np.int64)
        outputs = session.run({**_tokens(batch, model), "eos_index": ends})
        if pool not in outputs:
            raise ModelError(
                f"the text encoder does not give {pool}, only {', '.join(outputs) or 'nothing'}",
                hint="export the model again with 'onnxflow export'",
            )
        states.append(_layer(outputs, reading, layer))
        pooled.append(outputs[pool])
    found = [np.concatenate(parts).astype(np.float32, copy=False) for parts in (states, pooled)]
    if not all(np.isfinite(part).all() for part in found):
        raise ModelError(
            "the text encoder gave NaN or infinity",
            hint="its weights are damaged, or it overflowed in 16 bits: export the model again, in 32 bits",
        )
    return found[0], found[1]


def _tokens(chunks: Sequence[Chunk], model: TextModel) -> dict[str, NDArray[Any]]:
    """What the network is fed for the tokens of ``chunks``: their ids, or what the table and embeddings have for
    them."""
    vectors = [
        (row, column, token)
        for row, chunk in enumerate(chunks)
        for column, token in enumerate(chunk.tokens)
        if isinstance(token, Vector)
    ]
    ids = np.array([[0 if isinstance(t, Vector) else t for t in chunk.tokens] for chunk in chunks], dtype=np.int64)
    if model.table is None:
        if vectors:
            raise ModelError(
                f"the prompt refers to the embedding {vectors[0][2].name!r}, and this text encoder's graph takes token"
                " numbers only",
                hint="export the model again with 'onnxflow export', whose graphs take vectors",
            )
        return {"input_ids": ids}
    found = np.asarray(model.table[ids], dtype=np.float32)
    files = {name: model.embeddings.vectors(name) for name in dict.fromkeys(token.name for _, _, token in vectors)}
    for row, column, token in vectors:
        embedding = files[token.name]
        if embedding.shape[1] != found.shape[2]:
            raise InputError(
                f"the vectors of the embedding {token.name!r} are {embedding.shape[1]} wide, the text encoder's are"
                f" {found.shape[2]}: it was made for models of another family",
                hint="take it out of the prompt, or use one for this family (768 for SD1, 1024 for SD2, 768 and 1280"
                " for SDXL)",
            )
        found[row, column] = embedding[token.row]
    return {"inputs_embeds": found}
