"""PreviewAny: any value as a text that people can read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from onnxflow.errors import shown
from onnxflow.nodes.spec import NodeResult, node
from onnxflow.values import HANDLES

LONGEST_JSON: Final = 100_000
"""Characters of JSON beyond which nobody reads it: such a value is described."""

_MEMBERS: Final = 8
_DEPTH: Final = 4


class Anything:
    """A value of any type."""

    SOCKET: ClassVar[str] = "*"


@node("PreviewAny", category="utils", display_name="Preview Any", output_node=True)
def preview_any(source: Anything) -> NodeResult:
    """Shows the value as a text, on the terminal and in the messages of the run."""
    return NodeResult(ui={"text": (text_of(source),)})


def text_of(value: object) -> str:
    """A text as it is, numbers, yes and no as Python writes them, else JSON; what is no JSON, or more than LONGEST_JSON
    characters of it, in words: its kind, the shapes and the ranges of its arrays."""
    if isinstance(value, str):
        return value
    try:
        if value is None or isinstance(value, (bool, int, float)):
            return str(value)
        text = json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return _described(value)
    return text if len(text) <= LONGEST_JSON else _described(value)


def _described(value: object, depth: int = 0) -> str:
    if isinstance(value, (np.ndarray, np.generic)):
        return _array(np.asarray(value))
    if isinstance(value, (list, tuple)) and depth < _DEPTH:
        return f"[{_few([_described(item, depth + 1) for item in value[:_MEMBERS]], len(value))}]"
    if isinstance(value, Mapping) and depth < _DEPTH:
        first = [(key, value[key]) for key, _ in zip(value, range(_MEMBERS), strict=False)]
        return f"{{{_few(_named(first, depth), len(value))}}}"
    if isinstance(value, HANDLES):
        patches = len(getattr(value, "patches", ()))
        return f"{value.SOCKET} of {value.source.root.name}" + (f" with {patches} patch(es)" if patches else "")
    if is_dataclass(value) and not isinstance(value, type) and depth < _DEPTH:
        members = [(field.name, getattr(value, field.name)) for field in fields(value) if field.repr]
        kept = [(name, member) for name, member in members if not _says_nothing(member)]
        return f"{getattr(value, 'SOCKET', type(value).__name__)} ({', '.join(_named(kept, depth))})"
    return shown(value, 200)


def _says_nothing(member: object) -> bool:
    return member is None or (isinstance(member, (tuple, Mapping)) and not member)


def _named(members: Iterable[tuple[Any, Any]], depth: int) -> list[str]:
    return [f"{name}: {_described(member, depth + 1)}" for name, member in members]


def _few(parts: list[str], count: int) -> str:
    more = [f"and {count - len(parts):,} more"] if count > len(parts) else []
    return ", ".join([*parts, *more])


def _array(array: NDArray[Any]) -> str:
    """Type, shape, and the range of its values, which a picture that is all black or has NaN shows by."""
    text = f"{array.dtype} {list(array.shape)}"
    if not array.size or array.dtype.kind not in "fiub":
        return text
    low, high = array.min(), array.max()
    return f"{text} from {low.item():.6g} to {high.item():.6g}"
