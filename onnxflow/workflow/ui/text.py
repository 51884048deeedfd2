"""Texts that the editor changes before it sends them: random choices in prompts, names of files with a date or another
node's value in them (contract A6.7)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from random import Random
from typing import Any, Final

_COMMENT: Final = re.compile(r"/\*|//[^\n\r\u2028\u2029]*")
_PIECE: Final = re.compile(r"\\.|[\\{}|]|[^\\{}|]+", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\([{}|])")
_SPECIAL: Final = re.compile(r"(?<!\\)(\\*+)([{}|])")
_BEFORE_COMMENT: Final = re.compile(r"/(?=[/*])")
_PATTERN: Final = re.compile(r"%([^%]+)%")
_DATE: Final = re.compile(r"dd?|MM?|hh?|mm?|ss?|yyy?y?")
_FORBIDDEN: Final = re.compile(r'[/?<>\\:*|"\x00-\x1f\x7f]')
_DATE_KEY: Final = "date:"

PREFIXED: Final = frozenset(
    {
        *("CLIPSave", "LoraSave", "ModelSave", "SaveAnimatedPNG", "SaveAnimatedWEBP", "SaveAudio", "SaveGLB"),
        *("SaveImage", "SaveLatent", "SaveWEBM", "VAESave"),
    }
)
"""The classes whose filename_prefix may have patterns in it."""


_Parts = list[Any]  # texts, and the options that were chosen between them, which are lists of the same kind


def chosen(text: str, random: Random) -> str:
    r"""A prompt without comments, and with one option for each ``{a|b}``, which may hold others; ``\{`` is a brace.

    Linear in the text, however deep choices lie in each other.
    """
    if "{" not in text and "/" not in text and "\\" not in text:
        return text
    opened: list[list[_Parts]] = [[[]]]  # the options so far of every choice that is open
    for match in _PIECE.finditer(_uncommented(text)):
        piece = match[0]
        if piece == "{":
            opened.append([[]])
        elif piece == "}" and len(opened) > 1:
            _end(opened, random)
        elif piece == "|" and len(opened) > 1:
            opened[-1].append([])
        else:
            opened[-1][-1].append(piece)
    while len(opened) > 1:  # one that is never closed ends with the text
        _end(opened, random)
    return _ESCAPED.sub(r"\1", "".join(_texts(opened[0][0])))


def _end(opened: list[list[_Parts]], random: Random) -> None:
    options = opened.pop()
    opened[-1][-1].append(options[random.randrange(len(options))])


def _texts(parts: _Parts) -> Iterator[str]:
    """The texts in ``parts`` and in the lists in it, in order."""
    waiting = [iter(parts)]
    while waiting:
        part = next(waiting[-1], None)
        if part is None:
            waiting.pop()
        elif isinstance(part, str):
            yield part
        else:
            waiting.append(iter(part))


def _uncommented(text: str) -> str:
    """Without ``/* */`` and what follows ``//`` in a line; ``/*`` that nothing ends stays."""
    parts: list[str] = []
    kept = at = 0
    closed = True
    while (found := _COMMENT.search(text, at)) is not None:
        start, end = found.span()
        if found[0] == "/*":
            closing = text.find("*/", end) if closed else -1
            if closing < 0:  # nor does anything end a later one
                closed, at = False, start + 1
                continue
            end = closing + 2
        parts.append(text[kept:start])
        kept = at = end
    return "".join((*parts, text[kept:]))


def escaped(text: str) -> str:
    r"""The prompt that ``chosen`` makes ``text`` of, which is ``text`` itself where nothing in it would be changed.

    Braces and bars get a backslash, and slashes that would begin a comment an empty choice between them: ``/{}/``.
    What cannot be written is an odd number of backslashes before an opening brace: it loses one of them.
    """
    if chosen(text, Random(0)) == text:  # a brace that opens a choice never comes back, whatever is chosen
        return text

    def escape(match: re.Match[str]) -> str:
        before, sign = match.groups()
        return before + sign if sign == "{" and len(before) % 2 else f"{before}\\{sign}"

    return _BEFORE_COMMENT.sub("/{}", _SPECIAL.sub(escape, text))


def replaced(text: str, now: datetime, value_of: Callable[[str, str], Any]) -> str:
    """A prefix with ``%date:FORMAT%`` and ``%NODE.WIDGET%`` replaced; ``value_of`` gives None for what there is not.
    Patterns that are not known stay, such as the server's own %width%."""

    def replace(match: re.Match[str]) -> str:
        parts = match[1].split(".")
        if len(parts) != 2:
            return formatted(match[1][len(_DATE_KEY) :], now) if match[1].startswith(_DATE_KEY) else match[0]
        value = value_of(*parts)
        return match[0] if value is None else _FORBIDDEN.sub("_", written(value))

    return _PATTERN.sub(replace, text)


def formatted(form: str, now: datetime) -> str:
    """A date as the editor writes it: d, M, h, m, s with one or two digits, yy or yyyy."""
    values = {"d": now.day, "M": now.month, "h": now.hour, "m": now.minute, "s": now.second}

    def replace(match: re.Match[str]) -> str:
        token = match[0]
        if token == "yyyy":
            return str(now.year)
        if token == "yy":
            return str(now.year)[2:]
        return str(values[token[0]]).zfill(len(token)) if token[0] in values else token

    return _DATE.sub(replace, form)


def written(value: Any) -> str:
    """A value as a browser writes it into a text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value == value and abs(value) < 1e21 and value == int(value):
        return str(int(value))
    return str(value)
