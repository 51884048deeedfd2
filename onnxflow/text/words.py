"""How CLIP cuts a text into words before byte-pair encoding: clean-up, then one pattern.

The rules are those of the tokenizer ComfyUI uses when ftfy is not installed (Transformers' Python CLIPTokenizer 4.57):
control characters go, CJK ideographs stand alone, NFC, lower case; then contractions, runs of letters, single digits
and runs of anything else. The pattern needs Unicode's letters (L*) and numbers (N*), which ``re`` cannot name, so it is
matched against a shadow of the text in which every non-ASCII character is replaced by an ASCII one of its class.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

START: Final = "<|startoftext|>"
END: Final = "<|endoftext|>"

_SPECIAL = re.compile(r"(<\|startoftext\|>|<\|endoftext\|>)")
_WORD = re.compile(
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[a-z]+|[0-9]|[^\sa-z0-9]+", re.IGNORECASE | re.ASCII
)
_IDEOGRAPHS = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)


class _CleanTable(dict[int, str | None]):
    """For str.translate: what becomes of a character, worked out when it is met."""

    def __missing__(self, code: int) -> str | None:
        char = chr(code)
        if char in "\t\n\r":
            return " "
        category = unicodedata.category(char)
        if category[0] == "C" or code == 0xFFFD:
            return None
        if category == "Zs":
            return " "
        if code >= 0x3400 and any(low <= code <= high for low, high in _IDEOGRAPHS):
            return f" {char} "
        return char


class _ShadowTable(dict[int, str]):
    """For str.translate: an ASCII character of the same class that occurs in no contraction and no special token."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        if code < 0x80:
            return char
        if code == 0x17F:
            return "s"  # long s: the pattern ignores case, and its case folds to s
        if code == 0x345:
            return " "  # iota subscript: its case folds to a letter, so that neither class of the pattern takes it
        if char.isalpha():
            return "z"
        if char.isnumeric():
            return "0"
        return " " if char.isspace() else "!"


_CLEAN = _CleanTable()
_SHADOW = _ShadowTable()


def clean(text: str, *, lowercase: bool = True) -> str:
    """``text`` without control characters, in NFC, lower-cased, its words parted by single spaces."""
    words = unicodedata.normalize("NFC", text.translate(_CLEAN)).split()
    return " ".join([word.lower() for word in words] if lowercase else words)


def split_words(text: str, *, lowercase: bool = True) -> list[str]:
    """The pieces of ``text`` that are encoded one by one; START and END are pieces of their own. Never raises."""
    words: list[str] = []
    for number, part in enumerate(_SPECIAL.split(text)):
        if number % 2:
            words.append(part)
            continue
        part = clean(part, lowercase=lowercase)
        if part.isascii():
            words += _WORD.findall(part)
        else:
            words += [part[m.start() : m.end()] for m in _WORD.finditer(part.translate(_SHADOW))]
    return words
