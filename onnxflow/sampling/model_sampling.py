"""What a network was trained for: the noise levels it knows, and what its output means at each of them.

A ``ModelSampling`` is these two independent parts, both frozen: ``levels`` (levels.py) and ``prediction``
(prediction.py). The functions here make one from a model's training constants.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from onnxflow.errors import InputError, did_you_mean
from onnxflow.sampling.levels import (
    AngleLevels,
    CosmosLevels,
    DiscreteLevels,
    EdmLevels,
    FlowLevels,
    FluxLevels,
    NoiseLevels,
)
from onnxflow.sampling.prediction import (
    CleanPrediction,
    CosmosPrediction,
    EdmPrediction,
    EpsPrediction,
    FlowPrediction,
    ImageToImagePrediction,
    LcmPrediction,
    Prediction,
    VPrediction,
)
from onnxflow.sampling.protocols import Array
from onnxflow.sampling.ramps import linspace

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

_PREDICTIONS: Mapping[str, Callable[[NoiseLevels], Prediction]] = MappingProxyType(
    {
        "epsilon": lambda levels: EpsPrediction(),
        "eps": lambda levels: EpsPrediction(),
        "v_prediction": lambda levels: VPrediction(),
        "v": lambda levels: VPrediction(),
        "lcm": LcmPrediction,
        "x0": lambda levels: CleanPrediction(),
        "img_to_img": lambda levels: ImageToImagePrediction(),
    }
)

# Kinds of networks that know any noise level: how they are told it, and what they predict.
_CONTINUOUS: Mapping[str, tuple[type[EdmLevels], Prediction]] = MappingProxyType(
    {
        "v_prediction": (EdmLevels, VPrediction()),
        "edm": (EdmLevels, EdmPrediction()),
        "eps": (EdmLevels, EpsPrediction()),
        "cosmos_rflow": (CosmosLevels, CosmosPrediction()),
        "angle": (AngleLevels, VPrediction()),
    }
)

_DISTILLED_LEVELS = 50  # of LCM (Luo et al. 2023, section 4.3: every 20th of 1000 timesteps)
_FLUX_LEVELS = 10000


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

    ``zero_snr`` rescales the schedule to zero terminal signal-to-noise ratio: Lin et al. (2024), algorithm 1. With
    prediction "lcm" the network knows 50 of the timesteps, evenly from the last down: Luo et al. (2023), section 4.3.
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
    levels = DiscreteLevels(_table(sigmas), _table(np.log(sigmas)))
    if prediction == "lcm":
        levels = _distilled(levels)
    return ModelSampling(levels, kind(levels))


def flow_sampling(shift: float = 1.0, *, multiplier: float = 1000.0, timesteps: int = 1000) -> ModelSampling:
    """A rectified-flow model's description; InputError unless ``shift`` is positive and finite."""
    if not 0.0 < shift < float("inf"):
        raise InputError(f"shift is {shift}, expected a positive number", where=_WHERE)
    levels = FlowLevels(np.empty(0, np.float32), shift, multiplier)
    times = np.arange(1, timesteps + 1, dtype=np.float32) / np.float32(timesteps) * np.float32(multiplier)
    sigmas = np.array([levels.sigma(t) for t in times], np.float32)
    return ModelSampling(FlowLevels(_table(sigmas), shift, multiplier), FlowPrediction())


def flux_sampling(mu: float) -> ModelSampling:
    """A rectified-flow model whose time is shifted by e^mu; InputError where that is beyond float32."""
    if not abs(mu) < math.log(np.finfo(np.float32).max):
        raise InputError(
            f"the shift is {mu}, expected a number from -88 to 88",
            where=_WHERE,
            hint="lower max_shift and base_shift, or width and height",
        )
    factor = np.float32(math.exp(mu))
    times = np.arange(1, _FLUX_LEVELS + 1, dtype=np.float32) / np.float32(_FLUX_LEVELS)
    sigmas = factor / (factor + (np.float32(1) / times - np.float32(1)))
    return ModelSampling(FluxLevels(_table(sigmas), mu), FlowPrediction())


def continuous_sampling(kind: str, *, sigma_max: float, sigma_min: float) -> ModelSampling:
    """A network that knows any noise level from ``sigma_min`` to ``sigma_max``; the table has 1000, even in log sigma.

    ``kind`` says how it is told the level and what it predicts: "edm", "eps" and "v_prediction" with c_noise
    log(sigma) / 4 (Karras et al. 2022), "angle" v with 2 arctan(sigma) / pi, "cosmos_rflow" flow with
    sigma / (sigma + 1). InputError for another kind and unless 0 < sigma_min < sigma_max, both finite.
    """
    if kind not in _CONTINUOUS:
        raise InputError(
            f"unknown sampling {kind!r}", where=_WHERE, hint=did_you_mean(kind, _CONTINUOUS, what="samplings")
        )
    if not 0.0 < sigma_min < sigma_max < float("inf"):
        raise InputError(
            f"sigma_min {sigma_min} and sigma_max {sigma_max} are no range of noise levels, allowed: 0 < sigma_min <"
            " sigma_max",
            where=_WHERE,
        )
    levels, prediction = _CONTINUOUS[kind]
    logs = linspace(math.log(sigma_min), math.log(sigma_max), 1000)
    return ModelSampling(levels(_table(np.exp(logs.astype(np.float64)))), prediction)


def _distilled(levels: DiscreteLevels) -> DiscreteLevels:
    spacing = len(levels.sigmas) // _DISTILLED_LEVELS
    if spacing == 0:
        raise InputError(
            f"the model has {len(levels.sigmas)} timesteps, lcm needs {_DISTILLED_LEVELS} or more", where=_WHERE
        )
    first = len(levels.sigmas) - 1 - (_DISTILLED_LEVELS - 1) * spacing
    sigmas = levels.sigmas[first::spacing]
    return DiscreteLevels(sigmas, _table(np.log(sigmas.astype(np.float64))), spacing)


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
