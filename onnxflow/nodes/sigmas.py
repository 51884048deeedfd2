"""What is made of a schedule: SplitSigmas, SplitSigmasDenoise, FlipSigmas, SetFirstSigma and others."""

from __future__ import annotations

from typing import Annotated

from onnxflow.nodes.model_sampling import model_sampling
from onnxflow.nodes.spec import node
from onnxflow.nodes.widgets import Boolean, Combo, Float, Int
from onnxflow.sampling.sigmas import SPACINGS, at_percent, extend, flip, split, split_denoise, with_first
from onnxflow.values import Model, Sigmas

CATEGORY = "sampling/custom_sampling/sigmas"
PARTS = ("high_sigmas", "low_sigmas")

Step = Annotated[int, Int(0, 10000)]
Denoise = Annotated[float, Float(0.0, 1.0, step=0.01)]
FirstLevel = Annotated[float, Float(0.0, 20000.0, step=0.001, round=False)]
Pieces = Annotated[int, Int(1, 100)]
Start = Annotated[float, Float(-1.0, 20000.0, step=0.01, round=False)]
End = Annotated[float, Float(0.0, 20000.0, step=0.01, round=False)]
Spacing = Annotated[str, Combo(SPACINGS)]
Percent = Annotated[float, Float(0.0, 1.0, step=0.0001)]


@node("SplitSigmas", category=CATEGORY, display_name="SplitSigmas", output_names=PARTS, runs=())
def split_sigmas(sigmas: Sigmas, step: Step = 0) -> tuple[Sigmas, Sigmas]:
    """The first ``step`` steps, and the rest."""
    high, low = split(sigmas.values, step)
    return Sigmas(high), Sigmas(low)


@node("SplitSigmasDenoise", category=CATEGORY, display_name="SplitSigmasDenoise", output_names=PARTS, runs=())
def split_sigmas_denoise(sigmas: Sigmas, denoise: Denoise = 1.0) -> tuple[Sigmas, Sigmas]:
    """The steps before the share ``denoise`` at the end, and that share."""
    high, low = split_denoise(sigmas.values, denoise)
    return Sigmas(high), Sigmas(low)


@node("FlipSigmas", category=CATEGORY, display_name="FlipSigmas", runs=())
def flip_sigmas(sigmas: Sigmas) -> Sigmas:
    """The schedule from its end to its start, for going from a picture to noise."""
    return Sigmas(flip(sigmas.values))


@node("SetFirstSigma", category=CATEGORY, display_name="SetFirstSigma", runs=())
def set_first_sigma(sigmas: Sigmas, sigma: FirstLevel = 136.0) -> Sigmas:
    """The schedule with another level at its start."""
    return Sigmas(with_first(sigmas.values, sigma))


@node("ExtendIntermediateSigmas", category=CATEGORY, display_name="ExtendIntermediateSigmas", runs=())
def extend_intermediate_sigmas(
    sigmas: Sigmas, steps: Pieces = 2, start_at_sigma: Start = -1.0, end_at_sigma: End = 12.0, *, spacing: Spacing
) -> Sigmas:
    """The schedule with every step between two levels cut into ``steps``; -1 starts at the highest level."""
    return Sigmas(extend(sigmas.values, steps, start_at_sigma, end_at_sigma, spacing))


@node(
    "SamplingPercentToSigma",
    category=CATEGORY,
    display_name="SamplingPercentToSigma",
    output_names=("sigma_value",),
    runs=(),
)
def sampling_percent_to_sigma(
    model: Model, sampling_percent: Percent = 0.0, return_actual_sigma: Annotated[bool, Boolean()] = False
) -> float:
    """The noise level after a share of the sampling: without ``return_actual_sigma``, 0 is above all levels."""
    return at_percent(model_sampling(model), sampling_percent, actual=return_actual_sigma)
