"""Cutting A1111's parameters: prompts of many lines, quoted values, brackets, what comes after."""

from __future__ import annotations

import time

import pytest

from onnxflow.errors import WorkflowError
from onnxflow.workflow.a1111_text import split_pairs, split_parameters

LINE = "Steps: 20, Sampler: Euler, Seed: 1"
PAIRS = (("Steps", "20"), ("Sampler", "Euler"), ("Seed", "1"))


@pytest.mark.parametrize(
    ("text", "prompt", "negative"),
    [
        (f"a\nb\nNegative prompt: c\nd\n{LINE}", "a\nb", "c\nd"),
        (f"a\r\nNegative prompt: c\r\n{LINE}\r\n", "a", "c"),
        (f"a\n{LINE}", "a", ""),
        (LINE, "", ""),
        (f"Negative prompt: c\n{LINE}", "", "c"),
        (f"Negative prompt:\n{LINE}", "", ""),
        (f"a\n\nb\n\n{LINE}\0", "a\n\nb", ""),
        (f"Steps: 9 of them\nb\n{LINE}", "Steps: 9 of them\nb", ""),
        (f"a\nSize: 8x8, {LINE}", "a", ""),
    ],
)
def test_prompts(text: str, prompt: str, negative: str) -> None:
    found = split_parameters(text, "a")
    assert (found.prompt, found.negative) == (prompt, negative)
    assert found.pairs[-3:] == PAIRS and found.strays == ()


def test_lines_below_are_kept_apart() -> None:
    found = split_parameters(f"a\n{LINE}\nTemplate: x, y\n\nNegative Template: z", "a")
    assert found.pairs == PAIRS and found.strays == ("Template: x, y", "Negative Template: z")


@pytest.mark.parametrize(
    ("line", "pairs", "strays"),
    [
        ('A: "x, y: z", B: 1', [("A", "x, y: z"), ("B", "1")], []),
        (r'A: "x \"q\", \n", B: 1', [("A", 'x "q", \n'), ("B", "1")], []),
        (r'A: "\q, r", B: 1', [("A", r"\q, r"), ("B", "1")], []),
        ('A: "x" y, B: 1', [("A", '"x" y'), ("B", "1")], []),
        ('A: "x, B: 1', [("A", '"x'), ("B", "1")], []),
        ('A: {"k": [1, 2]}, B: 1', [("A", '{"k": [1, 2]}'), ("B", "1")], []),
        ("A: [1, B: 1", [("A", "[1"), ("B", "1")], []),
        ('A: {"k": 1}}}, B: 1', [("A", '{"k": 1}}}'), ("B", "1")], []),
        ("A: x: y, B:1", [("A", "x: y"), ("B", "1")], []),
        ("A: , B", [("A", "")], ["B"]),
        ("Tiling, A: 1,, ,", [("A", "1")], ["Tiling"]),
        ("", [], []),
        (":", [("", "")], []),
    ],
)
def test_pairs(line: str, pairs: list[tuple[str, str]], strays: list[str]) -> None:
    assert split_pairs(line) == (pairs, strays)


@pytest.mark.parametrize("text", ["", "cat", "Steps: 20, Seed: 1", "a: 1, b: 2, c: 3", "Steps:\na: 1, b: 2, c: 3"])
def test_texts_that_are_none(text: str) -> None:
    with pytest.raises(WorkflowError, match="no generation parameters") as caught:
        split_parameters(text, "a.png")
    assert caught.value.where == "a.png" and caught.value.code == "no_prompt" and "Sampler" in caught.value.hint


@pytest.mark.parametrize(
    "piece", ["a: 1, ", "a, ", 'a: "', "a: [", 'a: "\\", ', 'a:{"k":1,', "a: [1,[", ":" * 9, "<lora:"]
)
def test_hostile_texts_end_soon(piece: str) -> None:
    line = f"Steps: 1, a: 2, b: 3, {piece * (250_000 // len(piece))}"
    started = time.process_time()
    try:
        split_parameters(line, "a")
    except WorkflowError as error:
        assert "more than 1,000 parameters" in error.message
    assert time.process_time() - started < 5


def test_a_text_that_is_too_long_is_refused() -> None:
    with pytest.raises(WorkflowError, match="longer than 262,144"):
        split_parameters("a" * 2**18 + "\n" + LINE, "a")
