"""CLIP's clean-up and split pattern, over all of Unicode."""

import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.text.words import clean, split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A  photo,of\ta CAT!!", ["a", "photo", ",", "of", "a", "cat", "!!"]),
        ("don't we'll it's'", ["don", "'t", "we", "'ll", "it", "'s", "'"]),
        ("1girl 42 v1.5", ["1", "girl", "4", "2", "v", "1", ".", "5"]),
        ("hello_world", ["hello", "_", "world"]),
        ("ΟΔΟΣ É e\u0301", ["οδος", "é", "é"]),
        ("½ⅷ٣", ["½", "ⅷ", "٣"]),
        ("一只cat", ["一", "只", "cat"]),
        ("a\u200db\x00c\ufffdd\ufeffe", ["abcde"]),
        ("a\u3000b\xa0c\u2028d", ["a", "b", "c", "d"]),
        ("!<|endoftext|>x", ["!", "<|endoftext|>", "x"]),
        ("<|EndOfText|>", ["<|endoftext|>"]),
        ("'\u017f\u0345x", ["'\u017f", "x"]),
        ("", []),
        (" \n", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert split_words(text) == words


def test_case_can_be_kept() -> None:
    assert split_words("A Cat'S É", lowercase=False) == ["A", "Cat", "'S", "É"]


def test_every_character_is_of_the_class_that_unicode_says() -> None:
    for code in range(0x80, sys.maxunicode + 1):
        char = chr(code)
        category = unicodedata.category(char)
        # Clean-up may drop it or make several of it; what is left is judged by its own category.
        for left in clean(char, lowercase=False).replace(" ", ""):
            kind = unicodedata.category(left)[0]
            pieces = split_words(f"x{left}1{left}!{left}{left}", lowercase=False)
            if kind == "L" and not re.fullmatch(r"x.1.!..", clean(f"x{left}1{left}!{left}{left}", lowercase=False)):
                assert pieces == ["x", left, "1", left, "!", left, left], hex(code)
            elif kind == "L":
                assert pieces == [f"x{left}", "1", left, "!", left * 2], hex(code)
            elif kind == "N":
                assert pieces == ["x", left, "1", left, "!", left, left], hex(code)
            elif left not in "\u0345":
                assert [p for p in pieces if left in p or p == "!"], hex(code)
        assert category[0] not in "CZ" or clean(char) == "", hex(code)


@given(st.text())
def test_any_text_splits_and_only_spaces_are_lost(text: str) -> None:
    text = text.replace("\u0345", "")
    words = split_words(text)
    assert all(words)
    assert "".join(words) == clean(text).replace(" ", "")
    for word in words:
        kinds = {unicodedata.category(char)[0] for char in word}
        assert kinds == {"L"} or word[0] == "'" or (kinds == {"N"} and len(word) == 1) or not kinds & set("LNZC")
