"""Samplers as values: KSamplerSelect, and a class for each sampler with options of its own."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from onnxflow.errors import InputError
from onnxflow.nodes.model_sampling import model_sampling
from onnxflow.nodes.sampling import SamplerName
from onnxflow.nodes.spec import node
from onnxflow.nodes.widgets import Boolean, Combo, Float, Int
from onnxflow.resize import resize
from onnxflow.sampling import Array, Sampler, find_sampler
from onnxflow.sampling.samplers.er_sde import extended, reverse_time
from onnxflow.sampling.samplers.euler import euler_cfg_pp_alternative
from onnxflow.sampling.samplers.renoise import lcm_upscale
from onnxflow.sampling.samplers.sa_solver import tau_between
from onnxflow.values import Model

_CATEGORY = "sampling/custom_sampling/samplers"

Share = Annotated[float, Float(0.0, 100.0, step=0.01, round=False)]
SmallShare = Annotated[float, Float(0.0, 10.0, step=0.01, round=False)]
UnitShare = Annotated[float, Float(0.0, 1.0, step=0.01, round=False)]
Percent = Annotated[float, Float(0.0, 1.0, step=0.001)]
Switch = Annotated[bool, Boolean()]
NoiseDevice = Annotated[str, Combo(("gpu", "cpu"))]
UpscaleMethod = Annotated[str, Combo(("bislerp", "nearest-exact", "bilinear", "area", "bicubic"))]


def _with(name: str, **options: Any) -> Sampler:
    """The sampler called ``name`` with options of its function."""
    sampler = find_sampler(name)
    return replace(sampler, function=partial(sampler.function, **options))


@node("KSamplerSelect", category=_CATEGORY, display_name="KSamplerSelect")
def ksampler_select(sampler_name: SamplerName) -> Sampler:
    """A sampler by its name."""
    return find_sampler(sampler_name)


@node("SamplerEulerAncestral", category=_CATEGORY, display_name="SamplerEulerAncestral")
def sampler_euler_ancestral(eta: Share = 1.0, s_noise: Share = 1.0) -> Sampler:
    """euler_ancestral; ``eta`` is how much noise is put back, ``s_noise`` scales it."""
    return _with("euler_ancestral", eta=eta, s_noise=s_noise)


@node("SamplerEulerAncestralCFGPP", category=_CATEGORY, display_name="SamplerEulerAncestralCFG++")
def sampler_euler_ancestral_cfg_pp(eta: UnitShare = 1.0, s_noise: SmallShare = 1.0) -> Sampler:
    """euler_ancestral_cfg_pp; ``eta`` is how much noise is put back, ``s_noise`` scales it."""
    return _with("euler_ancestral_cfg_pp", eta=eta, s_noise=s_noise)


@node("SamplerEulerCFGpp", category="_for_testing", display_name="SamplerEulerCFG++", experimental=True)
def sampler_euler_cfg_pp(version: Annotated[str, Combo(("regular", "alternative"))]) -> Sampler:
    """euler_cfg_pp, or another reading of CFG++."""
    return Sampler(euler_cfg_pp_alternative) if version == "alternative" else find_sampler("euler_cfg_pp")


@node("SamplerLMS", category=_CATEGORY, display_name="SamplerLMS")
def sampler_lms(order: Annotated[int, Int(1, 100)] = 4) -> Sampler:
    """lms; ``order`` is how many derivatives a step goes by."""
    return _with("lms", order=order)


@node("SamplerDPMPP_2S_Ancestral", category=_CATEGORY, display_name="SamplerDPMPP_2S_Ancestral")
def sampler_dpmpp_2s_ancestral(eta: Share = 1.0, s_noise: Share = 1.0) -> Sampler:
    """dpmpp_2s_ancestral; ``eta`` is how much noise is put back, ``s_noise`` scales it."""
    return _with("dpmpp_2s_ancestral", eta=eta, s_noise=s_noise)


@node("SamplerDPMPP_SDE", category=_CATEGORY, display_name="SamplerDPMPP_SDE")
def sampler_dpmpp_sde(*, eta: Share = 1.0, s_noise: Share = 1.0, r: Share = 0.5, noise_device: NoiseDevice) -> Sampler:
    """dpmpp_sde; ``r`` is where a step is parted. The noise is the CPU's on every device."""
    if r == 0:
        raise InputError("r is 0: a step cannot be parted at its start", hint="use a value above 0; 0.5 is usual")
    return _with("dpmpp_sde", eta=eta, s_noise=s_noise, r=r)


@node("SamplerDPMPP_2M_SDE", category=_CATEGORY, display_name="SamplerDPMPP_2M_SDE")
def sampler_dpmpp_2m_sde(
    *,
    solver_type: Annotated[str, Combo(("midpoint", "heun"))],
    eta: Share = 1.0,
    s_noise: Share = 1.0,
    noise_device: NoiseDevice,
) -> Sampler:
    """dpmpp_2m_sde, its second-order term by the midpoint or integrated. The noise is the CPU's on every device."""
    return _with("dpmpp_2m_sde", eta=eta, s_noise=s_noise, solver_type=solver_type)


@node("SamplerDPMPP_3M_SDE", category=_CATEGORY, display_name="SamplerDPMPP_3M_SDE")
def sampler_dpmpp_3m_sde(*, eta: Share = 1.0, s_noise: Share = 1.0, noise_device: NoiseDevice) -> Sampler:
    """dpmpp_3m_sde. The noise is the CPU's on every device."""
    return _with("dpmpp_3m_sde", eta=eta, s_noise=s_noise)


@node("SamplerDPMAdaptative", category=_CATEGORY, display_name="SamplerDPMAdaptative")
def sampler_dpm_adaptive(
    order: Annotated[int, Int(2, 3)] = 3,
    rtol: Share = 0.05,
    atol: Share = 0.0078,
    h_init: Share = 0.05,
    pcoeff: Share = 0.0,
    icoeff: Share = 1.0,
    dcoeff: Share = 0.0,
    accept_safety: Share = 0.81,
    eta: Share = 0.0,
    s_noise: Share = 1.0,
) -> Sampler:
    """dpm_adaptive: its tolerances, the first step's length, and the controller of the following ones."""
    return _with(
        "dpm_adaptive",
        order=order,
        rtol=rtol,
        atol=atol,
        h_init=h_init,
        pcoeff=pcoeff,
        icoeff=icoeff,
        dcoeff=dcoeff,
        accept_safety=accept_safety,
        eta=eta,
        s_noise=s_noise,
    )


@node("SamplerER_SDE", category=_CATEGORY, display_name="SamplerER_SDE")
def sampler_er_sde(
    *,
    solver_type: Annotated[str, Combo(("ER-SDE", "Reverse-time SDE", "ODE"))],
    max_stage: Annotated[int, Int(1, 3)] = 3,
    eta: Share = 1.0,
    s_noise: Share = 1.0,
) -> Sampler:
    """er_sde: which equation, its order, and the noise of the reverse-time one (``eta``)."""
    if solver_type == "ODE" or (solver_type == "Reverse-time SDE" and eta == 0):
        eta, s_noise = 0.0, 0.0
    scaler = extended if solver_type == "ER-SDE" else reverse_time(eta)
    return _with("er_sde", s_noise=s_noise, noise_scaler=scaler, max_stage=max_stage)


@node("SamplerSASolver", category=_CATEGORY, display_name="SamplerSASolver", runs=())
def sampler_sa_solver(
    *,
    model: Model,
    eta: SmallShare = 1.0,
    sde_start_percent: Percent = 0.2,
    sde_end_percent: Percent = 0.8,
    s_noise: Share = 1.0,
    predictor_order: Annotated[int, Int(1, 6)] = 3,
    corrector_order: Annotated[int, Int(0, 6)] = 4,
    use_pece: Switch,
    simple_order_2: Switch,
) -> Sampler:
    """sa_solver: how much noise is put back (``eta``) from where to where, and the orders of its two halves."""
    return _with(
        "sa_solver",
        tau=tau_between(model_sampling(model), sde_start_percent, sde_end_percent, eta),
        s_noise=s_noise,
        predictor_order=predictor_order,
        corrector_order=corrector_order,
        use_pece=use_pece,
        simple_order_2=simple_order_2,
    )


@node("SamplerLCMUpscale", category=_CATEGORY)
def sampler_lcm_upscale(
    *,
    scale_ratio: Annotated[float, Float(0.1, 20.0, step=0.01)] = 1.0,
    scale_steps: Annotated[int, Int(-1, 1000, step=1)] = -1,
    upscale_method: UpscaleMethod,
) -> Sampler:
    """lcm that enlarges the latent between its first steps; -1 leaves their number to it."""

    def resized(latent: Array, width: int, height: int) -> Array:
        return resize(latent, width, height, upscale_method)

    function = partial(
        lcm_upscale, resize=resized, scale=scale_ratio, scale_steps=scale_steps if scale_steps >= 0 else None
    )
    return Sampler(function, noise="continued")
