"""What A1111, Forge and SD.Next call samplers and schedules, and what ComfyUI calls them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from onnxflow.errors import Problem, did_you_mean, shown


class _Known(NamedTuple):
    """ComfyUI's sampler; the schedule for ``Schedule type: Automatic``, and where the text names none."""

    name: str
    automatic: str = "normal"
    usual: str = "normal"


_SAMPLERS: Final[Mapping[str, _Known]] = {
    "Euler": _Known("euler"),
    "Euler a": _Known("euler_ancestral"),
    "Euler CFG++": _Known("euler_cfg_pp"),
    "Euler a CFG++": _Known("euler_ancestral_cfg_pp"),
    "Heun": _Known("heun"),
    "HeunPP2": _Known("heunpp2"),
    "LMS": _Known("lms"),
    "LMSD": _Known("lms"),
    "DPM2": _Known("dpm_2", "karras"),
    "KDPM2": _Known("dpm_2"),
    "DPM2 a": _Known("dpm_2_ancestral", "karras"),
    "KDPM2 a": _Known("dpm_2_ancestral"),
    "DPM fast": _Known("dpm_fast"),
    "DPM adaptive": _Known("dpm_adaptive"),
    "DPM++ 2S a": _Known("dpmpp_2s_ancestral", "karras"),
    "DPM++ 2S a CFG++": _Known("dpmpp_2s_ancestral_cfg_pp", "karras"),
    "DPM++ SDE": _Known("dpmpp_sde", "karras"),
    "DPM++ 2M": _Known("dpmpp_2m", "karras"),
    "DPM++ 2M CFG++": _Known("dpmpp_2m_cfg_pp", "karras"),
    "DPM++ 2M SDE": _Known("dpmpp_2m_sde", "exponential"),
    "DPM++ 2M SDE Heun": _Known("dpmpp_2m_sde_heun", "exponential"),
    "DPM++ 3M SDE": _Known("dpmpp_3m_sde", "exponential"),
    "DDIM": _Known("ddim", "ddim_uniform", "ddim_uniform"),
    "DDPM": _Known("ddpm"),
    "UniPC": _Known("uni_pc"),
    "LCM": _Known("lcm"),
    "IPNDM": _Known("ipndm"),
    "IPNDM_V": _Known("ipndm_v"),
    "DEIS": _Known("deis"),
    "Res Multistep": _Known("res_multistep"),
    "Gradient Estimation": _Known("gradient_estimation"),
    "ER SDE": _Known("er_sde"),
    "SA Solver": _Known("sa_solver"),
}
_SCHEDULES: Final[Mapping[str, str]] = {
    "Automatic": "",
    "Uniform": "normal",
    "Normal": "normal",
    "Karras": "karras",
    "Exponential": "exponential",
    "Polyexponential": "exponential",  # equal for rho 1, which is what A1111 takes unless the text has a Schedule rho
    "SGM Uniform": "sgm_uniform",
    "SGMUniform": "sgm_uniform",
    "KL Optimal": "kl_optimal",
    "Simple": "simple",
    "DDIM": "ddim_uniform",
    "DDIM Uniform": "ddim_uniform",
    "Beta": "beta",
    "Linear Quadratic": "linear_quadratic",
}


def _plain(name: str) -> str:
    """Names are compared without case; custom nodes of ComfyUI write its own names, with underscores."""
    return " ".join(name.casefold().replace("_", " ").split())


# ComfyUI's own names first: where one equals a name of A1111's (DDIM, LCM), A1111's meaning counts.
_BY_NAME: Final = {_plain(known.name): known._replace(automatic="normal") for known in _SAMPLERS.values()} | {
    _plain(name): known for name, known in _SAMPLERS.items()
}
_BY_SCHEDULE: Final = {_plain(name): schedule for name, schedule in _SCHEDULES.items()}
_WITHOUT: Final = ("restart", "plms", "ddim cfg++", "align your steps", "turbo")
"""Of A1111 and Forge, with nothing like them among what a KSampler takes."""
_SUFFIXES: Final = sorted((name for name in _BY_SCHEDULE if name != "automatic"), key=len, reverse=True)


class SamplerChoice(NamedTuple):
    """A sampler and a schedule by ComfyUI's names."""

    sampler: str
    scheduler: str


def is_schedule(name: str) -> bool:
    """Whether ``name`` is a schedule's."""
    return _plain(name) in _BY_SCHEDULE


def find_sampler(name: str, schedule: str | None) -> SamplerChoice | Problem:
    """What the text's ``Sampler`` and ``Schedule type`` are in ComfyUI, or the Problem: a name without a counterpart.

    Texts before 2024 have no schedule (None), but perhaps one in the sampler's name: ``DPM++ 2M Karras``.
    """
    plain = _plain(name)
    known, within = _BY_NAME.get(plain), None
    if known is None:
        suffix = next((suffix for suffix in _SUFFIXES if plain.endswith(" " + suffix)), None)
        if suffix is not None:
            known, within = _BY_NAME.get(plain.removesuffix(" " + suffix)), _BY_SCHEDULE[suffix]
    if known is None:
        return _unknown("sampler", name, _SAMPLERS)
    if schedule is None:
        return SamplerChoice(known.name, within or known.usual)
    if not is_schedule(schedule):
        return _unknown("schedule", schedule, _SCHEDULES)
    return SamplerChoice(known.name, _BY_SCHEDULE[_plain(schedule)] or within or known.automatic)


def _unknown(what: str, name: str, names: Mapping[str, str] | Mapping[str, _Known]) -> Problem:
    message = f"ComfyUI's KSampler has no {what} that A1111 would call {shown(name[:100])}"
    near = "" if _plain(name) in _WITHOUT else name[:100]
    return Problem("value_not_in_list", message, hint=did_you_mean(near, names, what=f"{what}s", limit=40))
