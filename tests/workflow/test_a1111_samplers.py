"""Names of samplers and schedules: what each is in ComfyUI."""

from __future__ import annotations

import pytest

from onnxflow.errors import Problem
from onnxflow.sampling import SCHEDULES
from onnxflow.sampling import find_sampler as our_sampler
from onnxflow.workflow import a1111_samplers
from onnxflow.workflow.a1111_samplers import find_sampler


@pytest.mark.parametrize(
    ("name", "schedule", "expected"),
    [
        ("Euler a", None, ("euler_ancestral", "normal")),
        ("Euler", "Automatic", ("euler", "normal")),
        ("DPM++ 2M Karras", None, ("dpmpp_2m", "karras")),
        ("DPM++ 2M", None, ("dpmpp_2m", "normal")),
        ("DPM++ 2M", "Automatic", ("dpmpp_2m", "karras")),
        ("DPM++ 2M", "Karras", ("dpmpp_2m", "karras")),
        ("DPM++ 2M Karras", "Automatic", ("dpmpp_2m", "karras")),
        ("DPM++ 2M Karras", "Exponential", ("dpmpp_2m", "exponential")),
        ("DPM++ 2M SDE Heun Exponential", None, ("dpmpp_2m_sde_heun", "exponential")),
        ("DPM++ 3M SDE", "Automatic", ("dpmpp_3m_sde", "exponential")),
        ("DPM++ 2M SGM Uniform", None, ("dpmpp_2m", "sgm_uniform")),
        ("dpm++ sde  karras", None, ("dpmpp_sde", "karras")),
        ("DPM2 a Karras", None, ("dpm_2_ancestral", "karras")),
        ("DDIM", None, ("ddim", "ddim_uniform")),
        ("DDIM", "Automatic", ("ddim", "ddim_uniform")),
        ("DDIM", "Uniform", ("ddim", "normal")),
        ("UniPC", None, ("uni_pc", "normal")),
        ("LCM", "SGMUniform", ("lcm", "sgm_uniform")),
        ("Heun", "DDIM", ("heun", "ddim_uniform")),
        ("dpmpp_2m_karras", None, ("dpmpp_2m", "karras")),
        ("euler_ancestral", None, ("euler_ancestral", "normal")),
    ],
)
def test_names(name: str, schedule: str | None, expected: tuple[str, str]) -> None:
    assert find_sampler(name, schedule) == expected


def test_every_counterpart_is_one_of_ours() -> None:
    for name in a1111_samplers._SAMPLERS:
        for schedule in (None, *a1111_samplers._SCHEDULES):
            found = find_sampler(name, schedule)
            assert not isinstance(found, Problem)
            assert our_sampler(found.sampler) and found.scheduler in SCHEDULES


@pytest.mark.parametrize(
    ("name", "schedule", "hint"),
    [
        ("Restart", None, "samplers: Euler, Euler a"),
        ("PLMS", None, "samplers: Euler, Euler a"),
        ("DPM++ 2N", None, "did you mean 'DPM++ 2M'"),
        ("Karras", None, "samplers: "),
        ("", None, "samplers: "),
        ("Euler", "Align Your Steps", "schedules: Automatic"),
        ("Euler", "karas", "did you mean 'Karras'"),
    ],
)
def test_names_without_a_counterpart_are_problems_with_the_nearest(name: str, schedule: str | None, hint: str) -> None:
    found = find_sampler(name, schedule)
    assert isinstance(found, Problem) and found.hint.startswith(hint) and found.code == "value_not_in_list"
