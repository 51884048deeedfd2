"""What a network was trained for: the noise levels it knows, and what its output means at each of them.

A ``ModelSampling`` is these two independent parts, both frozen: ``levels`` (levels.py) and ``prediction``
(prediction.py). The functions here make one from a model's training constants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from onnxflow.errors import InputError, did_you_mean
from onnxflow.sampling.levels import DiscreteLevels, FlowLevels, NoiseLevels
from onnxflow.sampling.prediction import EpsPrediction, FlowPrediction, Prediction, VPrediction
from onnxflow.sampling.protocols import Array

_WHERE = "model sampling"

# Cumulative alpha of the last timestep after rescaling to zero terminal SNR: exactly 0 would be an infinite sigma.
_ZERO_SNR_LAST_ALPHA = 4.8973451890853435e-08


@dataclass(frozen=True, slots=True, eq=False)
class ModelSampling:
    """The frozen description of how a model is sampled."""

    levels: NoiseLevels
    prediction: Prediction

    @property
    def sigma_min(self) -> np.float32:
        """The smallest noise level the model knows."""
        return np.float32(self.levels.sigmas[0])

    @property
    def sigma_max(self) -> np.float32:
        """The largest noise level the model knows."""
        return np.float32(self.levels.sigmas[-1])

    def is_max_denoise(self, sigma: np.float32) -> bool:
        """Whether sampling that starts at ``sigma`` starts from pure noise (relative tolerance 1e-5).

        The first sigma need not be sigma_max to the last bit: ``normal`` goes through a logarithm and back.
        """
        first, largest = float(sigma), float(self.sigma_max)
        return first > largest or abs(first - largest) <= 1e-5 * max(abs(first), abs(largest))


_BETAS: Mapping[str, Callable[[float, float, int], NDArray[np.float64]]] = MappingProxyType(
    {
        # Rombach et al. (2022), released code: the square root is linear.
        "scaled_linear": lambda start, end, count: np.linspace(start**0.5, end**0.5, count) ** 2,
        # Ho et al. (2020), section 4.
        "linear": np.linspace,
    }
)

_PREDICTIONS: Mapping[str, Prediction] = MappingProxyType(
    {"epsilon": EpsPrediction(), "eps": EpsPrediction(), "v_prediction": VPrediction(), "v": VPrediction()}
)


def discrete_sampling(
    prediction: str = "epsilon",
    *,
    schedule: str = "scaled_linear",
    beta_start: float = 0.00085,
    beta_end: float = 0.012,
    timesteps: int = 1000,
    zero_snr: bool = False,
) -> ModelSampling:
    """A DDPM's description from its training constants; the defaults are Stable Diffusion 1.x.

    ``zero_snr`` rescales the schedule to zero terminal signal-to-noise ratio: Lin et al. (2024), algorithm 1.
    InputError for an unknown prediction or schedule and for betas outside 0 < start <= end < 1.
    """
    kind, betas_of = _PREDICTIONS.get(prediction), _BETAS.get(schedule)
    if kind is None:
        raise InputError(
            f"unknown prediction {prediction!r}",
            where=_WHERE,
            hint=did_you_mean(prediction, _PREDICTIONS, what="predictions"),
        )
    if betas_of is None:
        raise InputError(
            f"unknown beta schedule {schedule!r}", where=_WHERE, hint=did_you_mean(schedule, _BETAS, what="schedules")
        )
    if not (0.0 < beta_start <= beta_end < 1.0) or timesteps < 2:
        raise InputError(
            f"beta_start {beta_start}, beta_end {beta_end} and {timesteps} timesteps are no noise schedule, "
            "allowed: 0 < beta_start <= beta_end < 1 and 2 timesteps or more",
            where=_WHERE,
        )
    alphas = np.cumprod(1.0 - betas_of(beta_start, beta_end, timesteps))
    sigmas = np.sqrt((1.0 - alphas) / alphas)
    if zero_snr:
        sigmas = _zero_terminal_snr(sigmas)
    return ModelSampling(DiscreteLevels(_table(sigmas), _table(np.log(sigmas))), kind)


def flow_sampling(shift: float = 1.0, *, multiplier: float = 1000.0, timesteps: int = 1000) -> ModelSampling:
    """A rectified-flow model's description; InputError unless ``shift`` is positive and finite."""
    if not 0.0 < shift < float("inf"):
        raise InputError(f"shift is {shift}, expected a positive number", where=_WHERE)
    levels = FlowLevels(np.empty(0, np.float32), shift, multiplier)
    times = np.arange(1, timesteps + 1, dtype=np.float32) / np.float32(timesteps) * np.float32(multiplier)
    sigmas = np.array([levels.sigma(t) for t in times], np.float32)
    return ModelSampling(FlowLevels(_table(sigmas), shift, multiplier), FlowPrediction())


def _table(values: NDArray[np.floating]) -> Array:
    table = values.astype(np.float32)
    table.flags.writeable = False
    return table


def _zero_terminal_snr(sigmas: NDArray[np.float64]) -> NDArray[np.float64]:
    signal = np.sqrt(1.0 / (sigmas * sigmas + 1.0))
    first, last = signal[0], signal[-1]
    alphas = ((signal - last) * (first / (first - last))) ** 2
    alphas[-1] = _ZERO_SNR_LAST_ALPHA
    rescaled: NDArray[np.float64] = np.sqrt((1.0 - alphas) / alphas)
    return rescaled
