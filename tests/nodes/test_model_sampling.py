"""ModelSamplingDiscrete, -ContinuousEDM, -ContinuousV, -SD3, -Flux and RescaleCFG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import FakeLoader, disk_at, workflow

from onnxflow.engine.run import run_workflow
from onnxflow.errors import InputError, WorkflowError
from onnxflow.models.bundle import open_bundle
from onnxflow.models.store import embedded_folder
from onnxflow.nodes import model_sampling as nodes
from onnxflow.nodes.catalog import builtin_catalog, specs_of
from onnxflow.nodes.spec import NodeSpec
from onnxflow.providers.session import SessionCache
from onnxflow.sampling import discrete_sampling
from onnxflow.sampling.levels import AngleLevels, EdmLevels, FluxLevels
from onnxflow.sampling.patches import (
    ContinuousVSampling,
    DiscreteSampling,
    EdmSampling,
    FlowSampling,
    FluxSampling,
    RescaledGuidance,
)
from onnxflow.values import Model

MODEL = Model(open_bundle(embedded_folder()))
CATALOG = builtin_catalog()


def patched(spec: NodeSpec, model: Model = MODEL, **inputs: Any) -> Model:
    found = spec.function(model=model, **inputs)
    assert isinstance(found, Model)
    assert found.source is model.source
    assert found.patches[:-1] == model.patches
    return found


def test_every_node_adds_its_patch() -> None:
    made = {
        DiscreteSampling("lcm", True): (nodes.model_sampling_discrete, {"sampling": "lcm", "zsnr": True}),
        DiscreteSampling("eps"): (nodes.model_sampling_discrete, {"sampling": "eps"}),
        EdmSampling("edm", 120.0, 0.002): (nodes.model_sampling_continuous_edm, {"sampling": "edm"}),
        ContinuousVSampling(500.0, 0.03): (nodes.model_sampling_continuous_v, {"sampling": "v_prediction"}),
        FlowSampling(3.0): (nodes.model_sampling_sd3, {}),
        RescaledGuidance(0.7): (nodes.rescale_cfg, {}),
    }
    model = MODEL
    for patch, (spec, inputs) in made.items():
        model = patched(spec, model, **inputs)
        assert model.patches[-1] == patch
    assert MODEL.patches == ()


@pytest.mark.parametrize(
    ("inputs", "shift"),
    [
        ({"width": 256, "height": 256}, 0.5),
        ({"width": 1024, "height": 1024}, 1.15),
        ({"width": 1024, "height": 512}, 0.5 + 0.65 * (2048 - 256) / 3840),
        ({"width": 1024, "height": 1024, "max_shift": 2.0, "base_shift": 0.0}, 2.0),
    ],
)
def test_the_shift_of_flux_grows_with_the_picture(inputs: dict[str, Any], shift: float) -> None:
    (patch,) = patched(nodes.model_sampling_flux, **inputs).patches
    assert isinstance(patch, FluxSampling)
    assert patch.shift == pytest.approx(shift, rel=1e-12)


def test_the_last_node_counts_and_the_model_itself_without_one() -> None:
    trained = nodes.model_sampling(MODEL)
    assert np.array_equal(trained.levels.sigmas, discrete_sampling().levels.sigmas)
    assert type(nodes.model_sampling(patched(nodes.rescale_cfg)).levels) is type(trained.levels)
    flux = patched(nodes.model_sampling_flux)
    assert isinstance(nodes.model_sampling(flux).levels, FluxLevels)
    v = patched(nodes.rescale_cfg, patched(nodes.model_sampling_continuous_v, flux, sampling="v_prediction"))
    assert isinstance(nodes.model_sampling(v).levels, AngleLevels)
    edm = patched(nodes.model_sampling_continuous_edm, v, sampling="cosmos_rflow", sigma_max=80.0)
    assert isinstance(nodes.model_sampling(edm).levels, EdmLevels)
    assert nodes.model_sampling(edm).sigma_max == pytest.approx(80)


def test_the_node_says_whether_the_schedule_ends_in_pure_noise() -> None:
    zero = patched(nodes.model_sampling_discrete, sampling="v_prediction", zsnr=True)
    assert nodes.model_sampling(zero).sigma_max > 4000
    assert nodes.model_sampling(patched(nodes.model_sampling_discrete, zero, sampling="eps")).sigma_max < 15


def test_a_model_sampling_is_made_once() -> None:
    one = patched(nodes.model_sampling_sd3, shift=2.5)
    other = patched(nodes.rescale_cfg, patched(nodes.model_sampling_sd3, shift=2.5))
    assert nodes.model_sampling(one) is nodes.model_sampling(other)
    assert nodes.model_sampling(one) is not nodes.model_sampling(MODEL)


@pytest.mark.parametrize(
    ("spec", "inputs", "named"),
    [
        (nodes.model_sampling_sd3, {"shift": 0.0}, "shift is 0.0"),
        (nodes.model_sampling_continuous_edm, {"sampling": "edm", "sigma_min": 0.0}, "sigma_min 0.0"),
        (nodes.model_sampling_continuous_edm, {"sampling": "eps", "sigma_min": 9.0, "sigma_max": 3.0}, "sigma_max 3.0"),
        (nodes.model_sampling_continuous_v, {"sampling": "v_prediction", "sigma_max": 0.0}, "sigma_max 0.0"),
        (nodes.model_sampling_flux, {"max_shift": 100.0, "width": 16384}, "shift is"),
        (nodes.model_sampling_continuous_edm, {"sampling": "edm_playground_v2.5"}, "not in this version"),
    ],
)
def test_values_that_make_no_sampling_are_refused_at_the_node(
    spec: NodeSpec, inputs: dict[str, Any], named: str
) -> None:
    with pytest.raises(InputError, match=named):
        spec.function(model=MODEL, **inputs)


def graph(**between: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "m": ("CheckpointLoaderSimple", {"ckpt_name": "onnxflow-tiny"}),
        "p": ("CLIPTextEncode", {"text": "a star", "clip": ("m", 1)}),
        "l": ("EmptyLatentImage", {"width": 64, "height": 32, "batch_size": 1}),
        **between,
        "k": (
            "KSampler",
            {
                "model": (list(between)[-1], 0), "seed": 1, "steps": 3, "cfg": 1.0, "sampler_name": "euler",
                "scheduler": "normal", "positive": ("p", 0), "negative": ("p", 0), "latent_image": ("l", 0),
                "denoise": 1.0,
            },
        ),
        "d": ("VAEDecode", {"samples": ("k", 0), "vae": ("m", 2)}),
        "s": ("SaveImage", {"images": ("d", 0), "filename_prefix": "x"}),
    }  # fmt: skip


def test_a_patched_model_runs_its_network_with_other_timesteps(tmp_path: Path) -> None:
    told: list[list[float]] = []

    class Loader(FakeLoader):
        def __call__(self, source: Any, key: Any, cancel: Any) -> Any:
            loaded = super().__call__(source, key, cancel)
            if key.component == "unet":
                compute = loaded.compute

                def listening(feeds: Any) -> Any:
                    told[-1].append(float(np.asarray(feeds["timestep"]).reshape(-1)[0]))
                    return compute(feeds)

                loaded.compute = listening
            return loaded

    for between in (
        ("ModelSamplingDiscrete", {"model": ("m", 0), "sampling": "lcm", "zsnr": False}),
        ("ModelSamplingSD3", {"model": ("m", 0), "shift": 1.0}),
    ):
        told.append([])
        run_workflow(workflow(**graph(x=between)), CATALOG, disk_at(tmp_path), SessionCache(Loader()))
    lcm, flow = told
    assert lcm[0] == 999
    assert all(t % 20 == 19 for t in lcm)
    assert flow[0] == pytest.approx(1000)


def test_playground_is_refused_before_the_run(tmp_path: Path) -> None:
    inputs = {"model": ("m", 0), "sampling": "edm_playground_v2.5", "sigma_max": 80.0, "sigma_min": 0.002}
    with pytest.raises(WorkflowError, match="not in this version"):
        run_workflow(
            workflow(**graph(x=("ModelSamplingContinuousEDM", inputs))),
            CATALOG,
            disk_at(tmp_path),
            SessionCache(FakeLoader()),
        )


def test_the_catalog_has_them_and_none_runs_a_network() -> None:
    found = {spec.name for spec in specs_of(nodes)}
    assert found == {
        *("ModelSamplingDiscrete", "ModelSamplingContinuousEDM", "ModelSamplingContinuousV"),
        *("ModelSamplingSD3", "ModelSamplingFlux", "RescaleCFG"),
    }
    assert all(CATALOG[name].runs == () for name in found)
