from typing import Any

import numpy as np
import operations
import pytest

from onnxflow.errors import InputError, MemoryLimitError
from onnxflow.nodes import latent
from onnxflow.values import Latent, Mask


@pytest.mark.parametrize(
    ("inputs", "shape"),
    [
        ({}, (1, 4, 64, 64)),
        ({"width": 16, "height": 1024, "batch_size": 3}, (3, 4, 128, 2)),
        ({"width": 519, "height": 23}, (1, 4, 2, 64)),
    ],
)
def test_empty_latent_image(inputs: dict[str, int], shape: tuple[int, ...]) -> None:
    found = latent.empty_latent_image.function(**inputs)
    assert isinstance(found, Latent)
    assert found.samples.shape == shape
    assert found.samples.dtype == np.float32
    assert not found.samples.any()


def test_too_much_memory_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(np, "zeros", full)
    with pytest.raises(MemoryLimitError, match="4096 latents for 16384x16384 pixels"):
        latent.empty_latent_image.function(width=16384, height=16384, batch_size=4096)


def test_latent_multiply_is_float32_and_keeps_the_rest() -> None:
    values = np.array([1.0, -0.1, 3.7e-5, 12345.678], np.float32).reshape(1, 1, 2, 2)
    mask = Mask(np.ones((1, 2, 2), np.float32))
    given = Latent(values, noise_mask=mask, batch_index=(7,), extras={"type": "audio"})
    found = latent.latent_multiply.function(samples=given, multiplier=1.3)
    # The factor is rounded to float32 first, as PyTorch does: 1.3 becomes 1.2999999523162842.
    assert found.samples.dtype == np.float32
    assert np.array_equal(found.samples, (values.astype(np.float64) * 1.2999999523162842).astype(np.float32))
    assert (found.noise_mask, found.batch_index, found.extras) == (mask, (7,), {"type": "audio"})
    assert given.samples[0, 0, 0, 0] == 1


def test_set_latent_noise_mask_replaces_the_mask_and_keeps_the_rest() -> None:
    old, new = Mask(np.ones((1, 2, 2), np.float32)), Mask(np.zeros((3, 16, 8), np.float32))
    given = Latent(np.ones((1, 4, 2, 1), np.float32), noise_mask=old, batch_index=(7,), extras={"type": "audio"})
    found = latent.set_latent_noise_mask.function(samples=given, mask=new)
    assert found.samples is given.samples
    assert (found.noise_mask, found.batch_index, found.extras) == (new, (7,), {"type": "audio"})
    assert given.noise_mask is old


@pytest.mark.parametrize(
    ("key", "args"),
    [(key, args) for key, args in operations.arguments().items() if key.startswith("LatentUpscale_")],
)
def test_latent_upscale_as_comfyui(key: str, args: dict[str, Any]) -> None:
    found = latent.latent_upscale.function(
        samples=Latent(operations.arrays()["in_lat"]), upscale_method="nearest-exact", crop="disabled", **args
    )
    assert np.array_equal(found.samples, operations.arrays()[f"{key}.samples"])


def test_latent_upscale_by_as_comfyui() -> None:
    found = latent.latent_upscale_by.function(
        samples=Latent(operations.arrays()["in_lat"]), upscale_method="bislerp", scale_by=1.5
    )
    expected = operations.arrays()["LatentUpscaleBy_1.5.samples"]
    assert operations.relative_error(found.samples, expected) <= operations.CLOSE


def test_resizing_a_latent_keeps_the_rest_and_the_masks_size() -> None:
    mask = Mask(np.ones((1, 64, 64), np.float32))
    given = Latent(np.ones((2, 4, 8, 8), np.float32), noise_mask=mask, batch_index=(7, 8), extras={"type": "audio"})
    for found in (
        latent.latent_upscale.function(samples=given, upscale_method="area", width=128, height=256, crop="center"),
        latent.latent_upscale_by.function(samples=given, upscale_method="area"),
    ):
        assert (found.noise_mask, found.batch_index, found.extras) == (mask, (7, 8), {"type": "audio"})
    assert found.samples.shape == (2, 4, 12, 12)


def test_a_latent_without_a_new_size_is_the_same() -> None:
    given = Latent(np.ones((1, 4, 8, 8), np.float32))
    assert (
        latent.latent_upscale.function(samples=given, upscale_method="area", width=0, height=0, crop="center") is given
    )


@pytest.mark.parametrize(
    ("width", "height", "cells"),
    [(8, 512, (64, 8)), (0, 8, (8, 20)), (8, 0, (8, 8)), (0, 135, (16, 42)), (200, 120, (15, 25))],
)
def test_a_latent_has_at_least_eight_cells_a_side(width: int, height: int, cells: tuple[int, int]) -> None:
    given = Latent(np.ones((1, 4, 2, 5), np.float32))
    found = latent.latent_upscale.function(
        samples=given, upscale_method="bilinear", width=width, height=height, crop="disabled"
    )
    assert found.samples.shape[2:] == cells


def test_a_latent_that_cannot_be_resized_is_refused() -> None:
    given = Latent(np.ones((1, 4, 8, 10), np.float32))
    with pytest.raises(InputError, match="10x8 to 0x0: a side is less than 1"):
        latent.latent_upscale_by.function(samples=given, upscale_method="bislerp", scale_by=0.05)
    empty = Latent(np.ones((1, 4, 0, 8), np.float32))
    with pytest.raises(InputError, match=r"the latent is empty: its shape is \[1, 4, 0, 8\]"):
        latent.latent_upscale.function(samples=empty, upscale_method="area", width=64, height=0, crop="disabled")
    with pytest.raises(InputError, match="the latent is empty"):
        latent.latent_upscale_by.function(samples=empty, upscale_method="area")
