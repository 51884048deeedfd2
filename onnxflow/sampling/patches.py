"""What nodes change about a model's sampling: plain values that can be compared and hashed, kept in order on the model.

A sampling patch says how the network is sampled instead of what the model's own constants say; the last one counts. A
guidance patch changes what is made of the predictions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from onnxflow.sampling.latent_operation import LatentOperation
from onnxflow.sampling.model_sampling import (
    ModelSampling,
    continuous_sampling,
    discrete_sampling,
    flow_sampling,
    flux_sampling,
)


class TrainingConstants(Protocol):
    """The noise schedule a network was trained on, as a model's manifest gives it."""

    @property
    def prediction(self) -> str: ...
    @property
    def schedule(self) -> str: ...
    @property
    def beta_start(self) -> float: ...
    @property
    def beta_end(self) -> float: ...
    @property
    def timesteps(self) -> int: ...
    @property
    def zero_snr(self) -> bool: ...


@runtime_checkable
class SamplingPatch(Protocol):
    """A patch that says how the network is sampled."""

    def model_sampling(self, trained: TrainingConstants) -> ModelSampling:
        """The noise levels and the prediction; InputError where the patch's values make none."""
        ...

    def __hash__(self) -> int: ...


@dataclass(frozen=True, slots=True)
class DiscreteSampling:
    """The model's own timesteps with another prediction: "eps", "v_prediction", "lcm", "x0" or "img_to_img".

    ``zero_snr`` says whether the schedule ends in pure noise, whatever the model's constants say.
    """

    prediction: str
    zero_snr: bool = False

    def model_sampling(self, trained: TrainingConstants) -> ModelSampling:
        return discrete_sampling(
            self.prediction,
            schedule=trained.schedule,
            beta_start=trained.beta_start,
            beta_end=trained.beta_end,
            timesteps=trained.timesteps,
            zero_snr=self.zero_snr,
        )


@dataclass(frozen=True, slots=True)
class EdmSampling:
    """Any noise level between two, for networks of ``kind`` "v_prediction", "edm", "eps" or "cosmos_rflow"."""

    kind: str
    sigma_max: float
    sigma_min: float

    def model_sampling(self, trained: TrainingConstants) -> ModelSampling:
        return continuous_sampling(self.kind, sigma_max=self.sigma_max, sigma_min=self.sigma_min)


@dataclass(frozen=True, slots=True)
class ContinuousVSampling:
    """Any noise level between two, for networks that predict v and are told an angle."""

    sigma_max: float
    sigma_min: float

    def model_sampling(self, trained: TrainingConstants) -> ModelSampling:
        return continuous_sampling("angle", sigma_max=self.sigma_max, sigma_min=self.sigma_min)


@dataclass(frozen=True, slots=True)
class FlowSampling:
    """Rectified flow with its time shifted by a factor."""

    shift: float
    multiplier: float = 1000.0

    def model_sampling(self, trained: TrainingConstants) -> ModelSampling:
        return flow_sampling(self.shift, multiplier=self.multiplier)


@dataclass(frozen=True, slots=True)
class FluxSampling:
    """Rectified flow with its time shifted by e to the power of ``shift``."""

    shift: float

    def model_sampling(self, trained: TrainingConstants) -> ModelSampling:
        return flux_sampling(self.shift)


@dataclass(frozen=True, slots=True)
class RescaledGuidance:
    """Guidance whose result is brought to the spread of the positive prediction, by a share of ``multiplier`` (0..1):
    Lin et al. (2024), section 3.4."""

    multiplier: float


@dataclass(frozen=True, slots=True)
class OperatedGuidance:
    """Guidance where an operation changes what the positive prediction adds to the negative one, before they are
    combined."""

    operation: LatentOperation


def sampling_patch(patches: Iterable[object]) -> SamplingPatch | None:
    """The patch that says how the network is sampled: the last one, or None."""
    found = None
    for patch in patches:
        if isinstance(patch, SamplingPatch):
            found = patch
    return found


def patched_sampling(trained: TrainingConstants, patch: SamplingPatch | None) -> ModelSampling:
    """How a network with these constants is sampled under ``patch``, or as it was trained."""
    if patch is not None:
        return patch.model_sampling(trained)
    return DiscreteSampling(trained.prediction, trained.zero_snr).model_sampling(trained)
