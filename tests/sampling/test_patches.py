from dataclasses import dataclass

import numpy as np
import pytest

from onnxflow.errors import InputError
from onnxflow.sampling import ModelSampling, discrete_sampling, flow_sampling
from onnxflow.sampling.model_sampling import continuous_sampling, flux_sampling
from onnxflow.sampling.patches import (
    ContinuousVSampling,
    DiscreteSampling,
    EdmSampling,
    FlowSampling,
    FluxSampling,
    RescaledGuidance,
    SamplingPatch,
    patched_sampling,
    sampling_patch,
)


@dataclass(frozen=True)
class Trained:
    """A model's constants, none of them the usual ones."""

    prediction: str = "v"
    schedule: str = "linear"
    beta_start: float = 0.0001
    beta_end: float = 0.02
    timesteps: int = 500
    zero_snr: bool = True


def same(one: ModelSampling, other: ModelSampling) -> bool:
    return (
        type(one.levels) is type(other.levels)
        and type(one.prediction) is type(other.prediction)
        and np.array_equal(one.levels.sigmas, other.levels.sigmas)
    )


def trained(prediction: str, *, zero_snr: bool) -> ModelSampling:
    return discrete_sampling(
        prediction, schedule="linear", beta_start=0.0001, beta_end=0.02, timesteps=500, zero_snr=zero_snr
    )


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        (None, trained("v", zero_snr=True)),
        *((DiscreteSampling(p), trained(p, zero_snr=False)) for p in ("eps", "v_prediction", "lcm", "x0")),
        (DiscreteSampling("img_to_img", zero_snr=True), trained("img_to_img", zero_snr=True)),
        (EdmSampling("edm", 80.0, 0.01), continuous_sampling("edm", sigma_max=80.0, sigma_min=0.01)),
        (ContinuousVSampling(80.0, 0.01), continuous_sampling("angle", sigma_max=80.0, sigma_min=0.01)),
        (FlowSampling(2.0), flow_sampling(2.0)),
        (FlowSampling(2.0, 1.0), flow_sampling(2.0, multiplier=1.0)),
        (FluxSampling(0.7), flux_sampling(0.7)),
    ],
)
def test_a_patch_says_how_the_network_is_sampled(patch: SamplingPatch | None, expected: ModelSampling) -> None:
    found = patched_sampling(Trained(), patch)
    assert same(found, expected)
    if isinstance(patch, FlowSampling):
        assert found.levels.timestep(np.float32(0.5)) == np.float32(0.5 * patch.multiplier)


def test_the_last_sampling_patch_counts() -> None:
    first, last, other = DiscreteSampling("lcm"), FluxSampling(1.0), RescaledGuidance(0.7)
    assert sampling_patch(()) is None
    assert sampling_patch((other,)) is None
    assert sampling_patch((first, last, other)) is last
    assert sampling_patch((last, first)) is first


def test_patches_are_values() -> None:
    assert DiscreteSampling("eps") == DiscreteSampling("eps")
    assert len({FlowSampling(3.0), FlowSampling(3.0), FluxSampling(3.0), RescaledGuidance(0.7)}) == 3
    assert EdmSampling("edm", 2.0, 1.0) != ContinuousVSampling(2.0, 1.0)


def test_values_that_make_no_sampling_are_refused() -> None:
    for patch in (DiscreteSampling("epps"), FlowSampling(0.0), EdmSampling("edm", 1.0, 2.0), FluxSampling(1000.0)):
        with pytest.raises(InputError):
            patch.model_sampling(Trained())
