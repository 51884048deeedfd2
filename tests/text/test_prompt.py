"""ComfyUI's weight grammar: its own results, a plain restatement of its rules, and hostile input."""

import contextlib
import math
import re
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from onnxflow.text.prompt import Segment, parse

prompt_like = st.text(st.sampled_from(r"()\:.,-1a ") | st.characters(), max_size=40)


def same(left: float, right: float) -> bool:
    return left == right or (math.isnan(left) and math.isnan(right))


def test_all_prompts_of_comfyui(prompts: list[dict[str, Any]]) -> None:
    assert len(prompts) == 77
    for golden in prompts:
        found = parse(golden["prompt"])
        assert [s.text for s in found] == [text for text, _ in golden["parsed"]], golden["prompt"]
        weights = zip(found, golden["parsed"], strict=True)
        assert all(same(s.weight, weight) for s, (_, weight) in weights), golden["prompt"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(a:1.2)b", [("a", 1.2), ("b", 1.0)]),
        ("((a:1.2))", [("a", 1.2)]),
        ("((a):0.5)", [("a", 0.5 * 1.1)]),
        ("(a:+2)(b:.5)(c:1_0)", [("a", 2.0), ("b", 0.5), ("c", 10.0)]),
        (r"(a:1\)2)", [("a:1)2", 1.1)]),
        (r"(\(:2)", [("(", 2.0)]),
        (r"\\(a)", [(r"\(a)", 1.0)]),
        ("(: :2)", [(": ", 2.0)]),
        (") (a) (b)", [(") (a) (b)", 1.0)]),
        (")((a) b", [(")(", 1.0), ("a", 1.1), (" b", 1.0)]),
        ("((a)", [("(a", 1.1)]),
        ("(x (a:2)", [("x ", 2.0), ("(a", 2.0)]),
        ("x (y (z) w", [("x ", 1.0), ("(y (z) w", 1.0)]),
    ],
)
def test_weights(text: str, expected: list[tuple[str, float]]) -> None:
    assert parse(text) == tuple(Segment(*pair) for pair in expected)


def restated(text: str) -> list[tuple[str, float]]:
    """The grammar once more, as plainly as it can be said: level by level, with recursion."""
    units = re.findall(r"\\[()]|.", text, re.DOTALL)
    return [("".join(unit[-1] for unit in item), weight) for item, weight in _level(units, 1.0)]


def _level(units: list[str], weight: float) -> list[tuple[list[str], float]]:
    items: list[list[str]] = [[]]
    depth = 0
    for unit in units:
        if unit == "(" and depth == 0:
            items.append([])
        depth += (unit == "(") - (unit == ")")
        items[-1].append(unit)
        if unit == ")" and depth == 0:
            items.append([])
    found = []
    for item in items:
        if len(item) >= 2 and item[0] == "(" and item[-1] == ")":
            inside, inner = item[1:-1], weight * 1.1
            if ":" in inside[1:]:
                colon = max(i for i, unit in enumerate(inside) if unit == ":")
                with contextlib.suppress(ValueError):
                    inside, inner = inside[:colon], float("".join(inside[colon + 1 :]))
            found += _level(inside, inner)
        elif item:
            found.append((item, weight))
    return found


@given(prompt_like)
@example("((a:2) b:3) c")
@example("(a (b) (c:2)")
@example("))((a)(b:1)")
def test_the_linear_parser_follows_the_plain_rules(text: str) -> None:
    found, expected = parse(text), restated(text)
    assert [s.text for s in found] == [t for t, _ in expected]
    assert all(same(s.weight, w) for s, (_, w) in zip(found, expected, strict=True))


@given(st.text())
def test_any_text_parses_and_no_letter_is_lost(text: str) -> None:
    found = parse(text)
    assert all(s.text for s in found)
    if not set(text) & set("():\\"):
        assert "".join(s.text for s in found) == text
        assert all(s.weight == 1.0 for s in found)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 100_000 + "a" + ")" * 100_000,
        "(" * 100_000 + "a" + ")" * 50_000,
        "(" * 50_000 + "a" + ")" * 100_000,
        "(" * 100_000,
        ")" * 100_000,
        "(a:" * 50_000 + "1.5" + ")" * 50_000,
        "((a:2)" * 50_000 + ")" * 50_000,
        "(" * 50_000 + ":1.5)" * 50_000,
        "(a" + ":" * 100_000 + ")",
        "(a:" + "1" * 100_000 + ")",
        "(" + "\\(" * 100_000,
    ],
    ids=lambda text: f"{text[:6]}...{text[-4:]}",
)
def test_hostile_nesting_takes_no_time(text: str) -> None:
    started = time.process_time()
    parse(text)
    # It takes 0.05 to 0.4 s; growing with the square of the length it would take minutes.
    assert time.process_time() - started < 5


def test_deep_nesting_multiplies() -> None:
    (segment,) = parse("(" * 10 + "a" + ")" * 10)
    assert segment.weight == pytest.approx(1.1**10)
    assert parse("(" * 100_000 + "a:0.5" + ")" * 100_000) == (Segment("a", 0.5),)
