"""One text that a picture carries, as it lies in the file, and how much may be read of all of them."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

KEYS: Final = ("prompt", "workflow", "parameters")
"""The texts that are looked for; all others are passed over unread."""
MAX_BYTES: Final = 64 * 2**20
"""Of the texts that are read, all of a file's together, inflated."""
MAX_PARTS: Final = 10_000
"""Chunks or segments of a file, entries of an EXIF directory."""
MAX_EXIF: Final = 16
"""Chunks or segments of EXIF data in a file; one is usual."""

_PIECE: Final = 64 * 1024


class Damaged(Exception):
    """The file is cut off or wrong from here on; the message says where. What came before it counts."""


class Unbounded(Exception):
    """Reading on would take more time or memory than any picture needs; the message says why."""


@dataclass(slots=True)
class Room:
    """How many bytes of texts may still be read of a file, whether they turn out to be any use or not."""

    left: int = MAX_BYTES

    def take(self, count: int) -> None:
        """Count ``count`` bytes as read; Unbounded when there is no room for them."""
        self.left -= count
        if self.left < 0:
            raise Unbounded(f"its texts are longer than {MAX_BYTES // 2**20} MiB")


@dataclass(frozen=True, slots=True)
class Carried:
    """The text called ``key``: bytes that lie in the file, perhaps deflated (RFC 1950), and how they are decoded."""

    key: str
    body: memoryview
    decode: Callable[[bytes], str]
    deflated: bool = False

    def read(self, room: Room) -> str:
        """The text; Unbounded when there is no ``room`` for its bytes, Damaged if they do not inflate."""
        return self.decode(self._inflated(room))

    def _inflated(self, room: Room) -> bytes:
        if not self.deflated:
            room.take(len(self.body))
            return bytes(self.body)
        inflater = zlib.decompressobj()
        found = bytearray()
        at = 0
        while not inflater.eof:
            piece = inflater.unconsumed_tail
            if not piece:
                piece = bytes(self.body[at : at + _PIECE])
                at += len(piece)
            try:
                more = inflater.decompress(piece, _PIECE)
            except zlib.error as error:
                raise Damaged(f"its compressed text {self.key!r} cannot be inflated: {error}") from None
            if not piece and not more:
                raise Damaged(f"its compressed text {self.key!r} is cut off")
            room.take(len(more))
            found += more
        return bytes(found)


def utf8_or_latin1(data: bytes) -> str:
    """Text as it is found in the wild: UTF-8 as the editor reads it; what is none is Latin-1, as PNG prescribes."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
