r"""ComfyUI's weight grammar: ``(a)`` times 1.1, ``(a:1.2)`` exactly 1.2, nested, ``\(`` and ``\)`` literal.

A number after the last colon replaces the weight of its group, including what outer groups multiplied; anything that
Python's ``float`` reads counts (negative, exponent, nan). A colon at the very start of a group is text. Brackets that
do not match are text, with two habits of ComfyUI's that old prompts rely on: a ``)`` too many also swallows the next
``(``, and a group that is never closed counts as closed if the text ends in ``)`` (the inner one then stays open).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

EMPHASIS: Final = 1.1
"""What a pair of brackets without a number multiplies by."""

_BRACKET = re.compile(r"\\[()]|[()]")
_ESCAPED = re.compile(r"\\([()])")


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of text and its weight; the escapes are resolved."""

    text: str
    weight: float


@dataclass(frozen=True, slots=True)
class _Bracket:
    """A bracket that is not plain text: its place, and the number of its partner (-1: none)."""

    place: int
    opens: bool
    partner: int


def parse(text: str) -> tuple[Segment, ...]:
    """The segments of ``text`` in order, empty ones left out. Never raises; time and memory grow linearly.

    No recursion: every bracket is visited once, and the characters between two brackets are searched for a weight once.
    """
    brackets = _match(text)
    segments: list[Segment] = []
    outer: list[tuple[int, float]] = []  # for each group around this place: where its text ends, the weight outside
    weight = 1.0
    done = 0  # text before this is dealt with
    end, count = len(text), len(brackets)  # of the range that is being read; shrinks when a group was never closed

    def emit(upto: int) -> None:
        if done < upto:
            segments.append(Segment(_ESCAPED.sub(r"\1", text[done:upto]), weight))

    number = 0
    while number < count:
        bracket = brackets[number]
        if not bracket.opens:
            text_end, outside = outer.pop()
            emit(text_end)
            weight = outside
        elif bracket.partner < 0 or bracket.partner >= count:  # never closed, so this is the last group of the range
            last = brackets[count - 1]
            emit(bracket.place)
            done = bracket.place
            if last.opens or last.place != end - 1:
                break
            count -= 1
            end, weight = _weigh(text, bracket.place + 1, brackets[count - 1].place, last.place, weight)
        else:
            emit(bracket.place)
            close = brackets[bracket.partner]
            text_end, inside = _weigh(text, bracket.place + 1, brackets[bracket.partner - 1].place, close.place, weight)
            outer.append((text_end, weight))
            weight = inside
        done = bracket.place + 1
        number += 1
    emit(end)
    return tuple(segments)


def _match(text: str) -> list[_Bracket]:
    """The brackets of ``text`` that open or close a group, each with its partner; the others are text."""
    places: list[int] = []
    opens: list[bool] = []
    partners: list[int] = []
    waiting: list[int] = []
    surplus = 0  # closing brackets without a partner: each swallows an opening one
    for found in _BRACKET.finditer(text):
        if found.end() - found.start() == 2:
            continue
        opening = found[0] == "("
        if opening and surplus:
            surplus -= 1
            continue
        if not opening and not waiting:
            surplus += 1
            continue
        if opening:
            waiting.append(len(places))
            partners.append(-1)
        else:
            partners[waiting[-1]] = len(places)
            partners.append(waiting.pop())
        places.append(found.start())
        opens.append(opening)
    return [_Bracket(*fields) for fields in zip(places, opens, partners, strict=True)]


def _weigh(text: str, start: int, previous: int, end: int, outside: float) -> tuple[int, float]:
    """Where the text of the group ``text[start:end]`` ends, and its weight; ``previous`` is the last bracket before."""
    # A colon before `previous` would have a bracket between itself and the end, which no number has.
    colon = text.rfind(":", max(previous, start) + 1, end)
    if colon >= 0:
        try:
            return colon, float(text[colon + 1 : end])
        except ValueError:
            pass
    return end, outside * EMPHASIS
