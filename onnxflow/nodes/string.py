"""Nodes that work on texts: StringConcatenate, StringSubstring, StringLength, CaseConverter, StringTrim, StringReplace,
StringContains, StringCompare."""

from __future__ import annotations

from typing import Annotated, Final

from onnxflow.errors import InputError
from onnxflow.nodes.spec import node
from onnxflow.nodes.widgets import Boolean, Combo, Int, String

Text = Annotated[str, String(multiline=True)]
Line = Annotated[str, String(multiline=False)]
Position = Annotated[int, Int(min=None, max=None)]
Sensitive = Annotated[bool, Boolean()]

MOST: Final = 2**26
"""The most characters of a result: a few nodes in a row, each doubling its text, would fill any memory."""


@node("StringConcatenate", category="utils/string", display_name="Concatenate")
def string_concatenate(string_a: Text, string_b: Text, delimiter: Line = "") -> str:
    """Both texts with the delimiter between them, whether or not one is empty; InputError beyond MOST characters."""
    _bounded(len(string_a) + len(delimiter) + len(string_b))
    return string_a + delimiter + string_b


@node("StringSubstring", category="utils/string", display_name="Substring")
def string_substring(string: Text, start: Position, end: Position) -> str:
    """The characters from ``start`` up to but not including ``end``; numbers below 0 count from the end."""
    return string[start:end]


@node("StringLength", category="utils/string", display_name="Length", output_names=("length",))
def string_length(string: Text) -> int:
    """How many characters (Unicode code points) the text has."""
    return len(string)


@node("CaseConverter", category="utils/string", display_name="Case Converter")
def case_converter(
    string: Text, mode: Annotated[str, Combo(("UPPERCASE", "lowercase", "Capitalize", "Title Case"))]
) -> str:
    """The text in another case: Capitalize makes the first letter large and all others small."""
    if mode == "UPPERCASE":
        return string.upper()
    if mode == "lowercase":
        return string.lower()
    return string.capitalize() if mode == "Capitalize" else string.title()


@node("StringTrim", category="utils/string", display_name="Trim")
def string_trim(string: Text, mode: Annotated[str, Combo(("Both", "Left", "Right"))]) -> str:
    """The text without white space at its ends."""
    if mode == "Left":
        return string.lstrip()
    return string.rstrip() if mode == "Right" else string.strip()


@node("StringReplace", category="utils/string", display_name="Replace")
def string_replace(string: Text, find: Text, replace: Text) -> str:
    """The text with every ``find`` in it replaced; an empty one is found around every character.

    InputError beyond MOST characters.
    """
    _bounded(len(string) + string.count(find) * (len(replace) - len(find)))
    return string.replace(find, replace)


@node("StringContains", category="utils/string", display_name="Contains", output_names=("contains",))
def string_contains(string: Text, substring: Text, case_sensitive: Sensitive = True) -> bool:
    """Whether one text is in the other; both are made lower case first unless ``case_sensitive``."""
    return substring in string if case_sensitive else substring.lower() in string.lower()


@node("StringCompare", category="utils/string", display_name="Compare")
def string_compare(
    *,
    string_a: Text,
    string_b: Text,
    mode: Annotated[str, Combo(("Starts With", "Ends With", "Equal"))],
    case_sensitive: Sensitive = True,
) -> bool:
    """Whether ``string_a`` starts with, ends with or is ``string_b``; lower case first unless ``case_sensitive``."""
    one, other = (string_a, string_b) if case_sensitive else (string_a.lower(), string_b.lower())
    if mode == "Equal":
        return one == other
    return one.startswith(other) if mode == "Starts With" else one.endswith(other)


def _bounded(length: int) -> None:
    """InputError when a result of so many characters is too long."""
    if length > MOST:
        raise InputError(
            f"the text would have {length:,} characters, {MOST:,} are allowed",
            hint="look for nodes in a row that repeat a text, and shorten it",
        )
