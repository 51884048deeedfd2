"""The ``Key: value`` pairs of A1111's parameters as numbers and sizes, with every problem and what nobody took."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from onnxflow.errors import Problem, shown

_WHOLE: Final = re.compile(r"-?[0-9]{1,20}", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]{1,20}\.?[0-9]{0,30}|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,2})?", re.ASCII)
_A_SIZE: Final = (512, 512)
"""What is reckoned with in place of a size that was a problem."""
_SIZE: Final = re.compile(r"([0-9]{1,6})\s?[x×]\s?([0-9]{1,6})", re.ASCII)


def read_number(text: str) -> float | None:
    """A finite number in decimal digits, None for all else."""
    return float(text) if _NUMBER.fullmatch(text) else None


class Fields:
    """The pairs by key, without case; a key's last value counts. What is read is taken, what is wrong is a problem."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._left = {key.casefold(): (key, value.strip()) for key, value in pairs}
        self.problems: list[Problem] = []

    def __contains__(self, key: str) -> bool:
        """Whether there is such a key that was not taken."""
        return key.casefold() in self._left

    def take(self, *keys: str) -> str | None:
        """The value of the first of ``keys`` that there is and is not empty; all of them are taken."""
        found = [self._left.pop(key.casefold(), ("", ""))[1] for key in keys]
        return next((value for value in found if value), None)

    def left(self) -> list[tuple[str, str]]:
        """The pairs that were not taken, as they were written."""
        return list(self._left.values())

    def whole(self, key: str, low: int, high: int, *, default: int | None = None) -> int:
        """A whole number from ``low`` to ``high``; without a default the key must be there."""
        text = self.take(key)
        if text is None and default is not None:
            return default
        value = int(text) if text is not None and _WHOLE.fullmatch(text) else None
        return int(self._checked(key, text, value, low, high, f"a whole number from {low} to {high}"))

    def number(self, *keys: str, low: float, high: float, default: float | None = None) -> float:
        """A number from ``low`` to ``high``; without a default one of the keys must be there."""
        text = self.take(*keys)
        if text is None and default is not None:
            return default
        value = read_number(text) if text is not None else None
        return self._checked(keys[0], text, value, low, high, f"a number from {low:g} to {high:g}")

    def size(self, *keys: str, default: tuple[int, int] | None = None) -> tuple[int, int]:
        """A width and a height in pixels, up to six digits; without a default one of the keys must be there."""
        text = self.take(*keys)
        if text is None and default is not None:
            return default
        match = _SIZE.fullmatch(text) if text is not None else None
        if match is not None:
            return int(match[1]), int(match[2])
        self._problem(keys[0], text, "a width and a height, as in 512x768")
        return _A_SIZE

    def _checked(
        self, key: str, text: str | None, value: float | None, low: float, high: float, allowed: str
    ) -> float | int:
        if value is not None and low <= value <= high:
            return value
        self._problem(key, text, allowed)
        return low

    def _problem(self, key: str, text: str | None, allowed: str) -> None:
        if text is None:
            problem = Problem("required_input_missing", f"The text has no {key}", hint=f"{key} is {allowed}")
        else:
            hint = "the text does not say what was drawn: write the seed it was drawn with" if text == "-1" else ""
            message = f"{key} is not {allowed}"
            problem = Problem("invalid_input_type", message, shown(text), hint=hint)
        self.problems.append(problem)
