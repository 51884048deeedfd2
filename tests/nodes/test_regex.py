from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from fakes import disk_at, workflow

from onnxflow.engine.events import Event
from onnxflow.engine.run import run_workflow
from onnxflow.errors import InputError
from onnxflow.nodes import regex
from onnxflow.nodes.catalog import builtin_catalog
from onnxflow.nodes.context import Context
from onnxflow.nodes.spec import NodeSpec
from onnxflow.providers.session import SessionCache
from onnxflow.text.regex import search

TEXT = "Cat 12, dog 7\ncat 3"


class NeverCancelled:
    def check_cancelled(self) -> None:
        """Nobody stops the run."""


def call(spec: NodeSpec, pattern: str, string: str = TEXT, **inputs: Any) -> Any:
    return spec.function(cast(Context, NeverCancelled()), string=string, regex_pattern=pattern, **inputs)


@pytest.mark.parametrize(
    ("pattern", "options", "expected"),
    [
        ("CAT", {}, True),
        ("CAT", {"case_insensitive": False}, False),
        ("^cat 3", {}, False),
        ("^cat 3", {"multiline": True}, True),
        ("7.cat", {}, False),
        ("7.cat", {"dotall": True}, True),
        ("", {}, True),
        ("(", {}, False),
    ],
)
def test_match(pattern: str, options: dict[str, bool], expected: bool) -> None:
    assert call(regex.regex_match, pattern, **options) is expected


@pytest.mark.parametrize(
    ("mode", "pattern", "group", "expected"),
    [
        ("First Match", r"cat \d+", 1, "Cat 12"),
        ("First Match", "horse", 1, ""),
        ("First Match", "(", 1, ""),
        ("All Matches", r"cat \d+", 1, "Cat 12\ncat 3"),
        ("All Matches", r"(\w+) (\d+)", 2, "Cat\ndog\ncat"),
        ("All Matches", "horse", 1, ""),
        ("All Matches", "(", 1, ""),
        ("First Group", r"(\w+) (\d+)", 2, "12"),
        ("First Group", r"(\w+) (\d+)", 3, ""),
        ("First Group", r"(\w+) (\d+)", 0, "Cat 12"),
        ("First Group", "cat", 0, "Cat"),
        ("First Group", "cat|(dog)", 1, ""),
        ("All Groups", r"(\w+) (\d+)", 2, "12\n7\n3"),
        ("All Groups", r"(\w+) (\d+)", 3, ""),
        ("All Groups", "(cat) ", 0, "Cat \ncat "),
        ("All Groups", "cat", 0, ""),
        ("All Groups", "cat|(dog)", 1, "\ndog\n"),
        ("All Groups", "(", 1, ""),
    ],
)
def test_extract(mode: str, pattern: str, group: int, expected: str) -> None:
    assert call(regex.regex_extract, pattern, mode=mode, group_index=group) == expected


@pytest.mark.parametrize(
    ("pattern", "replace", "options", "expected"),
    [
        (r"\d+", "n", {}, "Cat n, dog n\ncat n"),
        (r"(\w+) (\d+)", r"\2 \1s", {"count": 2}, "12 Cats, 7 dogs\ncat 3"),
        (r"(?P<what>CAT)", r"<\g<what>>", {}, "<Cat> 12, dog 7\n<cat> 3"),
        ("cat", "x", {"case_insensitive": False}, "Cat 12, dog 7\nx 3"),
        ("horse", "x", {}, TEXT),
    ],
)
def test_replace(pattern: str, replace: str, options: dict[str, Any], expected: str) -> None:
    assert call(regex.regex_replace, pattern, replace=replace, **options) == expected


def test_inputs_that_a_workflow_may_leave_out(tmp_path: Path) -> None:
    inputs = {"string": "A cat", "regex_pattern": "a", "replace": "the"}
    graph = workflow(r=("RegexReplace", inputs), s=("PreviewAny", {"source": ("r", 0)}))
    events: list[Event] = []
    run_workflow(graph, builtin_catalog(), disk_at(tmp_path), SessionCache(), listeners=[events.append])
    assert [e.data["output"] for e in events if e.type == "executed"] == [{"text": ["the cthet"]}]


def test_replace_says_what_is_invalid() -> None:
    with pytest.raises(InputError, match=r"regex_pattern 'a \(b' is invalid: .* at position 2") as caught:
        call(regex.regex_replace, "a (b", replace="")
    assert "Python's re" in caught.value.hint
    with pytest.raises(InputError, match=r"replace .* is invalid: invalid group reference 2 at position 1") as caught:
        call(regex.regex_replace, "(cat)", replace=r"\2")
    assert r"\g<name>" in caught.value.hint


@pytest.mark.parametrize(
    ("spec", "options"),
    [(regex.regex_extract, {"mode": "All Matches"}), (regex.regex_replace, {"replace": r"\1\1\1\1"})],
)
def test_a_result_that_is_too_long(spec: NodeSpec, options: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regex, "MOST", 1000)
    with pytest.raises(InputError, match="more than 1,000 characters"):
        call(spec, "(?=(.*))", string="a" * 300, **options)


def test_a_catastrophic_pattern_is_an_error_in_every_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regex, "search", lambda work, check: search(work, check, 0.3))
    for spec, options in (
        (regex.regex_match, {}),
        (regex.regex_extract, {"mode": "First Match"}),
        (regex.regex_replace, {"replace": ""}),
    ):
        with pytest.raises(InputError, match=r"was not done after 0\.3 s"):
            call(spec, "(a|a)*$", string="a" * 60 + "b", **options)
