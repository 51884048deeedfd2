"""One file of a dump, made when it is asked for: one that cannot be made leaves the others as they are."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnxflow.nodes.png import encode


@dataclass(frozen=True, slots=True)
class Part:
    """``ending`` follows the name of what is dumped, ``make`` gives the file's bytes."""

    ending: str
    make: Callable[[], bytes]


def text_part(text: str, ending: str = ".txt") -> Part:
    """A text in UTF-8; what no UTF-8 is (half a pair of surrogates) is written as an escape."""
    return Part(ending, lambda: text.encode("utf-8", errors="backslashreplace"))


def json_part(document: Mapping[str, Any], ending: str = ".json") -> Part:
    """A JSON object, indented; it has no NaN in it."""
    return text_part(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n", ending)


def npz_part(arrays: Mapping[str, NDArray[Any]]) -> Part:
    """Arrays with all their digits, for numpy.load."""
    return Part(".npz", partial(_npz, arrays))


def png_part(pixels: NDArray[np.uint8], ending: str = ".png") -> Part:
    """A picture [height, width] or [height, width, 1|3|4]."""
    return Part(ending, partial(encode, pixels if pixels.ndim == 3 else pixels[..., None], {}, 4))


def _npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy's hints take a name for allow_pickle
    return file.getvalue()
