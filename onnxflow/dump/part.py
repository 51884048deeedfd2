"""One file of a dump, made when it is asked for: one that cannot be made leaves the others as they are."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from onnxflow.nodes.png import encode

_LINE: Final = 110  # letters


@dataclass(frozen=True, slots=True)
class Part:
    """``ending`` follows the name of what is dumped, ``make`` gives the file's bytes."""

    ending: str
    make: Callable[[], bytes]


def text_part(text: str, ending: str = ".txt") -> Part:
    """A text in UTF-8; what no UTF-8 is (half a pair of surrogates) is written as an escape."""
    return Part(ending, lambda: text.encode("utf-8", errors="backslashreplace"))


def json_part(document: Mapping[str, Any], ending: str = ".json") -> Part:
    """A JSON object that people can read: what is short stands on one line. ValueError for NaN in it."""
    return text_part(_indented(document, "") + "\n", ending)


def _indented(value: Any, margin: str) -> str:
    """JSON over several lines; rows of numbers, and what fits, on one."""
    line = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if not isinstance(value, (dict, list)) or len(margin) + len(line) <= _LINE:
        return line
    inner = margin + "  "
    if isinstance(value, dict):
        items = [f"{json.dumps(key, ensure_ascii=False)}: {_indented(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(inner + item for item in items) + f"\n{margin}}}"
    if all(isinstance(item, (int, float)) for item in value):
        return line
    return "[\n" + ",\n".join(inner + _indented(item, inner) for item in value) + f"\n{margin}]"


def npz_part(arrays: Mapping[str, NDArray[Any]]) -> Part:
    """Arrays with all their digits, for numpy.load."""
    return Part(".npz", partial(_npz, arrays))


def png(pixels: NDArray[np.uint8]) -> bytes:
    """A picture [height, width, 1|3|4] as a file."""
    return encode(pixels, {}, 4)


def _npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy's hints take a name for allow_pickle
    return file.getvalue()
