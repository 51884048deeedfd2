"""Real pictures drawn with the networks as they are in PyTorch, to see what goes through a denoiser."""

import gc
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from onnxflow.export import components
from onnxflow.export.calibration import Calibration, calibrate
from onnxflow.export.components import Component, components_of, text_model
from onnxflow.export.progress import Progress
from onnxflow.export.source import UNET, Facts, Source, TextFacts
from onnxflow.sampling import discrete_sampling, ksampler_sigmas, prepare_noise, sample
from onnxflow.sampling.protocols import Array
from onnxflow.sampling.told import Tell, told_of_sdxl
from onnxflow.text.chunks import ChunkShape
from onnxflow.text.encode import TextModel, encode_prompt, joined, reading_of
from onnxflow.text.tokenizer import Tokenizer
from onnxflow.values import Conditioning

SAMPLER, SCHEDULER, CFG = "euler", "normal", 7.0
STEPS, STEPS_OF_CHECK = 8, 3  # of each picture, and of the one in which errors are measured
LARGEST_SIDE = 512  # pixels: larger pictures take minutes a step, and have the same kind of values


class TorchSession:
    """A component in PyTorch, run as a session is."""

    def __init__(self, component: Component) -> None:
        self._component = component

    @torch.no_grad()
    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """All outputs of the component by name."""
        given = [torch.from_numpy(np.array(feeds[name])) for name in self._component.inputs]
        found = self._component.module(*given)
        outputs = found if isinstance(found, tuple) else (found,)
        return {name: value.numpy() for name, value in zip(self._component.outputs, outputs, strict=True)}

    def close(self) -> None:
        """Nothing: whoever has the network keeps it."""


def calibrate_denoiser(model: Source, prompts: Sequence[str], report: Progress, work: float = 0.0) -> Calibration:
    """The ranges of a denoiser's layers while it draws each of the prompts, which is so many seconds of work.

    ModelError as the source raises; one network at a time is in memory.
    """
    facts = model.facts
    size = max(64, min(facts.width, facts.height, LARGEST_SIDE) // 64 * 64)
    report(f"calibrating: {len(prompts)} pictures of {size} x {size} pixels in {STEPS} steps each")
    negative, *positive = encode(model, ["", *prompts])
    network = model.network(UNET)
    (unet,) = components_of(UNET, network, facts)

    def drawing(index: int) -> Callable[[], object]:
        def run() -> None:
            report.begin(f"calibrating: picture {index + 1} of {len(prompts)}", work / len(prompts))
            draw(unet, facts, positive[index], negative, STEPS, size)

        return run

    def check() -> None:
        report.begin("calibrating: errors of the layers")
        draw(unet, facts, positive[0], negative, STEPS_OF_CHECK, size)

    found = calibrate(network, [drawing(index) for index in range(len(prompts))], check)
    sensitive = sum(layer.sensitive for layer in found.layers.values())
    report(f"calibrated: {len(found.layers)} layers, of which {sensitive} are sensitive and stay in fp16")
    return found


def encode(model: Source, prompts: Sequence[str]) -> list[Conditioning]:
    """What the denoiser is told of each prompt, by all text encoders, of which one at a time is in memory.

    ModelError as the source raises.
    """
    facts = model.facts
    states: list[list[Conditioning]] = [[] for _ in prompts]
    for text in facts.texts:
        network = model.network(text.component)
        table = text_model(network).embeddings.token_embedding.weight.detach().numpy()  # type: ignore[arg-type]
        session = TorchSession(components.text_encoder(network, text.component))  # type: ignore[arg-type]
        known = _text_model(text, facts.family, table)
        for prompt, found in zip(prompts, states, strict=True):
            found.append(encode_prompt(prompt, known, session))
        del network, table, session, known
        gc.collect()
    return [joined(found) for found in states]


def draw(unet: Component, facts: Facts, positive: Conditioning, negative: Conditioning, steps: int, size: int) -> Array:
    """The latents [1, channels, size / 8, size / 8] of one picture of `size` x `size` pixels."""
    session = TorchSession(unet)
    inputs = unet.inputs
    unused = {name: np.zeros((1, 1, 1, 1), np.float32) for name in inputs if "residual" in name}
    shape = (1, facts.latent_channels, size // 8, size // 8)

    def call(x: Array, timestep: Array, context: Array, told: Mapping[str, Array]) -> Array:
        feeds = {"sample": _widened(x, facts), "timestep": timestep, "encoder_hidden_states": context, **told, **unused}
        if "timestep_cond" in inputs:
            feeds["timestep_cond"] = np.zeros((len(x), int(inputs["timestep_cond"][-1])), np.float32)
        return session.run(feeds)["out_sample"]

    sampling = discrete_sampling(
        facts.sampling.prediction,
        schedule=facts.sampling.schedule,
        beta_start=facts.sampling.beta_start,
        beta_end=facts.sampling.beta_end,
        timesteps=facts.sampling.timesteps,
        zero_snr=facts.sampling.zero_snr,
    )
    return sample(
        call,
        sampling,
        noise=prepare_noise(shape, 0),
        latent=np.zeros(shape, np.float32),
        sigmas=ksampler_sigmas(sampling, SCHEDULER, SAMPLER, steps),
        sampler=SAMPLER,
        cfg=CFG,
        positive=positive,
        negative=negative,
        seed=0,
        latent_scale=facts.latent_scale,
        tell=_tell(facts, size),
    )


def _text_model(text: TextFacts, family: str, table: NDArray[Any]) -> TextModel:
    given = text.tokenizer
    ranks = {pair: rank for rank, pair in enumerate(given.merges)}
    return TextModel(
        Tokenizer(given.vocabulary, ranks, lowercase=given.lowercase),
        table,
        ChunkShape(start=given.bos, end=given.eos, pad=given.pad, length=text.length),
        reading_of(family, text.component, text.skipped),
    )


def _tell(facts: Facts, size: int) -> Tell | None:
    if not facts.family.startswith("sdxl"):
        return None
    return told_of_sdxl(size, size, refiner=facts.family == "sdxl-refiner", pooled_width=facts.texts[-1].projection)


def _widened(x: Array, facts: Facts) -> Array:
    """An inpainting model also reads a mask and the picture under it: here all of the picture is to be made anew."""
    if facts.in_channels == x.shape[1]:
        return x
    mask = np.ones((len(x), 1, *x.shape[2:]), np.float32)
    return np.concatenate([x, mask, np.zeros_like(x)], axis=1)
