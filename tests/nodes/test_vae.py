"""VAEEncodeForInpaint: what the encoder is shown, and where sampling will draw."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from onnxflow.errors import InputError
from onnxflow.nodes.vae import vae_encode_for_inpaint
from onnxflow.values import Array, Feeds, Image, Latent, Mask, Vae

SOURCE = SimpleNamespace(latent=SimpleNamespace(factor=8, channels=4), name="fake", root="nowhere")


class Context:
    """A context whose VAE keeps what it is shown, and gives zeros."""

    def __init__(self) -> None:
        self.shown: list[Array] = []

    def free_memory(self) -> int | None:
        return None

    def remark(self, text: str) -> None:
        raise AssertionError(text)

    def session(self, handle: Any, component: str, calls: int = 1) -> "Context":
        assert component == "vae_encoder"
        return self

    def run(self, feeds: Feeds) -> dict[str, NDArray[Any]]:
        image = feeds["image"]
        self.shown.append(image)
        return {"mean": np.zeros((1, 4, image.shape[2] // 8, image.shape[3] // 8), np.float32)}

    def begin(self, total: int) -> None:
        pass

    def progress(self, value: int, total: int) -> None:
        pass


def encode(pixels: Array, mask: Array, grow: int) -> tuple[Latent, Array]:
    context = Context()
    found = vae_encode_for_inpaint.function(context, Image(pixels), Vae(cast(Any, SOURCE)), Mask(mask), grow)
    assert isinstance(found, Latent)
    return found, np.concatenate(context.shown)


def test_what_is_masked_is_grey_and_drawn_with_a_margin() -> None:
    pixels = np.random.default_rng(0).random((2, 24, 32, 3), np.float32)
    mask = np.zeros((1, 24, 32), np.float32)
    mask[0, 8:12, 10:20] = 0.7
    mask[0, 20, 20] = 0.3
    found, shown = encode(pixels, mask, 6)
    assert found.samples.shape == (2, 4, 3, 4) and found.noise_mask is not None
    hole = np.zeros((24, 32), bool)
    hole[8:12, 10:20] = True
    assert not shown[:, :, hole].any()
    assert np.allclose(shown[:, :, ~hole], (pixels * 2 - 1).transpose(0, 3, 1, 2)[:, :, ~hole], atol=1e-6)
    grown = np.zeros((24, 32), np.float32)
    grown[8 - 2 : 12 + 3, 10 - 2 : 20 + 3] = 1  # a kernel of six sees three before and two after
    assert np.array_equal(found.noise_mask.values[0], grown)
    exact, _ = encode(pixels, mask, 0)
    assert exact.noise_mask is not None and np.array_equal(exact.noise_mask.values[0], hole.astype(np.float32))


def test_picture_and_mask_are_cut_alike() -> None:
    pixels = np.random.default_rng(0).random((1, 21, 37, 3), np.float32)
    mask = np.zeros((1, 21, 37), np.float32)
    mask[0, 5, 9] = 1
    found, shown = encode(pixels, mask, 0)
    assert found.noise_mask is not None and found.noise_mask.values.shape == (1, 16, 32)
    assert np.argwhere(found.noise_mask.values[0]).tolist() == [[3, 7]]
    assert np.argwhere((shown[0] == 0).all(axis=0)).tolist() == [[3, 7]]
    with pytest.raises(InputError, match="smaller than one latent"):
        encode(pixels[:, :7], mask, 0)


def test_a_mask_of_another_size_and_number() -> None:
    found, shown = encode(np.ones((3, 16, 16, 3), np.float32), np.ones((2, 4, 4), np.float32), 6)
    assert found.noise_mask is not None and found.noise_mask.values.shape == (3, 16, 16)
    assert not shown.any() and (found.noise_mask.values == 1).all()
