"""A1111's Hires. fix: a second, larger pass over the latents of the first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from onnxflow.errors import Problem, shown
from onnxflow.workflow.a1111_fields import Fields
from onnxflow.workflow.a1111_samplers import SamplerChoice, find_sampler

# Antialiasing changes nothing where latents grow.
_METHODS: Final[Mapping[str, str]] = {
    "latent": "bilinear",
    "latent (antialiased)": "bilinear",
    "latent (bicubic)": "bicubic",
    "latent (bicubic antialiased)": "bicubic",
    "latent (nearest)": "nearest-exact",
    "latent (nearest-exact)": "nearest-exact",
}
_OF_PIXELS: Final = "none"
_NO_CHOICE: Final = SamplerChoice("", "")
_UNCHANGED: Final = "use same"
_SCALES: Final = ("Hires upscale", "Hires scale")
_SIZES: Final = ("Hires resize", "Hires size")
_OLD: Final = "First pass size"
_STRENGTHS: Final = ("Denoising strength", "Hires strength")
_OTHERS: Final = (*_STRENGTHS, "Hires upscaler", "Hires steps", "Hires CFG Scale", "Hires sampler")
_REST: Final = ("Hires schedule type", "Hires prompt", "Hires negative prompt")


@dataclass(frozen=True, slots=True)
class HiresPass:
    """The size of the first pass and of the second, and how the second is drawn.

    ``method`` is None when there can be no second pass here. Prompts are empty where they are those of the first.
    """

    first: tuple[int, int]
    target: tuple[int, int] = (0, 0)
    method: str | None = None
    steps: int = 0
    cfg: float = 0.0
    denoise: float = 1.0
    choice: SamplerChoice = _NO_CHOICE
    prompt: str = ""
    negative: str = ""
    problems: tuple[Problem, ...] = ()


def read_hires(
    fields: Fields, size: tuple[int, int], choice: SamplerChoice, steps: int, cfg: float, remarks: list[str]
) -> HiresPass | None:
    """The second pass, None when the text has none; ``remarks`` gets what of it has no place in a graph."""
    if not any(key in fields for key in (*_SCALES, *_SIZES, _OLD)):
        if any(key in fields for key in _STRENGTHS):
            strength = fields.take(*_STRENGTHS)
            remarks.append(f"Denoising strength {shown(strength)}: the picture that was redrawn is not in the text")
        return None
    first, target = _sizes(fields, size)
    upscaler = fields.take("Hires upscaler") or "Latent"
    if upscaler.casefold() not in (*_METHODS, _OF_PIXELS):
        fields.take(*_OTHERS, *_REST)
        remarks.append(
            f"Hires upscaler {shown(upscaler)}, which enlarges pixels: the second pass, to {target[0]} x {target[1]}, "
            "is left out"
        )
        return HiresPass(first)
    if upscaler.casefold() == _OF_PIXELS:
        remarks.append("Hires upscaler 'None', which enlarges pixels: latents are enlarged instead")
    elif upscaler.casefold() == "latent (nearest)" and (target[0] % max(1, first[0]) or target[1] % max(1, first[1])):
        remarks.append("Hires upscaler 'Latent (nearest)': nearest-exact, half a pixel away, is used instead")
    problems: list[Problem] = []
    own_steps = fields.whole("Hires steps", 0, 10_000, default=0)
    own_cfg = fields.number("Hires CFG Scale", low=0, high=100, default=0.0)
    return HiresPass(
        first,
        target,
        _METHODS.get(upscaler.casefold(), "bilinear"),
        own_steps or steps,
        own_cfg or cfg,
        fields.number(*_STRENGTHS, low=0, high=1),
        _choice(fields, choice, problems),
        _own(fields.take("Hires prompt")),
        _own(fields.take("Hires negative prompt")),
        tuple(problems),
    )


def _sizes(fields: Fields, size: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """The sizes of both passes: by a factor, to a size of which one side may be 0, or as texts of 2022 say it."""
    scale = fields.number(*_SCALES, low=0.1, high=16, default=1.0)
    target = fields.size(*_SIZES, default=(0, 0))
    old = fields.size(_OLD, default=(-1, -1))
    if old != (-1, -1):
        return _first_of(size) if 0 in old else old, size
    width, height = size
    if target == (0, 0):
        target = int(width * scale), int(height * scale)
    elif target[0] == 0:
        target = target[1] * width // max(1, height), target[1]
    elif target[1] == 0:
        target = target[0], target[0] * height // max(1, width)
    return size, (target[0] // 8 * 8, target[1] // 8 * 8)


def _first_of(size: tuple[int, int]) -> tuple[int, int]:
    """The first pass that A1111 chose by itself in 2022: about 512 x 512 pixels of the same shape, in steps of 64."""
    scale = math.sqrt(512 * 512 / max(1, size[0] * size[1]))
    return math.ceil(scale * size[0] / 64) * 64, math.ceil(scale * size[1] / 64) * 64


def _choice(fields: Fields, first: SamplerChoice, problems: list[Problem]) -> SamplerChoice:
    """The sampler of the second pass, which is the first's unless the text says otherwise."""
    name, schedule = _own(fields.take("Hires sampler")), _own(fields.take("Hires schedule type"))
    if not name and not schedule:
        return first
    found = find_sampler(name or first.sampler, schedule or None)
    if isinstance(found, Problem):
        problems.append(found)
        return first
    # A sampler without a schedule keeps the first's.
    return found if schedule else SamplerChoice(found.sampler, first.scheduler)


def _own(value: str | None) -> str:
    """The value, empty if it says that the first pass's counts."""
    return "" if value is None or value.casefold().startswith(_UNCHANGED) else value
