# ruff: noqa: E402
import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from onnxflow.export.tiny_model.tokenizer import Tokenizer, train_tokenizer

CORPUS = ["a red circle on a blue background", "a red ring, a checkered background", "two circles"]
SMALL = train_tokenizer(CORPUS, 540)
REFERENCE = CLIPTokenizer(
    vocab=SMALL.vocabulary,
    merges=list(SMALL.merges),
    unk_token="<|endoftext|>",
    pad_token="<|endoftext|>",
)


def test_the_layout_is_clips() -> None:
    assert SMALL.vocabulary["!"] == 0
    assert SMALL.vocabulary["!</w>"] == 256
    assert "".join(next(iter(SMALL.merges))) == next(name for name, index in SMALL.vocabulary.items() if index == 512)
    assert (SMALL.start, SMALL.end) == (538, 539)
    assert len(SMALL.vocabulary) == 540


def test_frequent_words_are_one_token() -> None:
    tokenizer = train_tokenizer(CORPUS, 10_000)
    assert len(tokenizer.vocabulary) < 700
    assert tokenizer.encode("a red circle")[:5] == [
        tokenizer.start,
        *(tokenizer.vocabulary[word + "</w>"] for word in ("a", "red", "circle")),
        tokenizer.end,
    ]


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=60))
def test_any_ascii_text_is_encoded_as_transformers_encodes_it(text: str) -> None:
    expected = REFERENCE(text, padding="max_length", max_length=77, truncation=True)["input_ids"]
    assert SMALL.encode(text) == expected


@given(st.text(max_size=100))
def test_any_text_at_all_gives_77_known_ids(text: str) -> None:
    ids = SMALL.encode(text)
    assert len(ids) == 77
    assert ids[0] == SMALL.start
    assert SMALL.end in ids
    assert 0 <= min(ids) <= max(ids) < len(SMALL.vocabulary)


def test_a_long_text_is_cut_and_still_ends() -> None:
    ids = SMALL.encode("red " * 200)
    assert len(ids) == 77
    assert ids[-1] == SMALL.end
    assert ids.count(SMALL.end) == 1


def test_the_files_are_clips(tmp_path: Path) -> None:
    SMALL.save(tmp_path)
    assert json.loads((tmp_path / "vocab.json").read_text()) == SMALL.vocabulary
    lines = (tmp_path / "merges.txt").read_text().splitlines()
    assert lines[0] == "#version: 0.2"
    assert [tuple(line.split()) for line in lines[1:]] == list(SMALL.merges)


def test_training_is_deterministic() -> None:
    again: Tokenizer = train_tokenizer(CORPUS, 540)
    assert again == SMALL
