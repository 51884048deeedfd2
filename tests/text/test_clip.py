"""CLIP's own vocabulary, against what CLIP's tokenizer gives."""

from __future__ import annotations

from onnxflow.text.clip import clip_merges, clip_vocabulary
from onnxflow.text.tokenizer import Tokenizer

VOCABULARY = clip_vocabulary()


def test_it_is_whole() -> None:
    assert len(clip_merges()) == 48_894
    assert all(len(merge.split(" ")) == 2 for merge in clip_merges())
    assert sorted(VOCABULARY.values()) == list(range(49_408))
    assert (VOCABULARY["<|startoftext|>"], VOCABULARY["<|endoftext|>"]) == (49_406, 49_407)
    assert (VOCABULARY["!"], VOCABULARY["a</w>"], VOCABULARY["\u0120</w>"]) == (0, 320, 476)


def test_it_gives_clips_ids() -> None:
    tokenizer = Tokenizer(VOCABULARY, {merge: rank for rank, merge in enumerate(clip_merges())})
    assert [id for word in ("a", "photo", "of", "a", "cat") for id in tokenizer.encode(word)] == [
        320, 1125, 539, 320, 2368,
    ]  # fmt: skip
