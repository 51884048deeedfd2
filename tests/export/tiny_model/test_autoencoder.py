# ruff: noqa: E402
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from diffusers import AutoencoderKL

from onnxflow.export.tiny_model.autoencoder import (
    LATENT_SCALE,
    build_autoencoder,
    decode,
    encode,
    normalise_latents,
    phase_at,
    to_pictures,
    to_tensor,
)
from onnxflow.export.tiny_model.config import read_recipe
from onnxflow.export.tiny_model.renderer import render
from onnxflow.export.tiny_model.scenes import Background, Scene, random_scene

RECIPE = read_recipe()


@pytest.fixture(scope="module")
def network() -> AutoencoderKL:
    return build_autoencoder(replace(RECIPE, autoencoder=replace(RECIPE.autoencoder, channels=(16, 16, 16, 16)))).eval()


def pictures(count: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.stack([render(random_scene(rng, 0.3)) for _ in range(count)])


def test_it_is_stable_diffusions_class_and_factor(network: AutoencoderKL) -> None:
    latents = encode(network, pictures(2))
    assert latents.shape == (2, 4, 16, 16)
    assert network.config.scaling_factor == 0.18215


@pytest.mark.parametrize("colour", ["red", "green", "blue", "white", "black"])
def test_an_untrained_one_keeps_the_colour_of_a_plain_picture(network: AutoencoderKL, colour: str) -> None:
    picture = render(Scene(Background("plain", colour), ()))
    again = decode(network, encode(network, picture[None]))[0]
    middle = again[32:96, 32:96].reshape(-1, 3).mean(0)
    assert np.corrcoef(np.append(middle, [0, 255]), np.append(picture[0, 0], [0, 255]))[0, 1] > 0.9


def test_normalising_the_latents_changes_them_and_not_the_pictures(network: AutoencoderKL) -> None:
    shown = pictures(8)
    before = decode(network, encode(network, shown)).astype(int)
    wide = network.encode(to_tensor(shown)).latent_dist
    normalise_latents(network, to_tensor(shown))
    latents = encode(network, shown)
    assert latents.mean((0, 2, 3)).abs().max() < 1e-3
    assert (latents.std((0, 2, 3)) - 1).abs().max() < 1e-3
    assert np.abs(decode(network, latents).astype(int) - before).max() <= 1
    posterior = network.encode(to_tensor(shown)).latent_dist
    grown = wide.mean.std((0, 2, 3)) * LATENT_SCALE  # the posterior's noise grows by what the means grow by
    assert torch.allclose(posterior.std * grown[:, None, None], wide.std, rtol=1e-3)


def test_too_few_channels_for_a_linear_start_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 10 channels"):
        build_autoencoder(replace(RECIPE, autoencoder=replace(RECIPE.autoencoder, channels=(8, 8, 8, 8))))


def test_pictures_survive_the_way_to_tensors_and_back() -> None:
    shown = pictures(2)
    assert to_tensor(shown).abs().max() <= 1
    np.testing.assert_array_equal(to_pictures(to_tensor(shown)), shown)


def test_phases_follow_each_other() -> None:
    phases = ((32, 8, 3), (64, 4, 2))
    assert [phase_at(phases, step) for step in range(5)] == [(32, 8)] * 3 + [(64, 4)] * 2
    with pytest.raises(ValueError, match="behind the last phase"):
        phase_at(phases, 5)
