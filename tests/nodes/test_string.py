from typing import Any

import pytest

from onnxflow.errors import InputError
from onnxflow.nodes import string
from onnxflow.nodes.spec import NodeSpec


def call(spec: NodeSpec, **inputs: Any) -> Any:
    return spec.function(**inputs)


@pytest.mark.parametrize(
    ("a", "b", "delimiter", "expected"),
    [("a", "b", "", "ab"), ("a", "b", ", ", "a, b"), ("", "b", ", ", ", b"), ("", "", "-", "-")],
)
def test_concatenate(a: str, b: str, delimiter: str, expected: str) -> None:
    assert call(string.string_concatenate, string_a=a, string_b=b, delimiter=delimiter) == expected


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0, 3, "a c"), (2, 5, "cat"), (-3, 5, "cat"), (0, -1, "a ca"), (3, 2, ""), (0, 99, "a cat"), (-99, 1, "a")],
)
def test_substring(start: int, end: int, expected: str) -> None:
    assert call(string.string_substring, string="a cat", start=start, end=end) == expected


def test_length_counts_code_points() -> None:
    assert call(string.string_length, string="") == 0
    assert call(string.string_length, string="日本é\U0001f600\n") == 5


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("UPPERCASE", "HELLO, BIG WORLD'S STRASSE"),
        ("lowercase", "hello, big world's straße"),
        ("Capitalize", "Hello, big world's straße"),
        ("Title Case", "Hello, Big World'S Straße"),
    ],
)
def test_case(mode: str, expected: str) -> None:
    assert call(string.case_converter, string="hello, BIG world's straße", mode=mode) == expected


@pytest.mark.parametrize(("mode", "expected"), [("Both", "a b"), ("Left", "a b \n"), ("Right", "\t a b")])
def test_trim(mode: str, expected: str) -> None:
    assert call(string.string_trim, string="\t a b \n", mode=mode) == expected


@pytest.mark.parametrize(
    ("find", "replace", "expected"),
    [("cat", "dog", "dog, Cat, dog"), ("x", "y", "cat, Cat, cat"), ("c.t", "", "cat, Cat, cat")],
)
def test_replace(find: str, replace: str, expected: str) -> None:
    assert call(string.string_replace, string="cat, Cat, cat", find=find, replace=replace) == expected


def test_replacing_nothing_is_around_every_character() -> None:
    assert call(string.string_replace, string="ab", find="", replace="-") == "-a-b-"


@pytest.mark.parametrize(
    ("substring", "sensitive", "expected"),
    [("cat", True, False), ("cat", False, True), ("Cat", True, True), ("", True, True), ("catx", False, False)],
)
def test_contains(substring: str, sensitive: bool, expected: bool) -> None:
    assert call(string.string_contains, string="a Cat", substring=substring, case_sensitive=sensitive) is expected


@pytest.mark.parametrize(
    ("mode", "b", "sensitive", "expected"),
    [
        ("Starts With", "A c", True, False),
        ("Starts With", "A c", False, True),
        ("Ends With", "Cat", True, True),
        ("Ends With", "a", True, False),
        ("Equal", "a Cat", True, True),
        ("Equal", "A CAT", True, False),
        ("Equal", "A CAT", False, True),
        ("Equal", "a", False, False),
    ],
)
def test_compare(mode: str, b: str, sensitive: bool, expected: bool) -> None:
    found = call(string.string_compare, string_a="a Cat", string_b=b, mode=mode, case_sensitive=sensitive)
    assert found is expected


def test_a_text_cannot_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(string, "MOST", 10)
    for most in ("12345", "1234"):
        call(string.string_concatenate, string_a=most, string_b="1234", delimiter="-")
    with pytest.raises(InputError, match="11 characters, 10 are allowed"):
        call(string.string_concatenate, string_a="12345", string_b="12345", delimiter="-")
    assert call(string.string_replace, string="aab", find="a", replace="1234") == "12341234b"
    with pytest.raises(InputError, match="13 characters"):
        call(string.string_replace, string="aaab", find="a", replace="1234")
