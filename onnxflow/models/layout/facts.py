"""What a checkpoint's tensors say of it besides its networks: the picture's size, the latents' scale, what the denoiser
predicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from onnxflow.models.manifest import SamplingConstants
from onnxflow.models.tensors import TensorFile

SIZES: Final[Mapping[str, int]] = {"sd1": 512, "sd2": 768, "sdxl": 1024, "sdxl-refiner": 1024}
"""Pixels a side that a family was trained on; the tensors do not say it."""

SCALES: Final[Mapping[str, float]] = {"sd1": 0.18215, "sd2": 0.18215, "sdxl": 0.13025, "sdxl-refiner": 0.13025}
"""The factor between a family's latents and those its sampler works on."""

V_MARK: Final = "v_pred"
ZERO_SNR_MARK: Final = "ztsnr"
"""Tensors that some checkpoints carry to say what they are."""

_WITNESS: Final = "output_blocks.11.1.transformer_blocks.0.norm1.bias"
_SPREAD: Final = 0.09


def sampling_of(file: TensorFile, family: str, in_channels: int, prefix: str) -> SamplingConstants:
    """What the denoiser whose tensors are below ``prefix`` predicts, and whether its schedule ends in pure noise.

    The metadata say it, or a marker that some v models carry, or the spread of a weight of Stable Diffusion 2.x
    (ComfyUI's rule), which in the v models is larger. Whoever knows better says it with ModelSamplingDiscrete.
    """
    return SamplingConstants(
        prediction=_prediction(file, family, in_channels, prefix + _WITNESS),
        zero_snr=ZERO_SNR_MARK in file.tensors,
    )


def _prediction(file: TensorFile, family: str, in_channels: int, witness: str) -> str:
    stated = file.metadata.get("modelspec.prediction_type", "")
    if stated:
        return "v" if stated.startswith("v") else "eps"
    if V_MARK in file.tensors:
        return "v"
    if family == "sd2" and in_channels == 4 and witness in file.tensors:
        spread = float(np.asarray(file.read(witness), np.float32).std())
        return "v" if spread > _SPREAD else "eps"
    return "eps"
