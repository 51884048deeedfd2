"""The noise levels that a custom run visits: BasicScheduler, KarrasScheduler and the other schedulers."""

from __future__ import annotations

from typing import Annotated

from onnxflow.nodes.model_sampling import model_sampling
from onnxflow.nodes.spec import node
from onnxflow.nodes.widgets import Combo, Float, Int
from onnxflow.sampling import SCHEDULES, ramps
from onnxflow.sampling.align_your_steps import FAMILIES, align_your_steps
from onnxflow.sampling.schedules import basic_sigmas, turbo_sigmas
from onnxflow.sampling.schedules import beta as beta_sigmas
from onnxflow.values import Model, Sigmas

CATEGORY = "sampling/custom_sampling/schedulers"

SchedulerName = Annotated[str, Combo(tuple(SCHEDULES))]
Family = Annotated[str, Combo(FAMILIES)]
Steps = Annotated[int, Int(1, 10000)]
FewSteps = Annotated[int, Int(1, 10)]
Denoise = Annotated[float, Float(0.0, 1.0, step=0.01)]
TurboDenoise = Annotated[float, Float(0, 1.0, step=0.01)]
Level = Annotated[float, Float(0.0, 5000.0, step=0.01, round=False)]
Rho = Annotated[float, Float(0.0, 100.0, step=0.01, round=False)]
Parameter = Annotated[float, Float(0.0, 50.0, step=0.01, round=False)]
LastTime = Annotated[float, Float(0.0, 1.0, step=0.0001, round=False)]
Middle = Annotated[float, Float(-10.0, 10.0, step=0.1, round=False)]
Spread = Annotated[float, Float(0.0, 10.0, step=0.1, round=False)]


@node("BasicScheduler", category=CATEGORY, display_name="BasicScheduler", runs=())
def basic_scheduler(model: Model, scheduler: SchedulerName, steps: Steps = 20, denoise: Denoise = 1.0) -> Sigmas:
    """A named schedule between the model's noise levels; with ``denoise`` below 1 the last steps of a longer one."""
    return Sigmas(basic_sigmas(model_sampling(model), scheduler, steps, denoise))


@node("KarrasScheduler", category=CATEGORY, display_name="KarrasScheduler", runs=())
def karras_scheduler(
    steps: Steps = 20, sigma_max: Level = 14.614642, sigma_min: Level = 0.0291675, rho: Rho = 7.0
) -> Sigmas:
    """Even in sigma^(1/rho): more steps at little noise, the larger rho is."""
    return Sigmas(ramps.karras(steps, sigma_min, sigma_max, rho))


@node("ExponentialScheduler", category=CATEGORY, display_name="ExponentialScheduler", runs=())
def exponential_scheduler(steps: Steps = 20, sigma_max: Level = 14.614642, sigma_min: Level = 0.0291675) -> Sigmas:
    """Each level the same share of the one before."""
    return Sigmas(ramps.exponential(steps, sigma_min, sigma_max))


@node("PolyexponentialScheduler", category=CATEGORY, display_name="PolyexponentialScheduler", runs=())
def polyexponential_scheduler(
    steps: Steps = 20, sigma_max: Level = 14.614642, sigma_min: Level = 0.0291675, rho: Rho = 1.0
) -> Sigmas:
    """The logarithm of the level along a power of the steps left."""
    return Sigmas(ramps.polyexponential(steps, sigma_min, sigma_max, rho))


@node("LaplaceScheduler", category=CATEGORY, display_name="LaplaceScheduler", runs=())
def laplace_scheduler(
    steps: Steps = 20,
    sigma_max: Level = 14.614642,
    sigma_min: Level = 0.0291675,
    mu: Middle = 0.0,
    beta: Spread = 0.5,
) -> Sigmas:
    """``steps`` levels at even quantiles of a Laplace distribution of log sigma; the last is not 0."""
    return Sigmas(ramps.laplace(steps, sigma_min, sigma_max, mu, beta))


@node("VPScheduler", category=CATEGORY, display_name="VPScheduler", runs=())
def vp_scheduler(steps: Steps = 20, beta_d: Level = 19.9, beta_min: Level = 0.1, eps_s: LastTime = 0.001) -> Sigmas:
    """The levels of the variance-preserving process at even times from 1 to ``eps_s``."""
    return Sigmas(ramps.vp(steps, beta_d, beta_min, eps_s))


@node("BetaSamplingScheduler", category=CATEGORY, display_name="BetaSamplingScheduler", runs=())
def beta_sampling_scheduler(model: Model, steps: Steps = 20, alpha: Parameter = 0.6, beta: Parameter = 0.6) -> Sigmas:
    """The model's levels at even quantiles of a beta distribution, each once: there may be fewer than ``steps``."""
    return Sigmas(beta_sigmas(model_sampling(model).levels, steps, a=alpha, b=beta))


@node("SDTurboScheduler", category=CATEGORY, display_name="SDTurboScheduler", runs=())
def sd_turbo_scheduler(model: Model, steps: FewSteps = 1, denoise: TurboDenoise = 1.0) -> Sigmas:
    """Up to ten of the model's timesteps 999, 899 ... 99, the first left out as ``denoise`` falls."""
    return Sigmas(turbo_sigmas(model_sampling(model), steps, denoise))


@node("AlignYourStepsScheduler", category=CATEGORY, runs=())
def align_your_steps_scheduler(model_type: Family, steps: Steps = 10, denoise: Denoise = 1.0) -> Sigmas:
    """Levels that were fitted to a family of models, for few steps."""
    return Sigmas(align_your_steps(model_type, steps, denoise))
