"""A small byte-level BPE in CLIP's file format (vocab.json, merges.txt, `</w>` at the end of a word), trained on
captions.

Byte pair encoding as in Sennrich et al. (2016), section 3.2; the printable stand-ins for bytes as in GPT-2. Any text
can be
encoded, because all 256 bytes are tokens, inside a word and at its end.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

START, END = "<|startoftext|>", "<|endoftext|>"
LENGTH = 77
_WORDS = re.compile(
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|(?:[^\s\w]|_)+", re.IGNORECASE
)
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """Token ids by token text, and merge ranks by pair of tokens."""

    vocabulary: dict[str, int]
    merges: dict[Pair, int]

    @property
    def start(self) -> int:
        """Id of the start of text."""
        return self.vocabulary[START]

    @property
    def end(self) -> int:
        """Id of the end of text, which also fills a short text up."""
        return self.vocabulary[END]

    def encode(self, text: str, length: int = LENGTH) -> list[int]:
        """Exactly `length` ids: start, the text (cut off where it is too long), end, and end again as filling."""
        ids = [self.start]
        for word in _WORDS.findall(text.lower()):
            ids += [self.vocabulary[token] for token in self._split(word)]
        ids = [*ids[: length - 1], self.end]
        return ids + [self.end] * (length - len(ids))

    def save(self, folder: Path) -> None:
        """Write vocab.json and merges.txt."""
        folder.mkdir(parents=True, exist_ok=True)
        vocabulary = json.dumps(self.vocabulary, ensure_ascii=False, indent=0)
        (folder / "vocab.json").write_text(vocabulary + "\n", encoding="utf-8")
        lines = ["#version: 0.2", *(" ".join(pair) for pair in sorted(self.merges, key=self.merges.__getitem__))]
        (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _split(self, word: str) -> list[str]:
        if word in (START, END):
            return [word]
        tokens = _letters(word)
        while len(tokens) > 1:
            pairs = set(pairwise(tokens))
            best = min(pairs, key=lambda pair: self.merges.get(pair, len(self.merges)))
            if best not in self.merges:
                break
            tokens = _merge(tokens, best)
        return tokens


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Learn merges, most frequent first (ties in alphabetical order), until the vocabulary is full or every word is
    one token."""
    words = Counter(word for text in texts for word in _WORDS.findall(text.lower()))
    split = {word: _letters(word) for word in words}
    letters = list(_byte_letters().values())
    names = letters + [letter + "</w>" for letter in letters]
    merges: dict[Pair, int] = {}
    while len(names) + 2 < vocabulary:
        pairs: Counter[Pair] = Counter()
        for word, tokens in split.items():
            for pair in pairwise(tokens):
                pairs[pair] += words[word]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges[best] = len(merges)
        names.append("".join(best))
        split = {word: _merge(tokens, best) for word, tokens in split.items()}
    return Tokenizer({name: index for index, name in enumerate([*names, START, END])}, merges)


def _letters(word: str) -> list[str]:
    table = _byte_letters()
    letters = [table[byte] for byte in word.encode()]
    return [*letters[:-1], letters[-1] + "</w>"]


def _merge(tokens: list[str], pair: Pair) -> list[str]:
    merged: list[str] = []
    position = 0
    while position < len(tokens):
        if tuple(tokens[position : position + 2]) == pair:
            merged.append("".join(pair))
            position += 2
        else:
            merged.append(tokens[position])
            position += 1
    return merged


def _byte_letters() -> dict[int, str]:
    """A printable letter for every byte: itself where it is printable, else one from U+0100 on. Printable ones come
    first."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)]
    table = {byte: chr(byte) for byte in printable}
    for byte in range(256):
        if byte not in table:
            table[byte] = chr(256 + len(table) - len(printable))
    return table
