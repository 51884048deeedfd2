"""A white picture to draw a plot on: texts, lines and blocks of colour, with Pillow alone."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from numpy.typing import NDArray

Colour = tuple[int, int, int]

INK: Final = (33, 37, 41)
SOFT: Final = (92, 99, 106)
GRID: Final = (225, 228, 232)
BLUE: Final = (31, 102, 181)
RED: Final = (200, 48, 48)

TITLE: Final = 20
TEXT: Final = 14

_FINE: Final = 4  # lines are drawn this many times larger, and shrunk, for smooth edges


class Canvas:
    """``width`` x ``height`` pixels. Places are in pixels from the upper left corner."""

    def __init__(self, width: int, height: int) -> None:
        self._picture = PIL.Image.new("RGB", (width, height), (255, 255, 255))
        self._draw = PIL.ImageDraw.Draw(self._picture)

    def text(
        self, x: float, y: float, text: str, *, size: int = TEXT, colour: Colour = INK, align: float = 0.0
    ) -> None:
        """One line whose top is at ``y``; ``align`` is the share of it that lies left of ``x``."""
        shown = _drawable(text)
        self._draw.text((x - align * text_width(shown, size), y), shown, fill=colour, font=_font(size))

    def line(self, x0: float, y0: float, x1: float, y1: float, colour: Colour = GRID) -> None:
        """A straight line of one pixel."""
        self._draw.line([(x0, y0), (x1, y1)], fill=colour)

    def frame(self, x: int, y: int, width: int, height: int, colour: Colour = SOFT) -> None:
        """A line around a rectangle."""
        self._draw.rectangle([x - 1, y - 1, x + width, y + height], outline=colour)

    def block(self, x: int, y: int, colours: NDArray[np.uint8]) -> None:
        """A picture [height, width, 3] with its corner at a place."""
        self._picture.paste(PIL.Image.fromarray(np.ascontiguousarray(colours)), (x, y))

    def curves(
        self, lines: Sequence[Sequence[tuple[float, float]]], *, colour: Colour = BLUE, dots: float = 0.0
    ) -> None:
        """Smooth-edged lines through points, with dots of a radius on these; a line of one point is a dot."""
        mask = PIL.Image.new("L", (self._picture.width * _FINE, self._picture.height * _FINE), 0)
        draw = PIL.ImageDraw.Draw(mask)
        for points in lines:
            fine = [((x + 0.5) * _FINE, (y + 0.5) * _FINE) for x, y in points]
            if len(fine) > 1:
                draw.line(fine, fill=255, width=2 * _FINE, joint="curve")
            radius = (dots or (2.0 if len(fine) == 1 else 0.0)) * _FINE
            for x, y in fine if radius else ():
                draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=255)
        small = mask.resize(self._picture.size, PIL.Image.Resampling.BOX)
        self._picture.paste(PIL.Image.new("RGB", self._picture.size, colour), (0, 0), small)

    def png(self) -> bytes:
        """The picture as a file."""
        file = io.BytesIO()
        self._picture.save(file, "PNG")
        return file.getvalue()


def text_width(text: str, size: int = TEXT) -> float:
    """How wide a line of text is, in pixels."""
    return float(_font(size).getlength(_drawable(text)))


def _drawable(text: str) -> str:
    """The text without letters that Pillow's own font may lack."""
    return text.encode("ascii", errors="replace").decode()


@lru_cache
def _font(size: int) -> PIL.ImageFont.FreeTypeFont | PIL.ImageFont.ImageFont:
    try:
        return PIL.ImageFont.load_default(size)
    except ImportError:  # Pillow without FreeType: a font of one size
        return PIL.ImageFont.load_default()
