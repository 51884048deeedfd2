"""Every family, exported and run: the graphs compute what torch computes, whatever the size, and the runtime draws."""

# ruff: noqa: E402
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from families import KINDS, write_folder
from onnxruntime import InferenceSession
from pictures import txt2img

from onnxflow.api import run
from onnxflow.export import components, denoising
from onnxflow.export.bundle import export_bundle
from onnxflow.export.components import residual_shapes
from onnxflow.export.denoising import draw, encode
from onnxflow.export.diffusers_folder import DiffusersFolder
from onnxflow.models.bundle import Bundle, open_bundle
from onnxflow.nodes.text import text_model
from onnxflow.text.encode import encode_prompt, joined

PRECISIONS = {"sd1": ("fp32", "int8", "int8-static"), "sdxl": ("fp32", "int8-static")}  # of others fp32 only
SIZES = [(1, 16, 16), (3, 12, 20), (3, 9, 15)]  # batch, height, width of latents: square, not square, odd


@pytest.fixture(scope="module", params=KINDS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Bundle]:
    folder = tmp_path_factory.mktemp(request.param)
    write_folder(KINDS[request.param], folder / "model")
    precisions = PRECISIONS.get(request.param, ("fp32",))
    prompts = ["a cat"] if "int8-static" in precisions else []
    with pytest.MonkeyPatch.context() as small:
        small.setattr(denoising, "LARGEST_SIDE", 128)  # of the pictures that are calibrated on: a minute less
        export_bundle(folder / "model", folder / "checkpoints" / "tiny", precisions=precisions, prompts=prompts)
    return request.param, folder, open_bundle(folder / "checkpoints" / "tiny")


def session(bundle: Bundle, component: str) -> InferenceSession:
    return InferenceSession(str(bundle.graph(component, "fp32").path), providers=["CPUExecutionProvider"])


def close(given: np.ndarray, wanted: "torch.Tensor") -> None:
    assert given.shape == tuple(wanted.shape)
    assert float(np.abs(given - wanted.numpy()).max()) <= 1e-4 * float(wanted.abs().max())


def test_the_unet_computes_what_diffusers_computes(exported: tuple[str, Path, Bundle]) -> None:
    name, folder, bundle = exported
    source = DiffusersFolder(folder / "model")
    network, graph = source.network("unet"), session(bundle, "unet")
    network.num_upsamplers = 16
    config = network.config
    for batch, height, width in SIZES:
        torch.manual_seed(height)
        feeds = {
            "sample": torch.randn(batch, config.in_channels, height, width),
            "timestep": torch.rand(batch) * 999,
            "encoder_hidden_states": torch.randn(batch, 77, config.cross_attention_dim),
        }
        others: dict[str, Any] = {}
        if config.addition_embed_type:
            ids = 6 if name == "sdxl" else 5
            facts = {"text_embeds": torch.randn(batch, 128), "time_ids": torch.randint(0, 999, (batch, ids)).float()}
            feeds |= facts
            others["added_cond_kwargs"] = facts
        if config.time_cond_proj_dim:
            feeds["timestep_cond"] = others["timestep_cond"] = torch.randn(batch, config.time_cond_proj_dim)
        residuals = {key: torch.randn(shape) for key, shape in residual_shapes(network, batch, height, width).items()}
        *down, middle = residuals.values()
        with torch.no_grad():
            wanted = network(
                feeds["sample"],
                feeds["timestep"],
                encoder_hidden_states=feeds["encoder_hidden_states"],
                down_block_additional_residuals=down,
                mid_block_additional_residual=middle,
                **others,
            ).sample
        (given,) = graph.run(None, {key: value.numpy() for key, value in {**feeds, **residuals}.items()})
        close(given, wanted)


def test_the_text_encoders_compute_what_transformers_computes(exported: tuple[str, Path, Bundle]) -> None:
    _, folder, bundle = exported
    source = DiffusersFolder(folder / "model")
    for text in source.facts.texts:
        network, graph = source.network(text.component), session(bundle, text.component)
        table = np.load(bundle.path(bundle.text(text.component).token_embedding))
        for batch, tokens in ((1, 77), (3, 77), (3, 20)):
            rng = np.random.default_rng(tokens)
            ids = rng.integers(0, 49406, (batch, tokens))
            ends = rng.integers(1, tokens, batch)
            ids[np.arange(batch), ends] = 49407
            with torch.no_grad():
                wanted = network(input_ids=torch.from_numpy(ids), output_hidden_states=True)
            outputs = dict(
                zip(
                    [output.name for output in graph.get_outputs()],
                    graph.run(None, {"inputs_embeds": table[ids], "eos_index": ends}),
                    strict=True,
                )
            )
            close(outputs["hidden_states"][:-1], torch.stack(wanted.hidden_states[:-1]))
            close(outputs["normed_hidden_states"][-1], wanted.last_hidden_state)
            if text.projection is not None:
                close(outputs["projected"], wanted.text_embeds)


def test_the_vae_computes_what_diffusers_computes(exported: tuple[str, Path, Bundle]) -> None:
    _, folder, bundle = exported
    vae = DiffusersFolder(folder / "model").network("vae")
    encoder, decoder = session(bundle, "vae_encoder"), session(bundle, "vae_decoder")
    for batch, height, width in SIZES:
        image = torch.rand(batch, 3, 8 * height, 8 * width) * 2 - 1
        with torch.no_grad():
            posterior = vae.encode(image).latent_dist
            decoded = vae.decode(posterior.mean).sample
        mean, logvar = encoder.run(["mean", "logvar"], {"image": image.numpy()})
        close(mean, posterior.mean)
        close(logvar, posterior.logvar)
        close(decoder.run(["image"], {"latent": posterior.mean.numpy()})[0], decoded)


def test_calibration_reads_prompts_as_the_runtime_does(exported: tuple[str, Path, Bundle]) -> None:
    _, folder, bundle = exported
    prompts = ["a (red:1.2) cat", ""]
    found = encode(DiffusersFolder(folder / "model"), prompts)
    for prompt, condition in zip(prompts, found, strict=True):
        wanted = joined(
            [
                encode_prompt(prompt, text_model(bundle, component), Open(session(bundle, component)))
                for component in bundle.manifest.texts
            ]
        )
        ours, theirs = condition.entries[0], wanted.entries[0]
        close(ours.cross_attn, torch.from_numpy(np.array(theirs.cross_attn)))
        close(ours.pooled, torch.from_numpy(np.array(theirs.pooled)))


@dataclass
class Open:
    """A session as the runtime has it."""

    session: InferenceSession

    def run(self, feeds: Any) -> dict[str, np.ndarray]:
        names = [output.name for output in self.session.get_outputs()]
        return dict(zip(names, self.session.run(names, dict(feeds)), strict=True))

    def close(self) -> None:
        """Nothing."""


def test_calibration_draws_a_picture(exported: tuple[str, Path, Bundle]) -> None:
    """Of an inpainting model, too, which the runtime cannot run yet."""
    _, folder, _ = exported
    source = DiffusersFolder(folder / "model")
    positive, negative = encode(source, ["a cat", ""])
    facts = source.facts
    pooled = facts.texts[-1].projection if facts.family.startswith("sdxl") else None
    unet = components.unet(source.network("unet"), pooled)
    drawn = [draw(unet, facts, positive, negative, steps, 64) for steps in (2, 2, 3)]
    assert drawn[0].shape == (1, 4, 8, 8)
    assert np.isfinite(drawn[0]).all()
    assert (drawn[0] == drawn[1]).all()
    assert (drawn[0] != drawn[2]).any()


def test_the_runtime_draws_with_it(exported: tuple[str, Path, Bundle], tmp_path: Path) -> None:
    name, folder, bundle = exported
    assert bundle.manifest.family == KINDS[name].family
    document = txt2img("tiny", 72, 64)
    settings = {"models": [folder], "output_dir": tmp_path}
    if name == "sd1-inpaint":
        with pytest.raises(Exception, match="takes 9 channels: it is an inpainting model"):
            run(document, **settings)
        return
    pictures = {}
    for variant in PRECISIONS.get(name, ())[1:]:
        document["1"]["inputs"]["ckpt_name"] = f"tiny@{variant}"
        report = run(document, **settings)
        assert {use.variant for use in report.sessions if use.component == "unet"} == {variant}
        pictures[variant] = np.stack(report.images).astype(np.float32)
    document["1"]["inputs"]["ckpt_name"] = "tiny"
    report = run(document, **settings)
    exact = np.stack(report.images).astype(np.float32)
    distances = {variant: float(np.abs(picture - exact).mean()) for variant, picture in pictures.items()}
    assert all(0 < distance < 12 for distance in distances.values()), distances  # of 255
    assert [image.shape for image in report.images] == [(64, 72, 3)] * 2
    used = {use.component for use in report.sessions}
    assert used == {*KINDS[name].encoders, "unet", "vae_decoder"}
