"""A checkpoint of Stable Diffusion 1.5's size runs straight from its file, and from the template engine's bundle of it,
as ComfyUI runs it: prompts, single calls, the autoencoder, whole runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from sd15_checkpoint import write_checkpoint

from onnxflow.cancel import CancelToken
from onnxflow.errors import NodeRef
from onnxflow.export.template_bundle import export_with_templates
from onnxflow.models.checkpoint import open_checkpoint
from onnxflow.models.disk import Disk, Folders
from onnxflow.models.store import ModelStore
from onnxflow.nodes.catalog import builtin_catalog
from onnxflow.providers.machine import OnlyCpu
from onnxflow.providers.placement import ANY, Placer
from onnxflow.providers.session import SessionCache
from onnxflow.sampling.noise import prepare_noise
from onnxflow.values import Clip, Conditioning, Handle, Image, Latent, Mask, Model, Session, Vae

pytestmark = pytest.mark.slow

GOLDENS = Path(__file__).parent.parent / "goldens" / "sd15"
ROOT = Path(__file__).parent.parent.parent
FACTS = json.loads((GOLDENS / "e2e_sd15.json").read_text(encoding="utf-8"))
PROMPTS: dict[str, str] = FACTS["prompts"]
G = np.load(GOLDENS / "e2e_sd15.npz")
NODES = builtin_catalog()


class Context:
    """The engine as nodes see it, with every session in one way of loading."""

    node = NodeRef("1", "a test")
    metadata = False
    record: MappingProxyType[str, Any] = MappingProxyType({})

    def __init__(self, disk: Disk, loading: Any) -> None:
        self.disk = disk
        self.seed_rule: Any = "next"
        self._sessions = SessionCache()
        self._lease = self._sessions.lease(CancelToken())
        self._placer = Placer(OnlyCpu(), loading=loading)

    def free_memory(self) -> int | None:
        return None

    def remark(self, text: str) -> None:
        raise AssertionError(text)

    def session(self, handle: Handle, component: str, calls: int = 1) -> Session:
        return self._lease.get(handle.source, component, self._placer.place(ANY, handle.source, component, calls))

    def begin(self, total: int) -> None:
        """Nobody is told."""

    def progress(self, value: int, total: int, preview: Callable[[], Any] | None = None) -> None:
        """Nobody is told."""

    def check_cancelled(self) -> None:
        """Nobody cancels."""

    def close(self) -> None:
        self._lease.close()
        self._sessions.close()


class Pipeline:
    """The three parts of a model, with its nodes as methods."""

    def __init__(self, context: Context, name: str) -> None:
        self.context = context
        self.model: Model
        self.clip: Clip
        self.vae: Vae
        self.model, self.clip, self.vae = self.run("CheckpointLoaderSimple", ckpt_name=name)

    def run(self, node: str, **inputs: Any) -> Any:
        spec = NODES[node]
        return spec.function(self.context, **inputs) if spec.wants_context else spec.function(**inputs)

    def encode(self, name: str, skip: int | None = None) -> Conditioning:
        clip = self.clip if skip is None else self.run("CLIPSetLastLayer", clip=self.clip, stop_at_clip_layer=skip)
        found: Conditioning = self.run("CLIPTextEncode", text=PROMPTS[name], clip=clip)
        return found

    def sample(self, latent: Latent, name: str = "A", denoise: float = 1.0) -> Latent:
        facts = FACTS["runs"][name]
        found: Latent = self.run(
            "KSampler",
            model=self.model,
            seed=facts["seed"],
            steps=facts["steps"],
            cfg=facts["cfg"],
            sampler_name=facts["sampler"],
            scheduler=facts["scheduler"],
            positive=self.encode(facts["pos"]),
            negative=self.encode(facts["neg"]),
            latent_image=latent,
            denoise=denoise,
        )
        return found


@pytest.fixture(scope="module")
def models() -> Path:
    """A folder of models with the checkpoint and a bundle of it, kept in .cache for the next time."""
    root = ROOT / ".cache" / "sd15"
    file = write_checkpoint(root / "checkpoints" / "sd15.safetensors")
    if not (root / "checkpoints" / "sd15-bundle" / "onnxflow.json").is_file():
        export_with_templates(open_checkpoint(file), root / "checkpoints" / "sd15-bundle")
    return root


@pytest.fixture(
    scope="module",
    params=[
        ("sd15.safetensors", "default"),
        ("sd15.safetensors", "low-memory"),
        ("sd15.safetensors", "fast"),
        ("sd15-bundle", "default"),
    ],
    ids=["default", "low-memory", "fast", "bundle"],
)
def pipeline(request: pytest.FixtureRequest, models: Path) -> Iterator[Pipeline]:
    name, loading = request.param
    context = Context(Disk(Folders(models, models, models), ModelStore((models,))), loading)
    yield Pipeline(context, name)
    context.close()


def relative(found: Any, wanted: Any) -> float:
    """The largest difference by the largest value."""
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def of_spread(found: Any, wanted: Any) -> float:
    """The largest difference by the standard deviation."""
    return float(np.abs(found - wanted).max() / wanted.std())


def stored(values: Any, step: int) -> list[Any]:
    return [values.ravel()[:64], values.ravel()[-64:], values[..., ::step, ::48]]


@pytest.mark.parametrize(
    ("name", "prompt", "skip", "step"),
    [
        ("pos", "pos", None, 9),
        ("neg", "neg", None, 9),
        ("plain", "plain", None, 9),
        ("long", "long", None, 19),
        ("pos_clipskip-1", "pos", -1, 9),
        ("pos_clipskip-2", "pos", -2, 9),
        ("pos_clipskip-12", "pos", -12, 9),
    ],
)
def test_prompts(pipeline: Pipeline, name: str, prompt: str, skip: int | None, step: int) -> None:
    (found,) = pipeline.encode(prompt, skip).entries
    kept = stored(found.cross_attn, step)
    for part, values in zip(("first64", "last64", "slice"), kept, strict=True):
        assert np.abs(values - G[f"cond_{name}__{part}"]).max() <= 2e-5 * np.abs(found.cross_attn).max()
    assert found.pooled is not None
    assert relative(found.pooled, G[f"pooled_{name}"]) <= 2e-5


@pytest.mark.parametrize(
    ("timestep", "prompt", "text"),
    [(999, "plain", "plain"), (500, "plain", "plain"), (10, "plain", "plain"), (500, "long", "long154")],
)
def test_single_calls(pipeline: Pipeline, timestep: int, prompt: str, text: str) -> None:
    (context,) = pipeline.encode(prompt).entries
    unet = pipeline.model.source.component("unet")
    feeds = {name: np.zeros((1, 1, 1, 1), np.float32) for name in unet.inputs if "residual" in name}
    feeds |= {"sample": prepare_noise((1, 4, 8, 8), 42, None), "encoder_hidden_states": context.cross_attn}
    found = pipeline.context.session(pipeline.model, "unet").run({**feeds, "timestep": np.float32([timestep])})
    assert relative(found["out_sample"], G[f"unet_x42_t{timestep}_{text}"]) <= 1e-5


@pytest.mark.parametrize("name", FACTS["runs"])
def test_runs(pipeline: Pipeline, name: str) -> None:
    pipeline.context.seed_rule = "same" if name in "CD" else "next"  # the goldens' ComfyUI had the older rule
    found = pipeline.sample(Latent(np.zeros((1, 4, 8, 8), np.float32)), name)
    pipeline.context.seed_rule = "next"
    assert of_spread(found.samples, G[f"{name}_latent"]) <= 1e-4
    picture: Image = pipeline.run("VAEDecode", samples=found, vae=pipeline.vae)
    bytes_ = np.clip(255.0 * picture.pixels[0], 0, 255).astype(np.uint8)
    apart = np.abs(bytes_.astype(int) - G[f"{name}_image_u8"])
    assert apart.max() <= 1 and (apart > 0).mean() <= 0.002


def test_a_batch_draws_its_first_picture_like_one_alone(pipeline: Pipeline) -> None:
    """ComfyUI draws a batch's noise in one piece, whose beginning is that of one alone."""
    found = pipeline.sample(Latent(np.zeros((2, 4, 8, 8), np.float32)))
    assert found.samples.shape == (2, 4, 8, 8)
    assert of_spread(found.samples[:1], G["A_latent"]) <= 1e-4
    assert of_spread(found.samples[1:], G["A_latent"]) > 0.1


def test_the_autoencoder_both_ways(pipeline: Pipeline) -> None:
    for name, image in (("vae_encoded", "vae_in_image"), ("vae_encoded_70x75_cropped", "vae_in_image_70x75")):
        found: Latent = pipeline.run("VAEEncode", pixels=Image(G[image]), vae=pipeline.vae)
        assert of_spread(found.samples, G[name]) <= 5e-5
    decoded: Image = pipeline.run("VAEDecode", samples=Latent(G["vae_in_latent"]), vae=pipeline.vae)
    assert relative(decoded.pixels, G["vae_decoded"]) <= 1e-5


def test_from_a_picture(pipeline: Pipeline) -> None:
    found = pipeline.sample(Latent(G["vae_encoded"]), denoise=0.6)
    assert of_spread(found.samples, G["img2img_d0.6_latent"]) <= 1e-4


def test_inpainting(pipeline: Pipeline) -> None:
    mask = np.zeros((1, 64, 64), np.float32)
    mask[:, 16:48, 16:40] = 1
    found = pipeline.sample(Latent(G["vae_encoded"], noise_mask=Mask(mask)))
    assert of_spread(found.samples, G["inpaint_latent"]) <= 1e-4
    encoded: Latent = pipeline.run(
        "VAEEncodeForInpaint", pixels=Image(G["vae_in_image"]), vae=pipeline.vae, mask=Mask(mask), grow_mask_by=6
    )
    assert of_spread(encoded.samples, G["vae_encode_for_inpaint"]) <= 5e-5
    assert encoded.noise_mask is not None
    assert np.array_equal(encoded.noise_mask.values, G["vae_encode_for_inpaint_mask"][:, 0])
