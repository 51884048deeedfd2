"""What a picture of a landscape shows, decided from its pixels alone: sky and land from the borders, the landmark from
what neither explains."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnxflow.export.tiny_model.landscapes import LANDS, LANDSCAPE_COLOURS, SIDES, SKIES, Landscape
from onnxflow.export.tiny_model.renderer import Picture

DIFFERENT = 0.22  # distance in RGB (0..1) from which a pixel is neither sky nor land
SMALLEST = 150  # pixels of the smallest landmark
ALIKE = 0.25  # distance in RGB up to which a colour is the nearest one of the palette
MOST_STRAY = 0.03  # share of a picture that nothing asked for may explain; drawn ones: at most 0.012
WIDEST = 26  # pixels that a landmark reaches left and right of its middle
SUNS = {"day": "sun", "sunset": "low sun", "night": "moon"}
PARTS = {"house": ("wall", "roof", "door"), "tree": ("trunk", "crown")}
SKY_END, LAND_START = 38, 112  # rows: above the first there are sky and sun only, from the second on land only


@dataclass(frozen=True, slots=True)
class SeenLandscape:
    """What is seen; "none" for a sky, land or landmark that is like none of those there are, None for no landmark."""

    sky: str
    land: str
    landmark: str | None
    side: str | None
    stray: float  # share of the picture that none of these explains


@dataclass(frozen=True, slots=True)
class LandscapeVerdict:
    """Which parts of a wanted landscape a picture shows; side is None where the caption leaves it open."""

    sky: bool
    land: bool
    landmark: bool
    side: bool | None

    @property
    def all_right(self) -> bool:
        """Everything that the caption says."""
        return self.sky and self.land and self.landmark and self.side is not False


def look_at_landscape(picture: Picture) -> SeenLandscape:
    """See a 128x128 picture [128, 128, 3] uint8."""
    pixels = (picture / np.float32(255)).astype(np.float32)
    sky = np.median(pixels[:SKY_END].reshape(-1, 3), axis=0)
    land = np.median(pixels[LAND_START:].reshape(-1, 3), axis=0)
    away = np.minimum(np.linalg.norm(pixels - sky, axis=2), np.linalg.norm(pixels - land, axis=2))
    names = ("wall", "roof", "crown")
    distances = np.stack([_distance(pixels[SKY_END:LAND_START], name) for name in names])
    away = away[SKY_END:LAND_START]
    between = (away > DIFFERENT) | (distances.min(0) < away)  # a crown is not far from the sky by night
    like = (distances.min(0) < ALIKE) & between
    wall, roof, crown = (int((like & (distances.argmin(0) == index)).sum()) for index in range(3))
    landmark, side = None, None
    if between.sum() >= SMALLEST:
        landmark = "none"
        if crown > wall + roof and crown >= SMALLEST:
            landmark = "tree"
        elif min(wall, roof) >= SMALLEST // 3 and wall + roof >= SMALLEST and wall + roof > crown:
            landmark = "house"
        column = float(np.median(np.nonzero(between)[1]))
        side = SIDES[int(column > 48) + int(column > 80)]
    stray = _stray(pixels, sky, land, _nearest(sky, SKIES), landmark)
    return SeenLandscape(_nearest(sky, SKIES), _nearest(land, LANDS), landmark, side, stray)


def judge_landscape(picture: Picture, wanted: Landscape) -> LandscapeVerdict:
    """Compare what a picture shows with what was asked for."""
    seen = look_at_landscape(picture)
    return LandscapeVerdict(
        sky=seen.sky == wanted.sky,
        land=seen.land == wanted.land,
        landmark=seen.landmark == wanted.landmark and seen.stray <= MOST_STRAY,
        side=seen.side == wanted.side if wanted.side_said else None,
    )


def _stray(
    pixels: NDArray[np.float32], sky: NDArray[np.float32], land: NDArray[np.float32], name: str, landmark: str | None
) -> float:
    """Share of the pixels that are neither sky, nor sun or moon in the upper part, nor part of the one landmark, nor
    land."""
    explained = np.linalg.norm(pixels - land, axis=2) < ALIKE
    above = explained[:LAND_START]
    above |= np.linalg.norm(pixels[:LAND_START] - sky, axis=2) < ALIKE
    if name in SUNS:
        explained[:SKY_END] |= _distance(pixels[:SKY_END], SUNS[name]) < ALIKE
    parts = [_distance(pixels[:LAND_START], part) < ALIKE for part in PARTS.get(landmark or "", ())]
    if parts:
        shown = np.logical_or.reduce(parts) & ~above
        middle = np.median(np.nonzero(shown)[1]) if shown.any() else 0.0
        above |= shown & (np.abs(np.arange(pixels.shape[1]) - middle) <= WIDEST)
    return float(1 - explained.mean())


def _distance(pixels: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    distance: NDArray[np.float32] = np.linalg.norm(pixels - np.array(LANDSCAPE_COLOURS[name], np.float32), axis=2)
    return distance


def _nearest(colour: NDArray[np.float32], names: tuple[str, ...]) -> str:
    distances = {name: float(np.linalg.norm(colour - np.array(LANDSCAPE_COLOURS[name]))) for name in names}
    best = min(distances, key=distances.__getitem__)
    return best if distances[best] < ALIKE else "none"
