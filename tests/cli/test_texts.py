"""What PreviewAny shows: on stderr for people, in the events for programs."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fakes import workflow

from onnxflow.cli.texts import MOST_CHARACTERS, MOST_LINES, Texts
from onnxflow.engine.events import Event

GRAPH = workflow(a=("PreviewAny", {}), b=("SaveImage", {})).graph


def printed(*outputs: tuple[str, dict[str, Any]]) -> str:
    texts = Texts(GRAPH)
    for node, output in outputs:
        texts(Event("executed", {"node": node, "output": output}))
    stream = io.StringIO()
    texts.print(stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a cat", "The a (a): a cat\n"),
        ("", "The a (a): \n"),
        ("one\ntwo\n", "The a (a):\n  one\n  two\n"),
        ("\x1b[2J\tx", "The a (a): \\x1b[2J\\tx\n"),
    ],
)
def test_texts(text: str, expected: str) -> None:
    assert printed(("a", {"text": (text,)})) == expected


def test_only_what_is_shown_as_text_and_in_order() -> None:
    found = printed(("b", {"images": [{"filename": "x"}]}), ("a", {"text": ("1",)}), ("a", {"text": ["2", 3]}))
    assert found.splitlines() == ["The a (a): 1", "The a (a): 2", "The a (a): 3"]


@pytest.mark.parametrize("text", ["x" * (MOST_CHARACTERS + 7), "x\n" * (MOST_LINES + 5), "x\n" * 10**6])
def test_long_texts_are_cut_off_and_it_is_said(text: str) -> None:
    found = printed(("a", {"text": (text,)}))
    assert len(found) < MOST_CHARACTERS + 1000
    *lines, last = found.splitlines()
    assert len(lines) <= MOST_LINES + 1
    kept = sum(len(line) - 2 for line in lines[1:]) + (len(lines) - 1 if "\n" in text else 0)
    assert last == f"  ... {len(text) - kept:,} more characters, which --json has"


@pytest.mark.parametrize(("flags", "told"), [((), True), (("--quiet",), False), (("--json",), True)])
def test_a_run_tells(flags: tuple[str, ...], told: bool, tmp_path: Path) -> None:
    document = {
        "1": {"class_type": "StringConcatenate", "inputs": {"string_a": "a", "string_b": "cat", "delimiter": " "}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}, "_meta": {"title": "Look"}},
    }
    (tmp_path / "wf.json").write_text(json.dumps(document))
    done = subprocess.run(
        [sys.executable, "-P", "-m", "onnxflow", "run", "wf.json", *flags],
        cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert ("Look (2): a cat" in done.stderr.splitlines()) is told
    if "--json" in flags:
        events = [json.loads(line) for line in done.stdout.splitlines()]
        assert [e["data"]["output"] for e in events if e["type"] == "executed"] == [{"text": ["a cat"]}]
    else:
        assert done.stdout == ""
