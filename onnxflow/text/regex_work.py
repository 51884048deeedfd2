"""What a regular expression does to a text, with a bound on how much comes out.

Imports the standard library only: ``onnxflow.text.regex`` also starts this file as a program, which reads a Work as
JSON from stdin and writes ``{"result": ...}`` or ``{"refused": [kind, reason]}`` to stdout.
"""

from __future__ import annotations

import json
import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

MODES = ("match", "first", "all", "first group", "all groups", "replace")

MEMORY = 2**32
"""Bytes that the program may take: the matcher remembers ways that it could also have gone."""


@dataclass(frozen=True, slots=True)
class Work:
    """A pattern, a text, and what is wanted of them: one of MODES.

    ``group`` is the number of the group that is taken, ``replacement`` and ``count`` (0 for no limit) say what to put
    in place of matches; the result has ``most`` characters at most.
    """

    mode: str
    pattern: str
    text: str
    flags: int
    group: int = 0
    replacement: str = ""
    count: int = 0
    most: int = 2**26


class Refused(Exception):
    """The reason why there is no result: ``kind`` is "pattern", "replacement" or "size"."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(kind, reason)
        self.kind = kind
        self.reason = reason


def carry_out(work: Work) -> str | bool:
    """The result: whether the pattern is found for "match", else a text; matches are joined by line ends. Refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about patterns that a later Python may read otherwise
        try:
            pattern = re.compile(work.pattern, work.flags)
        except (re.error, OverflowError, RecursionError, ValueError) as error:
            raise Refused("pattern", _reason(error)) from None
    if work.mode == "match":
        return pattern.search(work.text) is not None
    if work.mode == "replace":
        return _replaced(pattern, work)
    found = pattern.finditer(work.text)
    if work.mode == "first":
        match = next(found, None)
        return match[0] if match else ""
    if work.mode == "all":
        group = 1 if pattern.groups else 0  # as findall, of whose groups the first is taken
        return _joined((match[group] or "" for match in found), work.most)
    # Group 0 is the match itself, but of all matches only if the pattern has groups: ComfyUI looks so.
    if work.group > pattern.groups or (work.mode == "all groups" and not pattern.groups):
        return ""
    if work.mode == "first group":
        match = next(found, None)
        return (match[work.group] or "") if match else ""
    return _joined((match[work.group] or "" for match in found), work.most)


def _replaced(pattern: re.Pattern[str], work: Work) -> str:
    try:
        pattern.sub(work.replacement, "", count=1)  # reads the replacement even where nothing is found
    except (re.error, IndexError, ValueError) as error:
        raise Refused("replacement", _reason(error)) from None

    def pieces() -> Iterator[str]:
        at = 0
        for number, match in enumerate(pattern.finditer(work.text), 1):
            yield work.text[at : match.start()]
            yield match.expand(work.replacement)
            at = match.end()
            if number == work.count:
                break
        yield work.text[at:]

    return _joined(pieces(), work.most, "")


def _joined(pieces: Iterable[str], most: int, between: str = "\n") -> str:
    found: list[str] = []
    length = 0
    for piece in pieces:
        length += len(piece) + len(between)
        if length > most:
            raise Refused("size", f"the result has more than {most:,} characters")
        found.append(piece)
    return between.join(found)


def _reason(error: Exception) -> str:
    """What is wrong, and where if that is known."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return str(error.args[0] if isinstance(error, IndexError) else error)


def main() -> None:
    """Carry out the Work on stdin, with MEMORY at most where the system can see to that."""
    try:
        import resource  # which Windows has not

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    except (ImportError, AttributeError, ValueError, OSError):
        pass
    work = Work(**json.loads(sys.stdin.buffer.read()))
    answer: dict[str, object]
    try:
        answer = {"result": carry_out(work)}
    except Refused as refused:
        answer = {"refused": [refused.kind, refused.reason]}
    sys.stdout.buffer.write(json.dumps(answer).encode())


def to_json(work: Work) -> bytes:
    """``work`` as ``main`` reads it."""
    return json.dumps(asdict(work)).encode()


if __name__ == "__main__":
    main()
