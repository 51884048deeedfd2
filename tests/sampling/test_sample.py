import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from onnxflow.errors import InputError, ModelError
from onnxflow.sampling import (
    SAMPLERS,
    SD_LATENT_SCALE,
    Array,
    ModelSampling,
    NetworkDenoiser,
    discrete_sampling,
    flow_sampling,
    ksampler_sigmas,
    prepare_noise,
    sample,
    slice_sigmas,
)
from onnxflow.values import Cond, Conditioning

SD = discrete_sampling()
SHAPE = (1, 4, 8, 8)


def text(c: float) -> Conditioning:
    return Conditioning((Cond(np.full((1, 77, 8), c, np.float32)),))


class RawToy:
    """The goldens' toy network as a raw one: it undoes c_in, and turns its denoised latent into predicted noise.

    ``sigmas`` are those of its calls in order: a timestep says only about which noise level it is.
    """

    def __init__(self, denoised: Callable[..., Array], sigmas: Array) -> None:
        self.denoised = denoised
        self.sigmas = iter(sigmas)
        self.timesteps: list[Array] = []

    def __call__(self, x: Array, timestep: Array, context: Array, told: Mapping[str, Array]) -> Array:
        self.timesteps.append(timestep)
        sigma = next(self.sigmas)
        noisy = x * np.sqrt(sigma * sigma + np.float32(1))
        output: Array = (noisy - self.denoised(noisy, sigma, context)) / sigma
        return output


def run(model_call: Any, model_sampling: ModelSampling = SD, **changes: Any) -> Array:
    """A run with everything plain but for ``changes``."""
    arguments: dict[str, Any] = {
        "noise": prepare_noise(SHAPE, 42),
        "latent": np.zeros(SHAPE, np.float32),
        "sigmas": ksampler_sigmas(model_sampling, "normal", "euler", 8),
        "sampler": "euler",
        "cfg": 2.0,
        "positive": text(0.3),
        "negative": text(-0.2),
        "seed": 42,
    }
    return sample(model_call, model_sampling, **{**arguments, **changes})


def smooth(x: Array, timestep: Array, context: Array, told: Mapping[str, Array]) -> Array:
    """A network that predicts something, a function of all it is given."""
    output: Array = np.sin(x + context[:, :1, :1, np.newaxis]) + timestep.reshape(-1, 1, 1, 1) / np.float32(1000)
    return output


def nothing(x: Array, timestep: Array, context: Array, told: Mapping[str, Array]) -> Array:
    """A network that predicts no noise at all."""
    return np.zeros_like(x)


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "ddim"])
@pytest.mark.parametrize("scheduler", ["normal", "karras"])
def test_a_raw_network_gives_the_golden_picture(
    sampler: str,
    scheduler: str,
    golden: Callable[[str], Any],
    toy: Callable[[ModelSampling], Any],
    relative_error: Callable[[Array, Array], float],
) -> None:
    # c_in, timestep and conversion of the output add roundings that the goldens' network does not have.
    sigmas = ksampler_sigmas(SD, scheduler, sampler, 8)
    network = RawToy(toy(SD), sigmas)
    final = run(network, sampler=sampler, sigmas=sigmas)
    assert relative_error(final, golden("samplers").arrays[f"eps_{sampler}_{scheduler}__final"]) < 1e-5
    assert network.timesteps[0].tolist() == [999.0, 999.0]
    assert network.timesteps[0].dtype == np.float32


def test_a_raw_flow_network_gives_the_golden_picture(
    golden: Callable[[str], Any], toy: Callable[[ModelSampling], Any], relative_error: Callable[[Array, Array], float]
) -> None:
    flow = flow_sampling(3.0)

    def network(x: Array, timestep: Array, context: Array, told: Mapping[str, Array]) -> Array:
        sigma = timestep[0] / np.float32(1000)
        output: Array = (x - toy(flow)(x, sigma, context)) / sigma
        return output

    final = run(network, flow, sigmas=ksampler_sigmas(flow, "simple", "euler", 8))
    assert relative_error(final, golden("samplers").arrays["flow_euler_simple__final"]) < 1e-5


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("zero_snr", [False, True])
def test_a_network_that_knows_the_noise_gives_the_latent_back(prediction: str, zero_snr: bool) -> None:
    model = discrete_sampling(prediction, zero_snr=zero_snr)
    answer, noise = prepare_noise(SHAPE, 7), prepare_noise(SHAPE, 8)

    def network(x: Array, timestep: Array, context: Array, told: Mapping[str, Array]) -> Array:
        sigma = model.levels.sigma(timestep[0])
        clean = answer * np.float32(SD_LATENT_SCALE)
        noisy = x * np.sqrt(sigma * sigma + np.float32(1))
        eps = (noisy - clean) / sigma
        v = (eps - clean * sigma) / np.sqrt(sigma * sigma + np.float32(1))
        output: Array = eps if prediction == "epsilon" else v
        return output

    final = run(network, model, noise=noise, sigmas=ksampler_sigmas(model, "simple", "euler", 6))
    assert np.abs(final - answer).max() < (2e-2 if zero_snr and prediction == "epsilon" else 2e-4)


def never(x: Array, timestep: Array, context: Array, told: Mapping[str, Array]) -> Array:
    raise AssertionError("the network was called")


def test_without_sigmas_the_latent_comes_back() -> None:
    latent = prepare_noise(SHAPE, 1)
    assert np.array_equal(run(never, latent=latent, sigmas=np.empty(0, np.float32)), latent)


def test_one_sigma_is_noise_of_its_level_and_no_step() -> None:
    latent, noise = prepare_noise(SHAPE, 1), prepare_noise(SHAPE, 2)
    noised = run(never, latent=latent, noise=noise, sigmas=np.array([3], np.float32))
    assert np.allclose(noised, latent + 3 * noise / SD_LATENT_SCALE, rtol=1e-5, atol=1e-5)


def test_two_stages_are_one_run(toy: Callable[[ModelSampling], Any]) -> None:
    whole = ksampler_sigmas(SD, "karras", "euler", 8)
    once = run(RawToy(toy(SD), whole), sigmas=whole)
    network = RawToy(toy(SD), whole)
    first = run(network, sigmas=slice_sigmas(whole, 0, 4))
    second = run(network, sigmas=slice_sigmas(whole, 4), latent=first, noise=None)
    assert np.abs(second - once).max() < 1e-5 * np.abs(once).max()
    assert np.abs(first - once).max() > 0.1


def test_without_noise_and_prediction_only_the_scale_is_applied() -> None:
    latent = prepare_noise(SHAPE, 1)
    sigmas = slice_sigmas(ksampler_sigmas(SD, "normal", "euler", 8), 4)
    assert np.allclose(run(nothing, latent=latent, noise=None, sigmas=sigmas), latent, rtol=1e-6)


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_what_a_mask_keeps_is_kept(sampler: str) -> None:
    latent = prepare_noise(SHAPE, 1)
    mask = np.zeros((1, 64, 64), np.float32)
    mask[:, 32:] = 1
    sigmas = ksampler_sigmas(SD, "normal", sampler, 8)
    final = run(smooth, latent=latent, noise_mask=mask, sampler=sampler, sigmas=sigmas)
    # Some samplers end at a low noise level instead of 0.
    left = {"dpm_fast": sigmas[-2], "dpm_adaptive": sigmas[-2]}.get(sampler, SAMPLERS[sampler].ends_at)
    assert np.abs(final[:, :, :4] - latent[:, :, :4]).max() < 2e-5 + 4 * left / SD_LATENT_SCALE
    assert np.abs(final[:, :, 4:] - latent[:, :, 4:]).mean() > 1


def test_only_ddim_covers_the_kept_part_with_noise_of_the_next_seed() -> None:
    seen: list[Array] = []

    def network(x: Array, timestep: Array, context: Array, told: Mapping[str, Array]) -> Array:
        seen.append(x)
        return np.zeros_like(x)

    for sampler, noise in (("euler", prepare_noise(SHAPE, 42)), ("ddim", prepare_noise(SHAPE, 43))):
        seen.clear()
        run(network, sampler=sampler, noise_mask=np.zeros((1, 8, 8)), sigmas=np.array([2, 0], np.float32), cfg=1.0)
        assert np.allclose(seen[0], noise * 2 / np.sqrt(5), atol=1e-6)


def test_inputs_stay_as_they_are() -> None:
    inputs: dict[str, Any] = {
        "latent": prepare_noise(SHAPE, 1),
        "noise": prepare_noise(SHAPE, 2),
        "noise_mask": np.ones((1, 8, 8)),
    }
    before = {name: values.copy() for name, values in inputs.items()}
    for values in inputs.values():
        values.flags.writeable = False
    for sampler in SAMPLERS:
        run(smooth, sampler=sampler, **inputs)
    for name, values in inputs.items():
        assert np.array_equal(values, before[name])


def test_a_batch_is_its_samples_one_by_one() -> None:
    latent, noise = prepare_noise((3, 4, 8, 8), 1), prepare_noise((3, 4, 8, 8), 2)
    whole = run(smooth, latent=latent, noise=noise, max_batch=4)
    for k in range(3):
        one = run(smooth, latent=latent[k : k + 1], noise=noise[k : k + 1])
        assert np.array_equal(whole[k : k + 1], one)


def test_a_listener_can_end_the_run_between_steps() -> None:
    calls: list[Array] = []

    class StopError(Exception):
        pass

    def network(x: Array, timestep: Array, context: Array, told: Mapping[str, Array]) -> Array:
        calls.append(timestep)
        return np.zeros_like(x)

    def on_step(k: int, n: int, x: Array, denoised: Array) -> None:
        assert n == 8
        if k == 2:
            raise StopError

    with pytest.raises(StopError):
        run(network, on_step=on_step)
    assert len(calls) == 3


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"latent": np.full(SHAPE, np.nan)}, "latent contains NaN"),
        ({"noise": np.full(SHAPE, np.inf)}, "noise contains NaN or infinity"),
        ({"latent": np.zeros((4, 8, 8))}, "expected \\[batch"),
        ({"latent": np.zeros((1, 4, 8, 9))}, "must be equal"),
        ({"sigmas": np.array([1, 0, 2], np.float32)}, "sigma 1 of 3 is 0.0"),
        ({"sigmas": np.array([1, np.nan, 0], np.float32)}, "sigma 1 of 3 is nan"),
        ({"sampler": "eulr"}, "unknown sampler"),
        ({"cfg": math.nan}, "cfg"),
        ({"seed": 2**64}, "seed"),
        ({"noise_mask": np.full((1, 8, 8), np.nan)}, "mask"),
        ({"positive": Conditioning(())}, "no entry"),
    ],
)
def test_bad_input_is_one_clear_error(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        run(nothing, **changes)


def test_a_network_with_an_output_of_another_shape_is_named() -> None:
    denoiser = NetworkDenoiser(lambda x, timestep, context, told: x[:, :3], SD)
    with pytest.raises(ModelError, match=r"\[1, 3, 8, 8\]"):
        denoiser(np.zeros(SHAPE, np.float32), np.float32(1), np.zeros((1, 77, 8), np.float32))
