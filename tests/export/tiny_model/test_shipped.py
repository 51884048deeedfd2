"""What is shipped in onnxflow/assets, judged: it must fit the package, be whole, and draw what it is asked for."""

# ruff: noqa: E402
import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file

import onnxflow
from onnxflow.export.tiny_model.autoencoder import LATENT_SCALE, to_pictures
from onnxflow.export.tiny_model.config import read_recipe
from onnxflow.export.tiny_model.diffusion import draw, noise_of
from onnxflow.export.tiny_model.judge import judge
from onnxflow.export.tiny_model.prompts import held_out_prompts
from onnxflow.export.tiny_model.tokenizer import Tokenizer
from onnxflow.models.bundle import open_bundle

ASSETS = Path(onnxflow.__file__).parent / "assets"
BUNDLE = open_bundle(ASSETS / "tiny")
LORA = ASSETS / "loras" / "onnxflow-tiny-pastel.safetensors"
CONTROLNET = ASSETS / "controlnet" / "onnxflow-tiny-edges.safetensors"
MOST_BYTES = 14_000_000  # of everything that was trained

# Of 24 held-out prompts with one object and 24 with two. Measured for the shipped weights: 48, 41 and 32; rounding
# differs between machines.
LEAST_RIGHT = {"background": 45, "colours": 37, "all_right": 28}

# What the denoiser predicts, to the noise in x_t.
NOISE_OF = {"eps": lambda x, guess, t: guess, "v": noise_of}


def session(component: str, variant: str = "fp32") -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(BUNDLE.graph(component, variant).path), providers=["CPUExecutionProvider"])


def test_it_is_whole_and_small() -> None:
    for name, record in BUNDLE.manifest.files.items():
        assert hashlib.sha256((BUNDLE.root / name).read_bytes()).hexdigest() == record.sha256
    files = [path for folder in (BUNDLE.root, LORA.parent, CONTROLNET.parent) for path in folder.rglob("*")]
    assert sum(path.stat().st_size for path in files if path.is_file()) <= MOST_BYTES
    assert BUNDLE.manifest.license == "apache-2.0"


def test_no_graph_carries_notes_of_the_exporter() -> None:
    for path in BUNDLE.root.rglob("*.onnx"):
        model = onnx.load(path, load_external_data=False)
        assert not model.metadata_props and not model.doc_string
        assert not any(node.doc_string or node.metadata_props for node in model.graph.node), path


def test_the_lora_fits_the_unet_and_the_controlnet_its_residuals() -> None:
    lora, controlnet = load_file(LORA), load_file(CONTROLNET)
    downs = [name for name in lora if name.endswith(".lora_down.weight")]
    assert downs and all(name.startswith("lora_unet_") for name in downs)
    for name in downs:
        up = lora[name.replace("lora_down", "lora_up")]
        assert lora[name].shape[0] == up.shape[1], name  # one rank
        assert bool(up.abs().max() > 0), f"{name} was never trained"
    zeros = [name for name in controlnet if name.startswith(("controlnet_down_blocks.", "controlnet_mid_block."))]
    residuals = [value.name for value in session("unet").get_inputs() if "residual" in value.name]
    assert len([name for name in zeros if name.endswith(".weight")]) == len(residuals)
    assert all(bool(controlnet[name].abs().max() > 0) for name in zeros), "a residual was never trained"


def test_it_draws_what_it_is_asked_for() -> None:
    tokenizer = read_tokenizer()
    table = np.load(BUNDLE.path(BUNDLE.text().token_embedding)).astype(np.float32)
    encoder, unet, decoder = session("text_encoder"), session("unet"), session("vae_decoder")
    recipe = read_recipe()
    asked = [prompt for two in (0.0, 1.0) for prompt in held_out_prompts(recipe, 24, two, seed=1)]
    ids = np.array([tokenizer.encode(text) for text in ["", *(text for _, text in asked)]])
    ends = (ids == tokenizer.end).argmax(1)
    (states,) = encoder.run(["normed_hidden_states"], {"inputs_embeds": table[ids], "eos_index": ends})
    told, nothing = states[-1][1:], np.repeat(states[-1][:1], len(asked), 0)
    nothing_added = np.zeros((1, 1, 1, 1), np.float32)
    residuals = {value.name: nothing_added for value in unet.get_inputs() if "residual" in value.name}

    def predict(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        def guess(context: np.ndarray) -> torch.Tensor:
            feeds = {"sample": x.numpy(), "timestep": t.float().numpy(), "encoder_hidden_states": context, **residuals}
            return torch.from_numpy(unet.run(None, feeds)[0])

        without = guess(nothing)
        guided = without + recipe.evaluation.guidance * (guess(told) - without)
        return NOISE_OF[BUNDLE.manifest.sampling.prediction](x, guided, t)

    start = torch.randn((len(asked), 4, 16, 16), generator=torch.Generator().manual_seed(1))
    latents = draw(predict, start, 20).numpy() / np.float32(LATENT_SCALE)
    pictures = to_pictures(torch.from_numpy(decoder.run(None, {"latent": latents})[0]))
    verdicts = [judge(picture, scene) for picture, (scene, _) in zip(pictures, asked, strict=True)]
    for name, least in LEAST_RIGHT.items():
        right = sum(getattr(verdict, name) for verdict in verdicts)
        assert right >= least, f"{name}: only {right} of {len(verdicts)} right"


def read_tokenizer() -> Tokenizer:
    vocabulary = json.loads(BUNDLE.path(BUNDLE.text().tokenizer.vocab).read_text(encoding="utf-8"))
    lines = BUNDLE.path(BUNDLE.text().tokenizer.merges).read_text(encoding="utf-8").splitlines()[1:]
    return Tokenizer(vocabulary, {(a, b): rank for rank, (a, b) in enumerate(line.split() for line in lines)})
