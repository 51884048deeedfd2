"""The vocabulary that all Stable Diffusion models share: CLIP's, from the merges that come with the package.

Checkpoints in one file bring no tokenizer: whoever reads them uses this one.
"""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path

from onnxflow.text.tokenizer import Tokenizer, byte_symbols
from onnxflow.text.words import END, START

_FILE = Path(__file__).resolve().parent.parent / "assets" / "clip" / "merges.txt.gz"


@cache
def clip_merges() -> tuple[str, ...]:
    """The 48,894 merges, each two symbols with a space between, most important first."""
    with gzip.open(_FILE, "rt", encoding="utf-8", newline="\n") as file:
        return tuple(file.read().splitlines())


def clip_vocabulary() -> dict[str, int]:
    """Ids by symbol: the bytes (printable ones first), the bytes that end a word, what each merge makes, start and end
    of text; 49,408 in all."""
    symbols = byte_symbols()
    letters = sorted(symbols, key=lambda symbol: (ord(symbol) >= 256, ord(symbol)))
    joined = [merge.replace(" ", "") for merge in clip_merges()]
    return {
        symbol: index
        for index, symbol in enumerate([*letters, *[f"{letter}</w>" for letter in letters], *joined, START, END])
    }


@cache
def clip_tokenizer() -> Tokenizer:
    """CLIP's own tokenizer."""
    return Tokenizer(clip_vocabulary(), {merge: rank for rank, merge in enumerate(clip_merges())})
