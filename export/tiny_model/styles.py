"""What the LoRA and the ControlNet learn from: pictures in another style, and the edges of pictures."""

import numpy as np
from numpy.typing import NDArray

from onnxflow.export.tiny_model.renderer import Palette, Picture

PALE = 0.55  # share of white in a pastel colour
EDGE = 0.12  # difference in RGB (0..1) of neighbouring pixels from which there is an edge between them


def pastel(palette: Palette) -> dict[str, tuple[float, float, float]]:
    """The palette mixed with white: every colour pale, no two of them equal."""
    return {
        name: (red + PALE * (1 - red), green + PALE * (1 - green), blue + PALE * (1 - blue))
        for name, (red, green, blue) in palette.items()
    }


def edges(picture: Picture) -> NDArray[np.bool_]:
    """Where a picture [h, w, 3] changes from a pixel to its neighbour, two pixels wide, [h, w]."""
    values = picture.astype(np.float32) / 255
    down = np.abs(np.diff(values, axis=0)).max(2) > EDGE
    across = np.abs(np.diff(values, axis=1)).max(2) > EDGE
    found = np.zeros(picture.shape[:2], np.bool_)
    found[1:] |= down
    found[:-1] |= down
    found[:, 1:] |= across
    found[:, :-1] |= across
    return found
