"""What samplers and VAE nodes say about text, latents and networks that do not fit, and of numbers that overflow."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onnxflow.errors import InputError, ModelError, NumbersError
from onnxflow.models.bundle import Bundle, open_bundle
from onnxflow.models.store import embedded_folder
from onnxflow.nodes.sampling import ksampler, ksampler_advanced
from onnxflow.nodes.vae import vae_decode, vae_encode
from onnxflow.sampling import SAMPLERS
from onnxflow.values import Cond, Conditioning, Feeds, Image, Latent, Model, Vae

Compute = Callable[[Feeds], dict[str, NDArray[Any]]]


class OneSession:
    """A context, and the only session it gives, which computes with a Python function."""

    def __init__(self, compute: Compute) -> None:
        self.run = compute
        self.opened = 0

    def free_memory(self) -> int | None:
        return None

    def remark(self, text: str) -> None:
        raise AssertionError(text)

    def session(self, handle: Any, component: str, calls: int = 1) -> OneSession:
        self.opened += 1
        return self

    seed_rule = "next"

    def begin(self, total: int) -> None: ...

    def progress(self, value: int, total: int, preview: Any = None) -> None: ...

    def check_cancelled(self) -> None: ...


def unused(feeds: Feeds) -> dict[str, NDArray[Any]]:
    raise AssertionError("the network was run")


@pytest.fixture(scope="module")
def source() -> Bundle:
    return open_bundle(embedded_folder())


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def text(width: int) -> Conditioning:
    return Conditioning((Cond(np.ones((1, 77, width), np.float32)),))


def draw(ctx: OneSession, source: Bundle, **changes: Any) -> Any:
    inputs: dict[str, Any] = {
        "model": Model(source), "seed": 1, "steps": 4, "cfg": 2.0, "sampler_name": "euler", "scheduler": "normal",
        "positive": text(128), "negative": text(128), "latent_image": Latent(np.zeros((1, 4, 4, 4), np.float32)),
    }  # fmt: skip
    return ksampler.function(ctx, **{**inputs, **changes})


@pytest.mark.parametrize("side", ["positive", "negative"])
def test_text_of_another_model_is_refused_before_drawing(side: str, source: Bundle) -> None:
    ctx = OneSession(unused)
    with pytest.raises(InputError) as caught:
        draw(ctx, source, **{side: text(768)})
    assert f"the {side} text was encoded for another model" in caught.value.message
    assert "768 wide" in caught.value.message and "onnxflow-tiny takes 128" in caught.value.message
    assert ctx.opened == 0


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
@pytest.mark.parametrize("bad", [3e38, -3e38])
def test_numbers_that_guidance_makes_overflow_are_named_with_the_step(sampler: str, bad: float, source: Bundle) -> None:
    calls = 0

    def compute(feeds: Feeds) -> dict[str, NDArray[Any]]:
        nonlocal calls
        calls += 1
        output = feeds["sample"] * np.float32(0.1)
        if calls == 2:
            output[0, 0, 0, 0] = bad
        return {"out_sample": output}

    said = r"guided prediction of onnxflow-tiny became NaN or infinity at (step [123] of 4|the last step): .* cfg 30"
    with pytest.raises(NumbersError, match=said):
        draw(OneSession(compute), source, sampler_name=sampler, cfg=30.0)
    assert calls <= 5  # not all steps were taken


def test_the_last_evaluation_is_checked_too(source: Bundle) -> None:
    calls = 0

    def compute(feeds: Feeds) -> dict[str, NDArray[Any]]:
        nonlocal calls
        calls += 1
        return {"out_sample": feeds["sample"] * np.float32(1e38 if calls == 2 else 0.1)}

    with pytest.raises(NumbersError, match="at the last step"):
        ksampler_advanced.function(
            OneSession(compute), model=Model(source), add_noise="enable", noise_seed=1, steps=4, cfg=1.0,
            sampler_name="heun", scheduler="normal", positive=text(128), negative=text(128),
            latent_image=Latent(np.zeros((1, 4, 4, 4), np.float32)), start_at_step=0, end_at_step=1,
            return_with_leftover_noise="enable",
        )  # fmt: skip


def test_a_network_without_the_output_is_named(source: Bundle) -> None:
    for outputs, words in (({"sample": np.zeros(1)}, "only sample"), ({}, "only nothing")):
        with pytest.raises(ModelError, match=f"the unet of onnxflow-tiny does not give out_sample, {words}"):
            draw(OneSession(lambda feeds, found=outputs: found), source)  # type: ignore[misc]


def test_a_model_without_a_network_is_named(source: Bundle, tmp_path: Path) -> None:
    bare = Bundle(tmp_path, "bare", source.manifest.__class__(**{**_fields(source.manifest), "components": {}}))
    with pytest.raises(ModelError, match="the model has no unet"):
        draw(OneSession(unused), bare)


def _fields(manifest: Any) -> dict[str, Any]:
    return {name: getattr(manifest, name) for name in manifest.__slots__}


LATENT = Latent(np.zeros((2, 4, 2, 3), np.float32))
PICTURE = Image(np.zeros((2, 16, 24, 3), np.float32))


def decode(source: Bundle, outputs: Mapping[str, Any], samples: Latent = LATENT) -> Any:
    return vae_decode.function(OneSession(lambda feeds: dict(outputs)), samples=samples, vae=Vae(source))


def encode(source: Bundle, outputs: Mapping[str, Any]) -> Any:
    return vae_encode.function(OneSession(lambda feeds: dict(outputs)), pixels=PICTURE, vae=Vae(source))


def test_what_a_vae_gives_is_checked(source: Bundle) -> None:
    image, mean = np.zeros((1, 3, 16, 24), np.float16), np.zeros((1, 4, 2, 3), np.float32)
    assert decode(source, {"image": image}).pixels.shape == (2, 16, 24, 3)
    assert encode(source, {"mean": mean, "logvar": mean}).samples.shape == (2, 4, 2, 3)
    for run, name, fine, component in ((decode, "image", image, "vae_decoder"), (encode, "mean", mean, "vae_encoder")):
        with pytest.raises(ModelError, match=f"the {component} of onnxflow-tiny does not give {name}, only other"):
            run(source, {"other": fine})
        with pytest.raises(ModelError, match=rf"gives {name} of shape \[.*\], expected \[1, "):
            run(source, {name: fine[0]})


def test_latents_that_hold_no_picture(source: Bundle) -> None:
    with pytest.raises(InputError, match="the latent contains NaN"):
        decode(source, {}, Latent(np.full((1, 4, 2, 2), np.nan, np.float32)))
    with pytest.raises(InputError, match="the latent is empty"):
        decode(source, {}, Latent(np.zeros((0, 4, 2, 2), np.float32)))
