"""The text ``parameters`` of A1111, Forge and SD.Next, cut into prompts and ``Key: value`` pairs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

from onnxflow.errors import WorkflowError, shown

_LONGEST: Final = 2**18
_MOST_PAIRS: Final = 1000
_FEWEST_PAIRS: Final = 3
_STEPS: Final = re.compile(r"[ \t]*Steps:[ \t]*[^,\s]")
_NEGATIVE: Final = "Negative prompt:"
_QUOTED: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"')
_JSON: Final = json.JSONDecoder(strict=False)


@dataclass(frozen=True, slots=True)
class Parameters:
    """The prompts, the pairs in their order, and what else there was: pieces without a key, lines after the pairs."""

    prompt: str
    negative: str
    pairs: tuple[tuple[str, str], ...]
    strays: tuple[str, ...] = ()


def split_parameters(text: str, where: str) -> Parameters:
    """The parts of a text: prompt lines, lines from ``Negative prompt:`` on, and the line of pairs, which begins with
    ``Steps:`` or is the last one. WorkflowError if there is no such line, or more text than any picture needs.
    """
    if len(text) > _LONGEST:
        raise _refusal(f"this text is longer than {_LONGEST:,} characters, no generation parameters", where)
    lines = text.strip("\0 \t\r\n").replace("\r\n", "\n").split("\n")
    last = next((at for at in range(len(lines) - 1, -1, -1) if _STEPS.match(lines[at])), len(lines) - 1)
    pairs, strays = split_pairs(lines[last])
    if len(pairs) < _FEWEST_PAIRS or not any(key == "Steps" for key, _ in pairs):
        raise _refusal(f"this text has no generation parameters as A1111 writes them: {shown(text, 80)}", where)
    if len(pairs) + len(strays) > _MOST_PAIRS:
        raise _refusal(f"this text has more than {_MOST_PAIRS:,} parameters", where)
    negative = next((at for at in range(last) if lines[at].lstrip().startswith(_NEGATIVE)), last)
    below = [lines[negative].lstrip()[len(_NEGATIVE) :], *lines[negative + 1 : last]] if negative < last else []
    return Parameters(
        _joined(lines[:negative]),
        _joined(below),
        tuple(pairs),
        (*strays, *(line.strip() for line in lines[last + 1 :] if line.strip())),
    )


def split_pairs(line: str) -> tuple[list[tuple[str, str]], list[str]]:
    """The pairs of a line, and its pieces without a colon; values in quotes or brackets may hold commas.

    At most one pair more than a text may have is looked for.
    """
    pairs: list[tuple[str, str]] = []
    strays: list[str] = []
    at, colon = 0, -1
    while at < len(line) and len(pairs) + len(strays) <= _MOST_PAIRS:
        if colon < at:
            colon = line.find(":", at)
            colon = colon if colon >= 0 else len(line)
        comma = _comma(line, at)
        if comma <= colon:
            if line[at:comma].strip():
                strays.append(line[at:comma].strip())
            at = comma + 1
            continue
        value, end = _value(line, colon + 1)
        pairs.append((line[at:colon].strip(), value))
        at = end + 1
    return pairs, strays


def _value(line: str, at: int) -> tuple[str, int]:
    """The value that begins at ``at``, and where the comma behind it is, or the line's end."""
    while at < len(line) and line[at] == " ":
        at += 1
    end = at
    if line[at : at + 1] == '"' and (quoted := _QUOTED.match(line, at)):
        end = quoted.end()
    elif line[at : at + 1] in ("{", "["):
        try:
            _, end = _JSON.raw_decode(line, at)
        except (ValueError, RecursionError):
            end = at
    comma = _comma(line, end)
    if end == at or line[end:comma].strip():
        comma = _comma(line, at)
        return line[at:comma].strip(), comma
    return _unquoted(line[at:end]), comma


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    try:
        return str(_JSON.decode(value))
    except (ValueError, RecursionError):
        return value[1:-1]


def _comma(line: str, at: int) -> int:
    found = line.find(",", at)
    return found if found >= 0 else len(line)


def _joined(lines: list[str]) -> str:
    return "\n".join(line.strip() for line in lines).strip()


def _refusal(message: str, where: str) -> WorkflowError:
    hint = "it ends with a line such as: Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512, Model: name"
    return WorkflowError(message, where=where, hint=hint, code="no_prompt")
