"""A JSON object that knows its place in the document, so that an error can say which entry is wrong."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeGuard, TypeVar

from onnxflow.errors import ModelError, did_you_mean, shown

MOST: Final = 1_000_000
"""The largest size, count or id that any model comes near; a larger one is damage, and would only exhaust memory."""

_T = TypeVar("_T")
_KINDS = {bool: "true or false", int: "a whole number", str: "a text"}
_AGAIN = "export the model again"


class JsonObject:
    """The entries of one object; every method raises ModelError naming the entry that is missing or wrong.

    ``subject`` is what messages call the document, ``hint`` what they advise.
    """

    def __init__(
        self, document: Any, where: str, path: str = "", *, subject: str = "the manifest", hint: str = _AGAIN
    ) -> None:
        if not isinstance(document, dict):
            entry = f"'s {path}" if path else ""
            raise ModelError(f"{subject}{entry} is {shown(document)}, expected an object", where=where, hint=hint)
        self._document = document
        self._where = where
        self._path = path
        self._subject = subject
        self._hint = hint

    def has(self, key: str) -> bool:
        """Whether there is an entry ``key``."""
        return key in self._document

    def value(self, key: str, kind: type[_T]) -> _T:
        """The entry ``key``, which has exactly the JSON type ``kind``."""
        found = self._document.get(key)
        if type(found) is not kind:
            raise self._wrong(key, _KINDS[kind])
        return found

    def text(self, key: str) -> str:
        """A text that can be printed on one line."""
        found = self.value(key, str)
        if not found.isprintable():
            raise self._wrong(key, "a text without control characters")
        return found

    def choice(self, key: str, known: Collection[str]) -> str:
        """One of the ``known`` names."""
        found = self.value(key, str)
        if found not in known:
            raise ModelError(
                f"{self._subject}'s {self._at(key)} is {shown(found)}, this version knows {', '.join(known)}",
                where=self._where,
                hint=f"update onnxflow, or {self._hint}; {did_you_mean(found, known)}",
            )
        return found

    def whole(self, key: str, least: int = 1, most: int = MOST) -> int:
        """A whole number from ``least`` to ``most``."""
        found = self.value(key, int)
        if not least <= found <= most:
            raise self._wrong(key, f"a whole number from {least:,} to {most:,}")
        return found

    def number(self, key: str, least: float, most: float) -> float:
        """A number from ``least`` to ``most``."""
        found = self._document.get(key)
        if not isinstance(found, (int, float)) or type(found) is bool or not least <= found <= most:
            raise self._wrong(key, f"a number from {least:g} to {most:g}")
        return float(found)

    def numbers(self, key: str, count: int, most: float) -> tuple[float, ...]:
        """The list ``key`` of ``count`` numbers from -``most`` to ``most``."""
        found = self._document.get(key)
        if not _are_numbers(found, count, most):
            raise self._wrong(key, f"a list of {count} numbers from {-most:g} to {most:g}")
        return tuple(map(float, found))

    def rows(self, key: str, rows: int, columns: int, most: float) -> tuple[tuple[float, ...], ...]:
        """The list ``key`` of ``rows`` lists, each of ``columns`` numbers from -``most`` to ``most``."""
        found = self._document.get(key)
        if type(found) is not list or len(found) != rows or not all(_are_numbers(row, columns, most) for row in found):
            raise self._wrong(key, f"{rows} lists of {columns} numbers from {-most:g} to {most:g}")
        return tuple(tuple(map(float, row)) for row in found)

    def section(self, key: str) -> JsonObject:
        """The object ``key``."""
        found = self._document.get(key)
        return JsonObject(found, self._where, self._at(key), subject=self._subject, hint=self._hint)

    def mapping(self, key: str, read: Callable[[JsonObject], _T], least: int = 0) -> Mapping[str, _T]:
        """The object ``key``, whose entries, ``least`` or more, are objects that ``read`` understands, by name."""
        section = self.section(key)
        if len(section._document) < least:
            raise self._wrong(key, f"an object with at least {least} of them")
        return MappingProxyType({name: read(section.section(name)) for name in section._document})

    def shapes(self, key: str) -> Mapping[str, tuple[str | int, ...]]:
        """The object ``key`` of arrays' shapes by name: lists of sizes (whole numbers) and names of free dimensions."""
        section = self.section(key)
        for name, shape in section._document.items():
            if type(shape) is not list or not all(type(d) is str or (type(d) is int and 0 < d <= MOST) for d in shape):
                raise section._wrong(name, f"a list of names and of sizes from 1 to {MOST:,}")
        return MappingProxyType({name: tuple(shape) for name, shape in section._document.items()})

    def _at(self, key: str) -> str:
        short = key if len(key) <= 60 else f"{key[:57]}..."
        return f"{self._path}.{short}" if self._path else short

    def _wrong(self, key: str, expected: str) -> ModelError:
        found = self._document.get(key)
        return ModelError(
            f"{self._subject}'s {self._at(key)} is {shown(found)}, expected {expected}",
            where=self._where,
            hint=self._hint,
        )


def _are_numbers(found: Any, count: int, most: float) -> TypeGuard[list[float]]:
    """Whether it is a list of ``count`` numbers from -``most`` to ``most``; NaN is none."""
    return (
        type(found) is list
        and len(found) == count
        and all(type(number) in (int, float) and -most <= number <= most for number in found)
    )
