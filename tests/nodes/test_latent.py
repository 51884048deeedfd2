from typing import Any

import numpy as np
import pytest

from onnxflow.errors import MemoryLimitError
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
