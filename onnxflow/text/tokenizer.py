"""CLIP's byte-level byte-pair encoding, from a folder's vocab.json and merges.txt.

A word is written as one symbol a byte, the last with ``</w>``; then the pair of neighbours that stands first in
merges.txt is joined wherever it occurs, until no pair of the list is left (Sennrich et al. 2016, "Neural Machine
Translation of Rare Words with Subword Units", algorithm 1, on bytes as in GPT-2).
"""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from onnxflow.errors import ModelError
from onnxflow.text.words import END, START, split_words

SMALLEST_VOCABULARY: Final = 256 + 2
"""One symbol for every byte and the two special tokens; anything smaller is no byte-level vocabulary."""

LARGEST_FILE: Final = 64 * 1024 * 1024
"""No vocabulary and no list of merges has more bytes; a larger file is something else and is not read."""

_WORD_END = "</w>"
_MERGE = re.compile(r"[^ \n]+ [^ \n]+")
_MERGES = re.compile(r"(?:[^ \n]+ [^ \n]+(?:\n|\Z))*+")
_AGAIN = "export the model again, or copy vocab.json and merges.txt from the model's tokenizer folder"


def byte_symbols() -> tuple[str, ...]:
    """The character that stands for each byte: itself where it is printable, else one from U+0100 upwards (GPT-2)."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    shifted = iter(range(256, 512))
    return tuple(chr(byte) if byte in printable else chr(next(shifted)) for byte in range(256))


_SYMBOLS = byte_symbols()


@dataclass(frozen=True, slots=True, eq=False)
class Tokenizer:
    """A vocabulary (symbol -> id) and the rank of each merge, keyed by its two symbols with a space between."""

    vocabulary: Mapping[str, int]
    ranks: Mapping[str, int]
    lowercase: bool = True

    @property
    def start(self) -> int:
        """The id of <|startoftext|>."""
        return self.vocabulary[START]

    @property
    def end(self) -> int:
        """The id of <|endoftext|>, which also stands for a symbol the vocabulary lacks."""
        return self.vocabulary[END]

    @property
    def largest_id(self) -> int:
        """The largest id that ``encode`` may return."""
        return max(self.vocabulary.values())

    def encode(self, text: str) -> list[int]:
        """The token ids of ``text``, without start and end tokens. Any text will do; time grows as n log n.

        ModelError when the merges make a symbol that the vocabulary lacks; a byte that it lacks becomes the end token.
        """
        ids: list[int] = []
        for word in split_words(text, lowercase=self.lowercase):
            if word in (START, END):
                ids.append(self.vocabulary[word])
            else:
                ids += [self._id_of(symbol) for symbol in merge(_spell(word), self.ranks)]
        return ids

    def _id_of(self, symbol: str) -> int:
        found = self.vocabulary.get(symbol)
        if found is not None:
            return found
        if len(symbol.removesuffix(_WORD_END)) > 1:
            raise ModelError(
                f"the tokenizer's merges make {symbol!r}, which its vocabulary does not have: its two files do not"
                " belong together",
                hint=_AGAIN,
            )
        return self.end


def _spell(word: str) -> list[str]:
    symbols = [_SYMBOLS[byte] for byte in word.encode("utf-8")]
    symbols[-1] += _WORD_END
    return symbols


def merge(symbols: list[str], ranks: Mapping[str, int]) -> list[str]:
    """Join neighbours until none of ``ranks`` are left; in each round every occurrence of the pair of lowest rank.

    A heap of pairs and a linked list of symbols keep the time at n log n, so that one word of 100,000 letters is fine.
    """
    count = len(symbols)
    symbols = [*symbols, ""]
    after = list(range(1, count + 2))
    before = list(range(-1, count))
    waiting: list[tuple[int, int]] = []

    def rank_of(left: int) -> int | None:
        return ranks.get(f"{symbols[left]} {symbols[after[left]]}") if after[left] < count else None

    def consider(left: int) -> None:
        rank = rank_of(left)
        if rank is not None:
            heapq.heappush(waiting, (rank, left))

    for place in range(count):
        consider(place)
    while waiting:
        lowest, joined = waiting[0][0], []
        while waiting and waiting[0][0] == lowest:
            left = heapq.heappop(waiting)[1]
            if not symbols[left] or rank_of(left) != lowest:
                continue  # one of the two was joined to another symbol meanwhile
            right = after[left]
            symbols[left] += symbols[right]
            symbols[right] = ""
            after[left] = after[right]
            if after[right] < count:
                before[after[right]] = left
            joined.append(left)
        # New pairs come after the round: a file may rank them before the pair that made them.
        for left in joined:
            consider(left)
            if before[left] >= 0:
                consider(before[left])
    return [symbol for symbol in symbols if symbol]


def read_tokenizer(vocabulary: Path, merges: Path, *, lowercase: bool = True) -> Tokenizer:
    """The tokenizer in two files, vocab.json and merges.txt; ModelError when one is missing or is something else."""
    return _fitting(_read_vocabulary(vocabulary), _read_merges(merges), vocabulary, merges, lowercase)


def tokenizer_of(vocabulary: Any, merges: Sequence[str], path: Path, *, lowercase: bool = True) -> Tokenizer:
    """The tokenizer of a vocabulary and merges that stand in one file, ``path``; ModelError when they are none."""
    ranks = dict(zip(merges, range(len(merges)), strict=True))
    return _fitting(_checked_vocabulary(vocabulary, path), ranks, path, path, lowercase)


def _fitting(
    known: dict[str, int], ranks: dict[str, int], vocabulary: Path, merges: Path, lowercase: bool
) -> Tokenizer:
    if len(ranks) > len(known):
        raise ModelError(
            f"{merges.name} has {len(ranks)} merges for the {len(known)} entries of {vocabulary.name}: they do not"
            " belong together",
            where=str(merges),
            hint=_AGAIN,
        )
    return Tokenizer(MappingProxyType(known), MappingProxyType(ranks), lowercase)


def _read_vocabulary(path: Path) -> dict[str, int]:
    try:
        found: Any = json.loads(_read_text(path))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path.name} of the tokenizer is not JSON: {error}", where=str(path), hint=_AGAIN) from None
    return _checked_vocabulary(found, path)


def _checked_vocabulary(found: Any, path: Path) -> dict[str, int]:
    if not isinstance(found, dict) or not all(type(i) is int and i >= 0 for i in found.values()):
        raise ModelError(
            f"{path.name} of the tokenizer is no vocabulary: expected an object of symbols and their ids (0 or more)",
            where=str(path),
            hint=_AGAIN,
        )
    if len(found) < SMALLEST_VOCABULARY or START not in found or END not in found:
        missing = " and ".join(token for token in (START, END) if token not in found)
        raise ModelError(
            f"{path.name} of the tokenizer has {len(found)} entries{f' and lacks {missing}' if missing else ''}; a CLIP"
            f" vocabulary has at least {SMALLEST_VOCABULARY}, among them {START} and {END}",
            where=str(path),
            hint=_AGAIN,
        )
    if len(set(found.values())) != len(found):
        raise ModelError(f"{path.name} of the tokenizer gives one id to two symbols", where=str(path), hint=_AGAIN)
    return found


def _read_merges(path: Path) -> dict[str, int]:
    text = _read_text(path).replace("\r\n", "\n")
    if text.startswith("#version"):
        text = text.partition("\n")[2]
    lines = text.rstrip("\n").split("\n") if text.strip() else []
    # One pattern over the whole file: a loop over 49,000 lines would take as long as everything else here.
    if not _MERGES.fullmatch("\n".join(lines)):
        number, line = next((n, line) for n, line in enumerate(lines, 1) if not _MERGE.fullmatch(line))
        shown = line if len(line) <= 60 else line[:60] + "..."
        raise ModelError(
            f"merge {number} of {path.name} is {shown!r}; expected two symbols with a space between",
            where=str(path),
            hint=_AGAIN,
        )
    return dict(zip(lines, range(len(lines)), strict=True))


def _read_text(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST_FILE + 1)
        if len(data) > LARGEST_FILE:
            raise ModelError(f"{path.name} has more than {LARGEST_FILE:,} bytes", where=str(path), hint=_AGAIN)
        return data.decode("utf-8")
    except FileNotFoundError:
        raise ModelError(f"the tokenizer lacks {path.name}", where=str(path), hint=_AGAIN) from None
    except UnicodeDecodeError as error:
        raise ModelError(f"{path.name} of the tokenizer is not UTF-8: {error}", where=str(path), hint=_AGAIN) from None
    except OSError as error:
        raise ModelError(
            f"{path.name} of the tokenizer cannot be read: {error.strerror or error}", where=str(path), hint=_AGAIN
        ) from None
