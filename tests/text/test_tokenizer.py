"""CLIP's byte-pair encoding: ComfyUI's token ids, the textbook algorithm, any text, odd files."""

import itertools
import json
import random
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.errors import ModelError
from onnxflow.text.tokenizer import Tokenizer, byte_symbols, merge, read_tokenizer
from onnxflow.text.words import END, START

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def textbook(symbols: list[str], ranks: Mapping[str, int]) -> list[str]:
    """Byte-pair encoding as the paper has it: again and again the whole word, the best pair, every occurrence."""
    while True:
        known = [pair for pair in itertools.pairwise(symbols) if " ".join(pair) in ranks]
        if not known:
            return symbols
        best = min(known, key=lambda pair: ranks[" ".join(pair)])
        joined: list[str] = []
        for symbol in symbols:
            # A symbol made in this round is longer than the first of the pair, so it is not joined again.
            if joined and (joined[-1], symbol) == best:
                joined[-1] += symbol
            else:
                joined.append(symbol)
        symbols = joined


def write(folder: Path, vocabulary: object, merges: str) -> tuple[Path, Path]:
    text = vocabulary if isinstance(vocabulary, str) else json.dumps(vocabulary)
    (folder / "vocab.json").write_text(text, encoding="utf-8")
    (folder / "merges.txt").write_text(merges, encoding="utf-8")
    return folder / "vocab.json", folder / "merges.txt"


def small_vocabulary(*more: str) -> dict[str, int]:
    names = [symbol + end for end in ("", "</w>") for symbol in byte_symbols()]
    return {name: index for index, name in enumerate([*names, *more, START, END])}


def test_a_photo_of_a_cat(clip_tokenizer: Tokenizer) -> None:
    assert (clip_tokenizer.start, clip_tokenizer.end) == (49406, 49407)
    assert clip_tokenizer.encode("A photo of a cat") == [320, 1125, 539, 320, 2368]
    assert clip_tokenizer.encode("") == []
    assert clip_tokenizer.encode("cat<|endoftext|>cat <|startoftext|>") == [2368, 49407, 2368, 49406]


@given(st.text())
def test_any_text_has_tokens(clip_tokenizer: Tokenizer, text: str) -> None:
    known = set(clip_tokenizer.vocabulary.values())
    assert set(clip_tokenizer.encode(text)) <= known


@given(st.text(st.sampled_from("abc"), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_merging_is_the_textbook_algorithm(word: str, rng: random.Random) -> None:
    # Ranks in any order, also such as no training would give.
    pool = ["a", "b", "c", "aa", "ab", "bc", "ca", "aab", "abc", "cab", "abab", "aaaa"]
    pairs = [f"{left} {right}" for left in pool for right in pool]
    ranks = {pair: rank for rank, pair in enumerate(rng.sample(pairs, 40))}
    assert merge(list(word), ranks) == textbook(list(word), ranks)


@given(st.text(st.sampled_from(LETTERS[:6]), min_size=1, max_size=60))
def test_merging_with_the_ranks_of_clip(clip_tokenizer: Tokenizer, word: str) -> None:
    symbols = [*word[:-1], word[-1] + "</w>"]
    assert merge(symbols, clip_tokenizer.ranks) == textbook(symbols, clip_tokenizer.ranks)


def test_one_word_of_100_000_letters_takes_no_time(clip_tokenizer: Tokenizer) -> None:
    word = "".join(random.Random(1).choices(LETTERS, k=100_000))
    started = time.process_time()
    assert len(clip_tokenizer.encode(word)) > 10_000
    # 0.5 to 2 s; the textbook algorithm takes an hour.
    assert time.process_time() - started < 20


def test_windows_line_ends_and_no_version_line(tmp_path: Path) -> None:
    files = write(tmp_path, small_vocabulary("ab", "abc</w>"), "a b\r\nab c</w>\r\n")
    tokenizer = read_tokenizer(*files)
    assert tokenizer.encode("ABC ab") == [513, ord("a"), 256 + ord("b")]
    assert read_tokenizer(*files, lowercase=False).encode("A") == [256 + ord("A")]


def test_a_byte_that_the_vocabulary_lacks_becomes_the_end_token(tmp_path: Path) -> None:
    names = [f"{a}{b}" for a in LETTERS for b in LETTERS]
    vocabulary = {name: index for index, name in enumerate([*names, START, END])}
    tokenizer = read_tokenizer(*write(tmp_path, vocabulary, "#version: 0.2\n"))
    assert tokenizer.encode("é") == [tokenizer.end] * 2


@pytest.mark.parametrize(
    ("vocabulary", "merges", "named"),
    [
        ("{", "a b\n", "not JSON"),
        ("[" * 200_000, "a b\n", "not JSON"),
        ([1, 2], "a b\n", "no vocabulary"),
        ({"a": "b"}, "a b\n", "no vocabulary"),
        ({"a": True}, "a b\n", "no vocabulary"),
        ({"a": -1}, "a b\n", "no vocabulary"),
        ({START: 0, END: 1}, "a b\n", "2 entries"),
        ({str(i): i for i in range(300)}, "a b\n", f"lacks {START} and {END}"),
        ({**small_vocabulary(), "a": 1, "b": 1}, "a b\n", "one id to two symbols"),
        (small_vocabulary("ab"), "a b\na\n", "merge 2 of merges.txt is 'a'"),
        (small_vocabulary("ab"), "#version: 0.2\na  b\n", "merge 1"),
        (small_vocabulary("ab"), "a b\n\na b\n", "merge 2"),
        (small_vocabulary("ab"), "\n".join(f"a{i} b" for i in range(600)), "do not belong together"),
    ],
)
def test_files_that_are_something_else(tmp_path: Path, vocabulary: object, merges: str, named: str) -> None:
    with pytest.raises(ModelError) as caught:
        read_tokenizer(*write(tmp_path, vocabulary, merges))
    assert named in caught.value.message
    assert caught.value.where
    assert caught.value.hint


def test_files_that_are_not_there_or_not_text(tmp_path: Path) -> None:
    vocabulary, merges = write(tmp_path, small_vocabulary(), "a b\n")
    merges.unlink()
    with pytest.raises(ModelError, match=r"lacks merges\.txt"):
        read_tokenizer(vocabulary, merges)
    merges.write_bytes(b"\xff\xfe")
    with pytest.raises(ModelError, match=r"merges\.txt of the tokenizer is not UTF-8"):
        read_tokenizer(vocabulary, merges)
    merges.unlink()
    merges.mkdir()
    with pytest.raises(ModelError, match=r"merges\.txt of the tokenizer cannot be read"):
        read_tokenizer(vocabulary, merges)


@pytest.mark.parametrize("index", [0, 1])
def test_huge_files_are_not_read(tmp_path: Path, index: int) -> None:
    paths = write(tmp_path, small_vocabulary(), "a b\n")
    with open(paths[index], "r+b") as file:
        file.truncate(10**12)
    with pytest.raises(ModelError, match=rf"{paths[index].name} has more than 67,108,864 bytes"):
        read_tokenizer(*paths)


def test_merges_of_another_model(tmp_path: Path) -> None:
    tokenizer = read_tokenizer(*write(tmp_path, small_vocabulary(), "#version: 0.2\na b</w>\n"))
    assert len(tokenizer.encode("ba")) == 2
    with pytest.raises(ModelError, match="do not belong together"):
        tokenizer.encode("ab")
