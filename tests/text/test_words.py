"""CLIP's clean-up and split pattern, over all of Unicode."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.text.words import END, START, clean, split_words

# The blocks that BERT's tokenizer, whose clean-up CLIP's uses, calls Chinese characters (its ranges in decimal).
CHINESE = (
    *((13312, 19903), (19968, 40959), (63744, 64255), (131072, 173791)),
    *((173824, 177983), (177984, 178207), (178208, 183983), (194560, 195103)),
)


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
    for code in (*range(0x80, 0x345), *range(0x346, 0x32400), *range(0xE0000, 0xE0200)):
        char = chr(code)
        kind = unicodedata.category(char)[0]
        if unicodedata.normalize("NFC", char) != char:
            continue  # judged as what it becomes
        if kind in "CZ" or code == 0xFFFD:
            assert "".join(split_words(f"x{char}x")) == "xx", hex(code)
        elif kind == "L":
            alone = any(low <= code <= high for low, high in CHINESE)
            assert split_words(f"x{char}", lowercase=False) == (["x", char] if alone else [f"x{char}"]), hex(code)
        elif kind == "N":
            assert split_words(char * 2, lowercase=False) == [char, char], hex(code)
        else:
            assert split_words(f"!{char}", lowercase=False) == [f"!{char}"], hex(code)


@given(st.text())
def test_any_text_splits_and_only_spaces_are_lost(text: str) -> None:
    text = text.replace("\u0345", "")
    words = split_words(text)
    assert all(words)
    assert "".join(words) == clean(text).replace(" ", "")
    for word in words:
        kinds = {unicodedata.category(char)[0] for char in word}
        if word.lower() in (START, END):  # one token each, in a text as well
            continue
        assert kinds == {"L"} or word[0] == "'" or (kinds == {"N"} and len(word) == 1) or not kinds & set("LNZC")
