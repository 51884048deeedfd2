"""Schedules: which noise levels a run visits. Each is a pure function (levels, steps) -> decreasing sigmas ending in 0.

A schedule is one function and one line of ``SCHEDULES``. Steps in float64 that end in one rounding to float32 stand for
PyTorch's float32 kernels: within 2 units in the last place of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from onnxflow.errors import InputError, did_you_mean
from onnxflow.sampling import ramps
from onnxflow.sampling.beta import regularized_beta
from onnxflow.sampling.levels import NoiseLevels
from onnxflow.sampling.model_sampling import ModelSampling
from onnxflow.sampling.protocols import Array
from onnxflow.sampling.ramps import MOST_STEPS, check_steps, linspace

Schedule = Callable[[NoiseLevels, int], Array]

_WHERE = "schedule"
_MOST_BETA = 1000

# These samplers call the model between two levels: they get one step more and lose the level before the last.
DISCARD_PENULTIMATE = frozenset({"dpm_2", "dpm_2_ancestral", "uni_pc", "uni_pc_bh2"})


def simple(levels: NoiseLevels, steps: int) -> Array:
    """Every (timesteps / steps)-th level of the table, from the noisiest down."""
    stride = len(levels.sigmas) / steps
    return np.append(levels.sigmas[[-(1 + int(k * stride)) for k in range(steps)]], np.float32(0))


def ddim_uniform(levels: NoiseLevels, steps: int) -> Array:
    """Levels 1, 1 + n, 1 + 2n ... with n = timesteps // steps (Song et al. 2021, app. D.2); often more than steps."""
    ends_at_zero = abs(float(levels.sigmas[1])) <= 1e-5
    stride = max(len(levels.sigmas) // (steps + 1 if ends_at_zero else steps), 1)
    picked = levels.sigmas[1::stride][::-1]
    return np.array(picked, np.float32) if ends_at_zero else np.append(picked, np.float32(0))


def normal(levels: NoiseLevels, steps: int) -> Array:
    """Timesteps evenly from the first to the last, both included."""
    first, last = levels.timestep(levels.sigmas[-1]), levels.timestep(levels.sigmas[0])
    if abs(float(levels.sigma(last))) <= 1e-5:
        return _sigmas_at(levels, linspace(first, last, steps + 1))
    return np.append(_sigmas_at(levels, linspace(first, last, steps)), np.float32(0))


def sgm_uniform(levels: NoiseLevels, steps: int) -> Array:
    """Timesteps evenly from the first towards the last, which is left out (Podell et al. 2023, released code)."""
    first, last = levels.timestep(levels.sigmas[-1]), levels.timestep(levels.sigmas[0])
    return np.append(_sigmas_at(levels, linspace(first, last, steps + 1)[:-1]), np.float32(0))


def karras(levels: NoiseLevels, steps: int) -> Array:
    """Between the model's ends even in sigma^(1/7): Karras et al. (2022), eq. 5."""
    return ramps.karras(steps, *_ends(levels))


def exponential(levels: NoiseLevels, steps: int) -> Array:
    """Between the model's ends even in log sigma."""
    return ramps.exponential(steps, *_ends(levels))


def beta(levels: NoiseLevels, steps: int, *, a: float = 0.6, b: float = 0.6) -> Array:
    """Timesteps at even quantiles of a beta distribution, each once: Lee et al. (2024), Beta Sampling.

    InputError unless ``a`` and ``b`` are above 0, at which the distribution has no quantiles, and at most 1000.
    """
    if not (0.0 < a <= _MOST_BETA and 0.0 < b <= _MOST_BETA):
        raise InputError(
            f"alpha {a} and beta {b} make no schedule, allowed: two numbers above 0, up to {_MOST_BETA}",
            where=_WHERE,
            hint="0.6 and 0.6 are usual",
        )
    last = len(levels.sigmas) - 1
    # The timestep of quantile p is round(last * ppf(p)): the number of midpoints between timesteps whose probability is
    # below p. Counting them needs the distribution function once, and no inverse.
    midpoints = regularized_beta((np.arange(last) + 0.5) / last, a, b)
    if a == b and last % 2 == 1:
        midpoints[last // 2] = 0.5  # exactly; the tie at the median goes to the even timestep
    # The quantile that ComfyUI's library computes is 0.5 + 1e-16 for the usual parameters, which breaks the tie.
    upwards = last // 2 % 2 == 1 or a == b == 0.6
    quantiles = 1.0 - np.linspace(0.0, 1.0, steps, endpoint=False)
    timesteps = np.searchsorted(midpoints, quantiles, side="right" if upwards else "left")
    timesteps[0] = last  # quantile 1, also where the probabilities below it have been rounded to 1
    kept = np.append(True, timesteps[1:] != timesteps[:-1])
    return np.append(levels.sigmas[timesteps[kept]], np.float32(0))


def linear_quadratic(levels: NoiseLevels, steps: int, *, threshold: float = 0.025) -> Array:
    """Half the steps linear over the first ``threshold``, then quadratic: Polyak et al. (2024), Movie Gen."""
    if steps == 1:
        shares = [1.0, 0.0]
    else:
        linear = steps // 2
        quadratic = steps - linear
        excess = linear - threshold * steps
        curve = excess / (linear * quadratic**2)
        slope = threshold / linear - 2.0 * excess / quadratic**2
        done = [k * threshold / linear for k in range(linear)]
        done += [curve * k * k + slope * k + curve * linear**2 for k in range(linear, steps)]
        shares = [1.0 - share for share in done] + [0.0]
    sigmas: Array = np.array(shares, np.float32) * levels.sigmas[-1]
    return sigmas


def kl_optimal(levels: NoiseLevels, steps: int) -> Array:
    """Even in arctan sigma: Sabour et al. (2024), Align Your Steps, for Gaussian data. One step gives 0/0, NaN."""
    low, high = _ends(levels)
    with np.errstate(invalid="ignore"):
        share = np.arange(steps, dtype=np.float32) / np.float32(steps - 1)
        angles = share * np.float32(math.atan(low)) + (np.float32(1) - share) * np.float32(math.atan(high))
    return np.append(np.tan(angles.astype(np.float64)).astype(np.float32), np.float32(0))


SCHEDULES: Mapping[str, Schedule] = MappingProxyType(
    {
        "simple": simple,
        "sgm_uniform": sgm_uniform,
        "karras": karras,
        "exponential": exponential,
        "ddim_uniform": ddim_uniform,
        "beta": beta,
        "normal": normal,
        "linear_quadratic": linear_quadratic,
        "kl_optimal": kl_optimal,
    }
)
"""The schedules by name, in ComfyUI's order."""


def calculate_sigmas(model_sampling: ModelSampling, scheduler: str, steps: int) -> Array:
    """The sigmas of a named schedule, float32, about ``steps`` + 1 of them; InputError for a bad name or step count."""
    schedule = SCHEDULES.get(scheduler)
    if schedule is None:
        raise InputError(
            f"unknown scheduler {scheduler!r}",
            where=_WHERE,
            hint=f"{did_you_mean(scheduler, SCHEDULES)} all of them: {', '.join(SCHEDULES)}",
        )
    return schedule(model_sampling.levels, check_steps(steps))


def ksampler_sigmas(
    model_sampling: ModelSampling, scheduler: str, sampler: str, steps: int, denoise: float = 1.0
) -> Array:
    """The sigmas KSampler visits: float32 [steps + 1] as a rule, empty for ``denoise`` 0.

    With ``denoise`` below 1 these are the last steps + 1 of a schedule of int(steps / denoise) steps. Samplers of
    ``DISCARD_PENULTIMATE`` get a schedule of one step more, less its last level but one.
    InputError for an unknown scheduler, steps below 1, or a denoise outside 0..1.
    """
    total = _total_steps(steps, denoise)
    if denoise > 0.9999:
        return _for_sampler(model_sampling, scheduler, sampler, steps)
    if total == 0:
        return np.empty(0, np.float32)
    return _for_sampler(model_sampling, scheduler, sampler, total)[-(steps + 1) :]


def basic_sigmas(model_sampling: ModelSampling, scheduler: str, steps: int, denoise: float = 1.0) -> Array:
    """The sigmas of a named schedule whatever the sampler: float32 [steps + 1] as a rule, empty for ``denoise`` 0.

    With ``denoise`` below 1 these are the last steps + 1 of a schedule of int(steps / denoise) steps.
    InputError as ``ksampler_sigmas``, and where the schedule has no numbers for so few steps.
    """
    total = _total_steps(steps, denoise)
    if total == 0:
        return np.empty(0, np.float32)
    return check_sigmas(calculate_sigmas(model_sampling, scheduler, total)[-(steps + 1) :])


def turbo_sigmas(model_sampling: ModelSampling, steps: int, denoise: float = 1.0) -> Array:
    """The levels of ``steps`` of the timesteps 999, 899 ... 99, and then 0: Sauer et al. (2023), section 3.2.

    ``denoise`` leaves out the first 10 - int(10 denoise), so that there may be fewer. InputError for steps below 1, a
    denoise outside 0..1, and a model that has no levels at these timesteps.
    """
    _check_denoise(denoise)
    first = 10 - int(10 * denoise)
    timesteps = np.arange(999, 0, -100, dtype=np.float32)[first : first + check_steps(steps)]
    sigmas = np.append(_sigmas_at(model_sampling.levels, timesteps), np.float32(0))
    return ramps.usable(sigmas, "timesteps 999, 899 ... 99 of this model's sampling")


def slice_sigmas(
    sigmas: Array, start_step: int = 0, end_step: int | None = None, *, force_full_denoise: bool = False
) -> Array:
    """The part of ``sigmas`` KSamplerAdvanced runs, from ``start_step`` to ``end_step``; empty when there is none.

    ``force_full_denoise`` replaces the level at an early ``end_step`` by 0, so that no noise is left over.
    InputError for negative steps.
    """
    if start_step < 0 or (end_step is not None and end_step < 0):
        raise InputError(f"start step {start_step} and end step {end_step} must be 0 or more", where=_WHERE)
    if end_step is not None and end_step < len(sigmas) - 1:
        sigmas = sigmas[: end_step + 1].copy()
        if force_full_denoise:
            sigmas[-1] = 0
    return sigmas[start_step:] if start_step < len(sigmas) - 1 else np.empty(0, np.float32)


def check_sigmas(sigmas: Array) -> Array:
    """``sigmas`` as float32 [n], which may rise; InputError unless finite, and positive but for the last."""
    sigmas = np.asarray(sigmas, np.float32)
    if sigmas.ndim != 1:
        raise InputError(f"sigmas have shape {list(sigmas.shape)}, expected a list", where=_WHERE)
    if not np.isfinite(sigmas).all():
        at = int(np.argmin(np.isfinite(sigmas)))
        raise InputError(
            f"sigma {at} of {len(sigmas)} is {sigmas[at]}, expected a number",
            where=_WHERE,
            hint="look at the node it comes from; of the schedulers, kl_optimal needs 2 steps or more",
        )
    if (sigmas < 0).any() or (sigmas[:-1] == 0).any():
        at = int(np.argmax((sigmas < 0) | (np.append(sigmas[:-1], 1) == 0)))
        raise InputError(
            f"sigma {at} of {len(sigmas)} is {sigmas[at]}; sigmas must be positive, only the last may be 0",
            where=_WHERE,
            hint="look at the node that they come from",
        )
    return sigmas


def _for_sampler(model_sampling: ModelSampling, scheduler: str, sampler: str, steps: int) -> Array:
    if sampler not in DISCARD_PENULTIMATE:
        return calculate_sigmas(model_sampling, scheduler, steps)
    sigmas = calculate_sigmas(model_sampling, scheduler, steps + 1)
    return np.append(sigmas[:-2], sigmas[-1:])


def _total_steps(steps: int, denoise: float) -> int:
    """How many steps the schedule has of which ``denoise`` runs the last ``steps``; 0 when it runs none."""
    steps = check_steps(steps)
    _check_denoise(denoise)
    if denoise == 0.0:
        return 0
    if steps / denoise > MOST_STEPS:
        raise InputError(
            f"denoise {denoise} with {steps} steps makes a schedule of {steps / denoise:.3g} steps, "
            f"allowed: up to {MOST_STEPS}",
            where=_WHERE,
            hint="raise denoise or lower steps",
        )
    return int(steps / denoise)


def _check_denoise(denoise: float) -> None:
    if not 0.0 <= denoise <= 1.0:
        raise InputError(f"denoise is {denoise}, allowed: 0 to 1", where=_WHERE)


def _ends(levels: NoiseLevels) -> tuple[float, float]:
    """The smallest and the largest level."""
    return float(levels.sigmas[0]), float(levels.sigmas[-1])


def _sigmas_at(levels: NoiseLevels, timesteps: Array) -> Array:
    return np.array([levels.sigma(t) for t in timesteps], np.float32)
