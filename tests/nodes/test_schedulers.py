"""BasicScheduler, KarrasScheduler and the other nodes that make a schedule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from onnxflow.errors import InputError
from onnxflow.models.bundle import open_bundle
from onnxflow.models.store import embedded_folder
from onnxflow.nodes import schedulers as nodes
from onnxflow.nodes.catalog import builtin_catalog, specs_of
from onnxflow.nodes.model_sampling import model_sampling, model_sampling_sd3
from onnxflow.nodes.spec import NodeSpec
from onnxflow.sampling import Array, flow_sampling, ramps
from onnxflow.sampling.align_your_steps import align_your_steps
from onnxflow.sampling.schedules import beta, calculate_sigmas, turbo_sigmas
from onnxflow.values import Model, Sigmas

MODEL = Model(open_bundle(embedded_folder()))
CATALOG = builtin_catalog()
SD = model_sampling(MODEL)


def sigmas(spec: NodeSpec, **inputs: Any) -> Array:
    found = spec.function(**inputs)
    assert isinstance(found, Sigmas)
    assert found.values.dtype == np.float32
    return found.values


@pytest.mark.parametrize(
    ("spec", "inputs", "expected"),
    [
        (nodes.basic_scheduler, {"model": MODEL, "scheduler": "normal"}, calculate_sigmas(SD, "normal", 20)),
        (nodes.karras_scheduler, {}, ramps.karras(20, 0.0291675, 14.614642, 7.0)),
        (nodes.karras_scheduler, {"sigma_max": 80.0, "sigma_min": 1.0, "rho": 3.0}, ramps.karras(20, 1.0, 80.0, 3.0)),
        (nodes.exponential_scheduler, {"steps": 5}, ramps.exponential(5, 0.0291675, 14.614642)),
        (nodes.polyexponential_scheduler, {"rho": 2.0}, ramps.polyexponential(20, 0.0291675, 14.614642, 2.0)),
        (nodes.laplace_scheduler, {"mu": 1.0}, ramps.laplace(20, 0.0291675, 14.614642, 1.0, 0.5)),
        (nodes.vp_scheduler, {"beta_d": 5.0}, ramps.vp(20, 5.0, 0.1, 0.001)),
        (nodes.beta_sampling_scheduler, {"model": MODEL, "alpha": 2.0}, beta(SD.levels, 20, a=2.0, b=0.6)),
        (nodes.sd_turbo_scheduler, {"model": MODEL, "steps": 3, "denoise": 0.7}, turbo_sigmas(SD, 3, 0.7)),
        (nodes.align_your_steps_scheduler, {"model_type": "SDXL"}, align_your_steps("SDXL", 10)),
    ],
)
def test_each_node_gives_its_schedule(spec: NodeSpec, inputs: dict[str, Any], expected: Array) -> None:
    assert np.array_equal(sigmas(spec, **inputs), expected)


def test_a_schedule_is_of_the_patched_model() -> None:
    flow = model_sampling_sd3.function(model=MODEL, shift=2.0)
    expected = calculate_sigmas(flow_sampling(2.0), "simple", 20)
    assert np.array_equal(sigmas(nodes.basic_scheduler, model=flow, scheduler="simple"), expected)


def test_without_denoise_there_is_no_schedule() -> None:
    assert sigmas(nodes.basic_scheduler, model=MODEL, scheduler="karras", denoise=0.0).shape == (0,)
    assert sigmas(nodes.align_your_steps_scheduler, model_type="SD1", denoise=0.0).shape == (0,)
    assert np.array_equal(sigmas(nodes.sd_turbo_scheduler, model=MODEL, denoise=0.0), [0])


@pytest.mark.parametrize(
    ("spec", "inputs", "named"),
    [
        (nodes.basic_scheduler, {"model": MODEL, "scheduler": "kl_optimal", "steps": 1}, "nan"),
        (nodes.karras_scheduler, {"rho": 0.0}, "rho"),
        (nodes.exponential_scheduler, {"sigma_min": 0.0}, "sigma_min"),
        (nodes.polyexponential_scheduler, {"sigma_max": 0.0}, "sigma_max"),
        (nodes.laplace_scheduler, {"sigma_max": 0.0}, "sigma_max"),
        (nodes.vp_scheduler, {"beta_d": 5000.0}, "beta_d"),
        (nodes.beta_sampling_scheduler, {"model": MODEL, "beta": 0.0}, "beta 0.0"),
    ],
)
def test_numbers_that_make_no_schedule_are_refused(spec: NodeSpec, inputs: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        spec.function(**inputs)


def test_the_catalog_has_them_and_none_runs_a_network() -> None:
    found = {spec.name for spec in specs_of(nodes)}
    assert found == {
        *("BasicScheduler", "KarrasScheduler", "ExponentialScheduler", "PolyexponentialScheduler"),
        *("LaplaceScheduler", "VPScheduler", "BetaSamplingScheduler", "SDTurboScheduler", "AlignYourStepsScheduler"),
    }
    assert all(CATALOG[name].runs == () for name in found)
