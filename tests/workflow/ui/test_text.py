"""Prompts are written so that the editor sends them as they were."""

from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.workflow.ui.text import chosen, escaped


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a {red|green} car", r"a \{red\|green\} car"),
        ("https://x.y/z", "https:/{}/x.y/z"),
        ("a /* b */ c", "a /{}* b */ c"),
        (r"\} \\|", r"\\} \\\|"),
        ("a | b, 1/2 } \\(c\\)", "a | b, 1/2 } \\(c\\)"),
    ],
)
def test_what_an_editor_would_change_is_written_otherwise(text: str, written: str) -> None:
    assert escaped(text) == written
    assert chosen(written, Random(1)) == text


@given(st.text(st.sampled_from("\\{|}/*a%\n\u2028é"), max_size=30), st.integers(0, 5))
def test_prompts_come_back(text: str, seed: int) -> None:
    odd = re.compile(r"(?<!\\)((?:\\\\)*)\\\{")
    assert chosen(escaped(text), Random(seed)) == odd.sub(r"\1{", text)


@given(st.text(st.sampled_from("/*a\n\u2028"), max_size=30))
def test_comments_are_left_out(text: str) -> None:
    assert chosen(text, Random(0)) == re.sub(r"/\*.*?\*/|//[^\n\r\u2028\u2029]*", "", text, flags=re.DOTALL)


def test_comments_that_nothing_ends_take_no_longer_than_others() -> None:
    text = "/* " * 200_000
    assert chosen(text, Random(0)) == text
    assert chosen(text + "*/x", Random(0)) == "x"


def test_many_backslashes_take_no_longer_than_others() -> None:
    text = "{" + "\\" * 200_000
    assert chosen(escaped(text), Random(0)) == text
