"""Scenes and landscapes to pictures in numpy: shapes are sampled four by four per pixel, so that their edges are
anti-aliased."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from onnxflow.export.tiny_model.landscapes import LANDSCAPE_COLOURS, Landscape
from onnxflow.export.tiny_model.scenes import PALETTE, Background, Thing
from onnxflow.export.tiny_model.subjects import Subject

Picture = NDArray[np.uint8]  # [size, size, 3]
Palette = Mapping[str, tuple[float, float, float]]
ALL_COLOURS: Palette = {**PALETTE, **LANDSCAPE_COLOURS}
BAND = 16  # pixels of one stripe or one check
SAMPLES = 4  # per pixel and axis


def render(subject: Subject, palette: Palette = ALL_COLOURS, size: int = 128) -> Picture:
    """Draw a scene or landscape, [size, size, 3] uint8; its coordinates are pixels of a 128 pixel picture."""
    if isinstance(subject, Landscape):
        canvas = _landscape(subject, palette, size)
    else:
        canvas = _background(subject.background, palette, size)
        for thing in reversed(subject.things):  # what is inside lies in front
            _draw(canvas, thing, palette, size)
    return np.round(canvas * 255).astype(np.uint8)


def jittered_palette(rng: np.random.Generator, amount: float) -> dict[str, tuple[float, float, float]]:
    """The palette with normal noise of this standard deviation on every value, within 0..1."""
    return {name: _triple(np.clip(np.array(rgb) + rng.normal(0, amount, 3), 0, 1)) for name, rgb in ALL_COLOURS.items()}


def wild_palette(rng: np.random.Generator) -> dict[str, tuple[float, float, float]]:
    """Random colours under the palette's names: keeps an autoencoder from knowing nine colours only."""
    return {name: _triple(rng.uniform(0, 1, 3)) for name in ALL_COLOURS}


def pattern_weight(kind: str, direction: str | None, size: int = 128) -> NDArray[np.float32]:
    """How much of the second colour each pixel of a background has, [size, size] in 0..1."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) * (128 / size)
    if kind == "plain":
        return np.zeros((size, size), np.float32)
    if kind == "gradient":
        return (x if direction == "horizontal" else y) / np.float32(127)
    rows, columns = (y // BAND) % 2, (x // BAND) % 2
    if kind == "striped":  # horizontal stripes lie: they change from row to row
        return rows if direction == "horizontal" else columns
    return (rows + columns) % 2


def shape_mask(shape: str, x: float, y: float, radius: float, size: int = 128) -> NDArray[np.float32]:
    """Coverage of one shape over the whole picture, [size, size] in 0..1."""
    mask = np.zeros((size, size), np.float32)
    rows, columns, patch = _patch(shape, x, y, radius, size)
    mask[rows, columns] = patch
    return mask


def _background(background: Background, palette: Palette, size: int) -> NDArray[np.float32]:
    first = np.array(palette[background.first], np.float32)
    second = np.array(palette[background.second or background.first], np.float32)
    if background.swapped:
        first, second = second, first
    weight = pattern_weight(background.kind, background.direction, size)[..., None]
    return first * (1 - weight) + second * weight


def _landscape(landscape: Landscape, palette: Palette, size: int) -> NDArray[np.float32]:
    """Sky, sun or moon, hill, landmark, painted one over the other at SAMPLES times the size, then averaged."""
    fine = size * SAMPLES
    y, x = (np.mgrid[0:fine, 0:fine].astype(np.float32) + 0.5) * (128 / fine) - 0.5
    canvas = np.empty((fine, fine, 3), np.float32)
    canvas[:] = palette[landscape.sky]
    sun = {"day": "sun", "sunset": "low sun", "night": "moon"}[landscape.sky]
    canvas[(x - landscape.sun) ** 2 + (y - 24) ** 2 <= 10**2] = palette[sun]
    ground = landscape.horizon - landscape.slope * np.cos((x - 64) * (np.pi / 128))
    canvas[y >= ground] = palette[landscape.land]
    if landscape.landmark is not None:
        foot = landscape.horizon - landscape.slope * float(np.cos((landscape.x - 64) * (np.pi / 128))) + 8
        for name, inside in _landmark(landscape.landmark, x - landscape.x, foot - y):
            canvas[inside] = palette[name]
    return canvas.reshape(size, SAMPLES, size, SAMPLES, 3).mean((1, 3))


def _landmark(
    landmark: str, across: NDArray[np.float32], up: NDArray[np.float32]
) -> list[tuple[str, NDArray[np.bool_]]]:
    """The parts of a landmark, back to front, by colour name: pixels right of its middle and above its foot."""
    aside = np.abs(across)
    if landmark == "house":
        return [
            ("wall", (aside <= 17) & (up >= 0) & (up <= 24)),
            ("roof", (up >= 24) & (aside <= 23 * (44 - up) / 20)),
            ("door", (aside <= 5) & (up >= 0) & (up <= 14)),
        ]
    return [
        ("trunk", (aside <= 4) & (up >= 0) & (up <= 24)),
        ("crown", across**2 / 17**2 + (up - 36) ** 2 / 19**2 <= 1),
    ]


def _draw(canvas: NDArray[np.float32], thing: Thing, palette: Palette, size: int) -> None:
    rows, columns, patch = _patch(thing.shape, thing.x, thing.y, thing.radius, size)
    part = canvas[rows, columns]
    part += patch[..., None] * (np.array(palette[thing.colour], np.float32) - part)


def _patch(shape: str, x: float, y: float, radius: float, size: int) -> tuple[slice, slice, NDArray[np.float32]]:
    scale = size / 128
    x, y, radius = x * scale, y * scale, radius * scale
    reach = radius * 1.2 + 1
    left, right = max(0, int(x - reach)), min(size, int(x + reach) + 2)
    top, bottom = max(0, int(y - reach)), min(size, int(y + reach) + 2)
    offsets = (np.arange(SAMPLES, dtype=np.float32) + 0.5) / SAMPLES - 0.5
    u = ((np.arange(left, right, dtype=np.float32)[:, None] + offsets).reshape(1, -1) - x) / radius
    v = ((np.arange(top, bottom, dtype=np.float32)[:, None] + offsets).reshape(-1, 1) - y) / radius
    inside = _inside(shape, u.astype(np.float32), v.astype(np.float32)).astype(np.float32)
    patch = inside.reshape(bottom - top, SAMPLES, right - left, SAMPLES).mean((1, 3))
    return slice(top, bottom), slice(left, right), patch


def _inside(shape: str, u: NDArray[np.float32], v: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether points are in a shape of radius one about the origin; v points down."""
    if shape == "circle":
        return u * u + v * v <= 0.9
    if shape == "ring":
        square = u * u + v * v
        return (square <= 1.0) & (square >= 0.30)
    if shape == "square":
        return np.maximum(np.abs(u), np.abs(v)) <= 0.85
    if shape == "diamond":
        return np.abs(u) / 0.85 + np.abs(v) / 1.15 <= 1
    if shape == "cross":
        across, along = np.abs(u), np.abs(v)
        return ((across <= 0.33) & (along <= 1)) | ((along <= 0.33) & (across <= 1))
    if shape == "triangle":
        return (v <= 0.80) & (np.abs(u) <= (v + 1.0) * 0.6)
    if shape == "star":
        return _in_star(u, v + np.float32(0.08))
    if shape == "heart":  # (x^2 + y^2 - 1)^3 <= x^2 y^3, scaled to fill the unit circle
        p, q = u * 1.2, -v * 1.2 + 0.12
        return (p * p + q * q - 1) ** 3 <= p * p * q**3
    raise ValueError(f"unknown shape {shape!r}")


def _in_star(u: NDArray[np.float32], v: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Five points of radius 1.15; between a tip and a notch the edge is a straight line."""
    tip, notch, sector = 1.15, 0.50, np.pi / 5
    angle = np.abs((np.arctan2(u, -v) + sector) % (2 * sector) - sector)
    radius = np.hypot(u, v)
    px, py = radius * np.cos(angle), radius * np.sin(angle)
    nx, ny = notch * np.cos(sector), notch * np.sin(sector)
    return px * ny + py * (tip - nx) <= tip * ny


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
