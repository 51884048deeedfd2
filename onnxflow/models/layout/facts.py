"""What a checkpoint's tensors say of it besides its networks: the picture's size, the latents' scale, what the denoiser
predicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from onnxflow.errors import ModelError, printable
from onnxflow.models.manifest import SamplingConstants
from onnxflow.models.tensors import TensorFile

SIZES: Final[Mapping[str, int]] = {"sd1": 512, "sd2": 768, "sdxl": 1024, "sdxl-refiner": 1024}
"""Pixels a side that a family was trained on; the tensors do not say it."""

SCALES: Final[Mapping[str, float]] = {"sd1": 0.18215, "sd2": 0.18215, "sdxl": 0.13025, "sdxl-refiner": 0.13025}
"""The factor between a family's latents and those its sampler works on."""

V_MARK: Final = "v_pred"
ZERO_SNR_MARK: Final = "ztsnr"
"""Tensors that some checkpoints carry to say what they are."""
MARKS: Final = (V_MARK, ZERO_SNR_MARK)

# The same weight in the original layout, below a prefix, and in Diffusers'.
_WITNESS: Final = "output_blocks.11.1.transformer_blocks.0.norm1.bias"
_WITNESS_OF_DIFFUSERS: Final = "up_blocks.3.attentions.2.transformer_blocks.0.norm1.bias"
_LONGEST: Final = 200
_SPREAD: Final = 0.09
_EDM_MARKS: Final = ("edm_mean", "edm_std", "edm_vpred.sigma_max", "edm_vpred.sigma_min")


def stated(metadata: Mapping[str, str], key: str) -> str:
    """What a file's metadata say, on one line; empty when they do not."""
    return printable(" ".join(metadata.get(key, "").split()))[:_LONGEST]


def sampling_of(file: TensorFile, family: str, in_channels: int, prefix: str) -> SamplingConstants:
    """What the denoiser whose tensors are below ``prefix`` predicts, and whether its schedule ends in pure noise, which
    only v models' do.

    A marker that some v models carry says it, or the metadata, or the spread of a weight of Stable Diffusion 2.x
    (ComfyUI's rule), which in the v models is larger. Whoever knows better says it with ModelSamplingDiscrete.
    ModelError for EDM's noise levels (CosXL, Playground 2.5), with which any other sampling would draw noise.
    """
    edm = next((mark for mark in _EDM_MARKS if mark in file.tensors), None)
    if edm is not None:
        raise ModelError(
            f"the model samples by EDM's noise levels, as its tensor {edm} says, which this version does not",
            where=str(file.path),
            hint="use a model that predicts eps or v: Stable Diffusion 1.x, 2.x or XL",
        )
    prediction = _prediction(file, family, in_channels, prefix)
    return SamplingConstants(prediction, zero_snr=prediction == "v" and ZERO_SNR_MARK in file.tensors)


def _prediction(file: TensorFile, family: str, in_channels: int, prefix: str) -> str:
    if V_MARK in file.tensors:
        return "v"
    stated = file.metadata.get("modelspec.prediction_type", "")
    if stated:
        return "v" if stated.startswith("v") else "eps"
    witness = next((name for name in (prefix + _WITNESS, _WITNESS_OF_DIFFUSERS) if name in file.tensors), None)
    if family == "sd2" and in_channels == 4 and witness is not None:
        spread = float(np.asarray(file.read(witness), np.float32).std())
        return "v" if spread > _SPREAD else "eps"
    return "eps"
