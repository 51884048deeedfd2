"""Chunks: those of ComfyUI's SD1 tokenizer and SDXL's second one, and what must hold for any groups."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.errors import ModelError
from onnxflow.text.chunks import ChunkShape, chunks_of, empty_chunk
from onnxflow.text.embeddings import Embeddings, Vector
from onnxflow.text.groups import Group, Token, groups_of
from onnxflow.text.prompt import parse
from onnxflow.text.tokenizer import Tokenizer

SHAPE = ChunkShape(start=1, end=2, pad=0, length=12)
some_groups = st.lists(
    st.builds(Group, st.lists(st.integers(3, 9), max_size=30).map(tuple), st.sampled_from([0.5, 1.0, 1.1])), max_size=12
)


@pytest.mark.parametrize("number", range(77))
def test_prompts_of_comfyui(
    number: int, prompts: list[dict[str, Any]], clip_tokenizer: Tokenizer, embeddings: Embeddings
) -> None:
    golden = prompts[number]
    first = ChunkShape(clip_tokenizer.start, clip_tokenizer.end, pad=clip_tokenizer.end)
    second = ChunkShape(clip_tokenizer.start, clip_tokenizer.end, pad=0)
    groups = groups_of(parse(golden["prompt"]), clip_tokenizer, embeddings)
    found = chunks_of(groups, first)
    assert [_named(c.tokens, "clip_l") for c in found] == golden["l_tokens"]
    assert [[_comparable(w) for w in c.weights] for c in found] == [
        [_comparable(w) for w in row] for row in golden["l_weights"]
    ]
    assert [list(c.groups) for c in found] == golden["l_word_ids"]
    assert [_named(c.tokens, "clip_g") for c in chunks_of(groups, second)] == golden["xl_g_tokens"]


def test_there_are_77_prompts(prompts: list[dict[str, Any]]) -> None:
    assert len(prompts) == 77


def _named(tokens: tuple[Token, ...], key: str) -> list[Any]:
    """Tokens as the goldens write them."""
    return [
        {"embedding": token.name.removesuffix(".safetensors"), "key": key, "row": token.row}
        if isinstance(token, Vector)
        else token
        for token in tokens
    ]


def _comparable(weight: float) -> float | str:
    return "nan" if math.isnan(weight) else weight


def test_small_groups_move_and_large_ones_are_cut() -> None:
    small, large = Group((5,) * 7, 1.0), Group((6,) * 8, 1.5)
    assert [c.tokens for c in chunks_of((small, small), SHAPE)] == [
        (1, *[5] * 7, 2, 0, 0, 0),
        (1, *[5] * 7, 2, 0, 0, 0),
    ]
    moved, cut = chunks_of((small, large), SHAPE), chunks_of((Group((5,) * 10, 1.0), large), SHAPE)
    assert [c.tokens for c in moved] == [(1, *[5] * 7, *[6] * 3, 2), (1, *[6] * 5, 2, *[0] * 5)]
    assert moved[1].weights == (1.0, *[1.5] * 5, *[1.0] * 6)
    assert moved[1].groups == (0, *[2] * 5, *[0] * 6)
    assert [c.tokens for c in cut] == [(1, *[5] * 10, 2), (1, *[6] * 8, 2, 0, 0)]


@given(some_groups, st.integers(3, 20))
def test_nothing_is_lost_and_every_chunk_is_full(groups: list[Group], length: int) -> None:
    shape = ChunkShape(start=1, end=2, pad=0, length=length)
    chunks = chunks_of(groups, shape)
    assert chunks
    for chunk in chunks:
        assert len(chunk.tokens) == len(chunk.weights) == len(chunk.groups) == length
        assert chunk.tokens[0] == 1
        assert set(chunk.tokens[chunk.end_index(2) + 1 :]) <= {0}
    inside = [
        (token, weight, number)
        for chunk in chunks
        for token, weight, number in zip(chunk.tokens, chunk.weights, chunk.groups, strict=True)
        if number
    ]
    assert inside == [(t, g.weight, n) for n, g in enumerate(groups, 1) for t in g.tokens]


def test_no_groups_make_the_empty_chunk() -> None:
    assert empty_chunk(SHAPE).tokens == (1, 2, *[0] * 10)
    assert chunks_of((Group((), 0.5),), SHAPE) == (empty_chunk(SHAPE),)


def test_a_length_without_room() -> None:
    with pytest.raises(ModelError, match="2 tokens"):
        ChunkShape(start=1, end=2, pad=0, length=2)
