"""The finished networks as a Diffusers folder: what any other exporter of Stable Diffusion models can read too."""

import json
import shutil
from pathlib import Path

from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextModel

from onnxflow.export.tiny_model.diffusion import BETA_END, BETA_START, STEPS
from onnxflow.export.tiny_model.tokenizer import LENGTH, Tokenizer
from onnxflow.export.tiny_model.training import write_atomically

NAME = "onnxflow-tiny"
CONTROLNET_FILE = "onnxflow-tiny-edges.safetensors"


def save_folder(
    folder: Path, autoencoder: AutoencoderKL, encoder: CLIPTextModel, tokenizer: Tokenizer, unet: UNet2DConditionModel
) -> None:
    """Write model_index.json, scheduler/, text_encoder/, tokenizer/, unet/ and vae/; an older folder is replaced at
    the end."""
    temporary = folder.with_name(folder.name + ".part")
    shutil.rmtree(temporary, ignore_errors=True)
    unet.save_pretrained(temporary / "unet")
    autoencoder.save_pretrained(temporary / "vae")
    encoder.save_pretrained(temporary / "text_encoder")
    tokenizer.save(temporary / "tokenizer")
    _write(
        temporary / "tokenizer" / "tokenizer_config.json",
        {
            "tokenizer_class": "CLIPTokenizer",
            "model_max_length": LENGTH,
            "do_lower_case": True,
            "bos_token": "<|startoftext|>",
            "eos_token": "<|endoftext|>",
            "pad_token": "<|endoftext|>",
            "unk_token": "<|endoftext|>",
        },
    )
    _write(
        temporary / "scheduler" / "scheduler_config.json",
        {
            "_class_name": "PNDMScheduler",
            "beta_start": BETA_START,
            "beta_end": BETA_END,
            "beta_schedule": "scaled_linear",
            "num_train_timesteps": STEPS,
            "prediction_type": "v_prediction",
            "set_alpha_to_one": False,
            "skip_prk_steps": True,
            "steps_offset": 1,
        },
    )
    _write(
        temporary / "model_index.json",
        {
            "_class_name": "StableDiffusionPipeline",
            "_name_or_path": NAME,
            "license": "apache-2.0",
            "feature_extractor": [None, None],
            "requires_safety_checker": False,
            "safety_checker": [None, None],
            "scheduler": ["diffusers", "PNDMScheduler"],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        },
    )
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


def save_controlnet(path: Path, network: ControlNetModel) -> None:
    """Write a ControlNet's weights in fp16 under Diffusers' names, with its configuration in the file's metadata."""
    weights = {name: value.detach().half().contiguous().cpu() for name, value in network.state_dict().items()}
    own = {name: value for name, value in network.config.items() if not name.startswith("_")}  # no notes of Diffusers
    config = json.dumps(own, sort_keys=True)
    # One entry only: safetensors writes several in any order, and the same model must give the same bytes.
    write_atomically(path, lambda part: save_file(weights, part, {"config": config}))


def _write(path: Path, content: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
