"""The samplers there are, and what each needs from the run around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal

from onnxflow.errors import InputError, did_you_mean
from onnxflow.sampling.protocols import SamplerFunction
from onnxflow.sampling.samplers.adams import ipndm, ipndm_v, lms
from onnxflow.sampling.samplers.deis import deis
from onnxflow.sampling.samplers.dpm_2 import dpm_2, dpm_2_ancestral
from onnxflow.sampling.samplers.dpm_solver import dpm_adaptive, dpm_fast
from onnxflow.sampling.samplers.dpmpp import (
    dpmpp_2m,
    dpmpp_2m_cfg_pp,
    dpmpp_2s_ancestral,
    dpmpp_2s_ancestral_cfg_pp,
)
from onnxflow.sampling.samplers.dpmpp_sde import dpmpp_2m_sde, dpmpp_2m_sde_heun, dpmpp_3m_sde, dpmpp_sde
from onnxflow.sampling.samplers.er_sde import er_sde
from onnxflow.sampling.samplers.euler import euler, euler_ancestral, euler_ancestral_cfg_pp, euler_cfg_pp
from onnxflow.sampling.samplers.gradient_estimation import gradient_estimation, gradient_estimation_cfg_pp
from onnxflow.sampling.samplers.heun import heun, heunpp2
from onnxflow.sampling.samplers.renoise import ddpm, lcm
from onnxflow.sampling.samplers.res_multistep import (
    res_multistep,
    res_multistep_ancestral,
    res_multistep_ancestral_cfg_pp,
    res_multistep_cfg_pp,
)
from onnxflow.sampling.samplers.sa_solver import sa_solver, sa_solver_pece
from onnxflow.sampling.samplers.seeds import seeds_2, seeds_3
from onnxflow.sampling.samplers.uni_pc import CLEAN, uni_pc, uni_pc_bh2

StepNoise = Literal["stream", "brownian", "continued"]
"""Where a sampler's noise comes from: ``stream`` one draw after the other by the seed rule, ``brownian`` a Brownian
path over the noise levels, ``continued`` the draws that follow the starting noise."""


@dataclass(frozen=True, slots=True)
class Sampler:
    """A sampler function and what it needs from the run around it.

    ``fresh_mask_noise``: what a noise mask keeps is covered with noise of the next seed, not with the starting noise.
    ``ends_at`` is the level at which it takes a latent for clean.
    """

    SOCKET: ClassVar[str] = "SAMPLER"
    function: SamplerFunction
    noise: StepNoise = "stream"
    fresh_mask_noise: bool = False
    ends_at: float = 0.0


SAMPLERS: Mapping[str, Sampler] = MappingProxyType(
    {
        "euler": Sampler(euler),
        "euler_cfg_pp": Sampler(euler_cfg_pp),
        "euler_ancestral": Sampler(euler_ancestral),
        "euler_ancestral_cfg_pp": Sampler(euler_ancestral_cfg_pp),
        "heun": Sampler(heun),
        "heunpp2": Sampler(heunpp2),
        "dpm_2": Sampler(dpm_2),
        "dpm_2_ancestral": Sampler(dpm_2_ancestral),
        "lms": Sampler(lms),
        "dpm_fast": Sampler(dpm_fast),
        "dpm_adaptive": Sampler(dpm_adaptive),
        "dpmpp_2s_ancestral": Sampler(dpmpp_2s_ancestral),
        "dpmpp_2s_ancestral_cfg_pp": Sampler(dpmpp_2s_ancestral_cfg_pp),
        "dpmpp_sde": Sampler(dpmpp_sde, "brownian"),
        "dpmpp_sde_gpu": Sampler(dpmpp_sde, "brownian"),
        "dpmpp_2m": Sampler(dpmpp_2m),
        "dpmpp_2m_cfg_pp": Sampler(dpmpp_2m_cfg_pp),
        "dpmpp_2m_sde": Sampler(dpmpp_2m_sde, "brownian"),
        "dpmpp_2m_sde_gpu": Sampler(dpmpp_2m_sde, "brownian"),
        "dpmpp_2m_sde_heun": Sampler(dpmpp_2m_sde_heun, "brownian"),
        "dpmpp_2m_sde_heun_gpu": Sampler(dpmpp_2m_sde_heun, "brownian"),
        "dpmpp_3m_sde": Sampler(dpmpp_3m_sde, "brownian"),
        "dpmpp_3m_sde_gpu": Sampler(dpmpp_3m_sde, "brownian"),
        "ddpm": Sampler(ddpm),
        "lcm": Sampler(lcm),
        "ipndm": Sampler(ipndm),
        "ipndm_v": Sampler(ipndm_v),
        "deis": Sampler(deis),
        "res_multistep": Sampler(res_multistep),
        "res_multistep_cfg_pp": Sampler(res_multistep_cfg_pp),
        "res_multistep_ancestral": Sampler(res_multistep_ancestral),
        "res_multistep_ancestral_cfg_pp": Sampler(res_multistep_ancestral_cfg_pp),
        "gradient_estimation": Sampler(gradient_estimation),
        "gradient_estimation_cfg_pp": Sampler(gradient_estimation_cfg_pp),
        "er_sde": Sampler(er_sde),
        "seeds_2": Sampler(seeds_2),
        "seeds_3": Sampler(seeds_3),
        "sa_solver": Sampler(sa_solver),
        "sa_solver_pece": Sampler(sa_solver_pece),
        # Song et al. (2021) DDIM with eta 0 is Euler's method in sigma (their section 4.3).
        "ddim": Sampler(euler, fresh_mask_noise=True),
        "uni_pc": Sampler(uni_pc, ends_at=CLEAN),
        "uni_pc_bh2": Sampler(uni_pc_bh2, ends_at=CLEAN),
    }
)
"""The samplers by name, in ComfyUI's order. Those called ``_gpu`` there draw their noise on the graphics card, whose
generator is another one; here they are their namesakes."""


def find_sampler(name: str) -> Sampler:
    """The sampler called ``name``; InputError with the nearest names and the list when there is none."""
    sampler = SAMPLERS.get(name)
    if sampler is None:
        raise InputError(
            f"unknown sampler {name!r}",
            where="sampler",
            hint=f"{did_you_mean(name, SAMPLERS)} available: {', '.join(SAMPLERS)}",
        )
    return sampler
