"""Regular expressions: Python's results, within a time limit."""

from __future__ import annotations

import re
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxflow.errors import Cancelled, InputError
from onnxflow.text import regex, regex_work
from onnxflow.text.regex import search, steps
from onnxflow.text.regex_work import Refused, Work, carry_out

CATASTROPHE = Work("match", "(a+)+$", "a" * 60 + "b", 0)


def nothing() -> None:
    """Nobody stops the run."""


PIECES = st.lists(
    st.sampled_from(
        ["a", "b", ".", "x?", "a*", "b+?", "(a)", "(b|)", "|", "^", "$", r"\b", "(?=a)", "[ab]", "\n", " "]
    ),
    max_size=5,
).map("".join)
TEXTS = st.text("ab \n", max_size=12)


@given(
    PIECES,
    TEXTS,
    st.sampled_from([0, re.I, re.M | re.S]),
    st.sampled_from([r"-\g<0>-", "", "x", r"\\"]),
    st.integers(0, 3),
)
@settings(max_examples=300, deadline=None)
def test_results_are_pythons(pattern: str, text: str, flags: int, replacement: str, count: int) -> None:
    work = Work("match", pattern, text, int(flags), replacement=replacement, count=count)
    assert carry_out(work) is (re.search(pattern, text, flags) is not None)
    assert carry_out(replace(work, mode="replace")) == re.sub(pattern, replacement, text, count=count, flags=flags)
    match = re.search(pattern, text, flags)
    assert carry_out(replace(work, mode="first")) == (match[0] if match else "")
    all_ = [found[0] if isinstance(found, tuple) else found for found in re.findall(pattern, text, flags)]
    assert carry_out(replace(work, mode="all")) == "\n".join(all_)
    groups = [m[1] or "" for m in re.finditer(pattern, text, flags) if m.groups()]
    assert carry_out(replace(work, mode="all groups", group=1)) == "\n".join(groups)
    first = match[1] or "" if match and match.groups() else ""
    assert carry_out(replace(work, mode="first group", group=1)) == first


@pytest.mark.parametrize("mode", ["match", "first", "all", "first group", "all groups", "replace"])
def test_a_child_says_the_same(mode: str) -> None:
    work = Work(mode, r"(é+)(\d)", "1é2 日é3\ud800", int(re.I), group=2, replacement=r"<\2\\>")
    assert steps(work) == float("inf")
    assert search(work, nothing) == carry_out(work)
    with pytest.raises(Refused, match="unbalanced parenthesis") as caught:
        search(replace(work, pattern="(a+))"), nothing)
    assert caught.value.kind == "pattern"


@pytest.mark.parametrize(
    ("pattern", "text", "at_once"),
    [
        ("cat", "a" * 10**6, True),
        (r"\d+", "a" * 1000, True),
        ("red|green|blue", "a" * 10**5, True),
        ("(red|blue) (cat|dog)", "a" * 1000, True),
        (".*, .*, .*", "a" * 1000, False),
        ("(a+)+$", "a", False),
        ("(?x)(a+) +$", "a", False),
        ("(a|a)*$", "a", False),
        ("a{2}{3}", "a", False),
        ("a?" * 30 + "a" * 30, "a" * 30, False),
        ("(a|a)" * 30 + "b", "a" * 30, False),
        ("a*" * 70, "", False),
        ("|" * 2000, "", False),
        ("a" * 10**6, "", False),
    ],
)
def test_what_is_done_at_once(pattern: str, text: str, at_once: bool) -> None:
    assert (steps(Work("match", pattern, text, 0)) <= regex._AT_ONCE) is at_once


@given(st.text("ab.*+?|$^ ", max_size=8))
@settings(max_examples=200, deadline=1000)
def test_what_is_done_at_once_is_quick(pattern: str) -> None:
    for length in (10, 100, 1000):
        work = Work("match", pattern, "a" * length, 0)
        if steps(work) <= regex._AT_ONCE:
            try:
                carry_out(work)
            except Refused:
                return


def test_a_catastrophe_ends_with_an_error() -> None:
    started = time.monotonic()
    with pytest.raises(InputError) as caught:
        search(CATASTROPHE, nothing, 0.5)
    assert time.monotonic() - started < 5
    assert "'(a+)+$' was not done after 0.5 s with a text of 61 characters" in caught.value.message
    assert "repetition inside a repetition" in caught.value.hint


def test_a_stopped_run_stops_it() -> None:
    stopped = threading.Event()

    def check() -> None:
        if stopped.is_set():
            raise Cancelled

    threading.Timer(0.3, stopped.set).start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        search(CATASTROPHE, check, 30)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(a", r"missing \), unterminated subpattern at position 0"),
        ("a**", "multiple repeat at position 2"),
        ("a{99999999999999999999}", "repetition number is too large"),
        ("(" * 5000 + ")" * 5000, "nested too deeply"),
        ("(?L)a", "cannot use 'L' flag"),
        ("[z-a]", "bad character range z-a at position 1"),
    ],
)
def test_invalid_patterns(pattern: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason) as caught:
        carry_out(Work("match", pattern, "a", 0))
    assert caught.value.kind == "pattern"


@pytest.mark.parametrize(
    ("replacement", "reason"),
    [(r"\1", "invalid group reference 1 at position 1"), ("\\", "bad escape"), (r"\g<x>", "unknown group name 'x'")],
)
@pytest.mark.parametrize("text", ["a", "nothing is found here"])
def test_invalid_replacements(replacement: str, reason: str, text: str) -> None:
    with pytest.raises(Refused, match=reason) as caught:
        carry_out(Work("replace", "^a$", text, 0, replacement=replacement))
    assert caught.value.kind == "replacement"


def test_results_have_a_limit() -> None:
    for work in (
        Work("all", "(?=(.*))", "a" * 1000, 0, most=1000),
        Work("all groups", "(?=(.*))", "a" * 1000, 0, group=1, most=1000),
        Work("replace", "", "a" * 100, 0, replacement="b" * 100, most=1000),
    ):
        with pytest.raises(Refused, match="more than 1,000 characters") as caught:
            carry_out(work)
        assert caught.value.kind == "size"


def test_warnings_of_python_are_not_passed_on(recwarn: pytest.WarningsRecorder) -> None:
    carry_out(Work("match", "[[a]", "a", 0))
    assert not recwarn.list


def test_a_program_that_does_not_start_or_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regex.sys, "executable", "/nowhere/python")
    with pytest.raises(InputError, match="does not start"):
        search(CATASTROPHE, nothing)
    monkeypatch.undo()
    monkeypatch.setattr(regex, "_PROGRAM", "/nowhere/regex_work.py")
    with pytest.raises(InputError, match="ended with exit code 2"):
        search(CATASTROPHE, nothing)


def test_what_fails_while_waiting_leaves_no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    children = []
    popen = regex.subprocess.Popen

    def start(*args: object, **options: object) -> object:
        children.append(popen(*args, **options))  # type: ignore[call-overload]
        return children[-1]

    calls = []

    def fail() -> None:
        calls.append(1)
        if len(calls) > 1:
            stop()

    def stop() -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(regex.subprocess, "Popen", start)
    with pytest.raises(KeyboardInterrupt):
        search(CATASTROPHE, fail)
    assert [child.poll() is not None for child in children] == [True]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not hold a program to its memory")
def test_memory_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "little_memory.py"
    source = Path(regex_work.__file__).read_text(encoding="utf-8")
    program.write_text(source.replace("MEMORY = 2**32", "MEMORY = 2**27"), encoding="utf-8")
    monkeypatch.setattr(regex, "_PROGRAM", program)
    with pytest.raises(InputError, match="ended with exit code 1") as caught:
        search(Work("match", "(?:(a)|b)*c", "ab" * 2_000_000, 0), nothing)
    assert "too much memory" in caught.value.hint
