"""How large a node stands in the editor, roughly: by its sockets, its values and the length of its texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from onnxflow.workflow.ui.text import written

_NARROWEST, _WIDEST = 210, 400
_WITH_VALUES: Final = 270
_SIGN: Final = 8
"""Pixels that a sign is wide, rather more than less."""
_ROW, _VALUE, _EDGE, _UNDER_VALUES = 20, 24, 6, 8
_LINE, _SIGNS_IN_LINE, _FEWEST_LINES, _MOST_LINES = 16, 50, 10, 30
_LONG: Final = 80
"""Signs from which on a text is taken for one that is shown in several lines."""


def size_of(
    title: str, inputs: Sequence[str], outputs: Sequence[str], values: Iterable[tuple[str, Any, bool]]
) -> tuple[int, int]:
    """Width and height in pixels, without the title, of a node with sockets of these names and these values: each with
    its name, and whether it is a text of several lines."""
    rows = max(len(inputs), len(outputs))
    longest = max((len(name) for name in inputs), default=0) + max((len(name) for name in outputs), default=0)
    widths = [_NARROWEST, len(title) * _SIGN + 40, longest * _SIGN + 60]
    height = rows * _ROW + _EDGE
    some = False
    for name, value, tall in values:
        some = True
        if isinstance(value, str) and (tall or len(value) > _LONG or "\n" in value):
            widths.append(_WIDEST)
            lines = sum(1 + len(line) // _SIGNS_IN_LINE for line in value[: _SIGNS_IN_LINE * _MOST_LINES].split("\n"))
            height += min(max(lines, _FEWEST_LINES), _MOST_LINES) * _LINE + _EDGE
        else:
            shown = written(value) if isinstance(value, (str, bool, int, float)) else ""
            widths += [_WITH_VALUES, (len(name) + len(shown)) * _SIGN + 60]
            height += _VALUE
    return min(max(widths), _WIDEST), height + (_UNDER_VALUES if some else 0)
