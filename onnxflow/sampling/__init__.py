"""Sampling in numpy: noise, schedules, samplers and guidance as pure functions over a Denoiser.

::

    noise.py            noise as PyTorch's CPU generator draws it        box_muller.py   its arithmetic
    brownian.py         noise of the SDE samplers: one Brownian path
    model_sampling.py   what a network was trained for: its levels.py and its prediction.py
    patches.py          what nodes change about it
    schedules.py        which noise levels a run visits                  beta.py         for one of them
    ramps.py            schedules that know no model                     align_your_steps.py   fitted ones
    sigmas.py           what is made of a schedule
    samplers/           how a latent is walked down these levels
    denoiser.py         network -> denoiser, masks                       mask.py         masks at a latent's size
    guidance.py         classifier-free guidance, of conditions that terms.py, area.py, place.py, sides.py and
                        combine.py deal with
    sample.py           the whole run
    protocols.py        Denoiser, NoiseSource, OnStep ...
"""

from onnxflow.sampling.brownian import BrownianNoise
from onnxflow.sampling.combine import Combine, rescaled_cfg
from onnxflow.sampling.denoiser import NetworkDenoiser
from onnxflow.sampling.guidance import CfgDenoiser, DualCfgDenoiser
from onnxflow.sampling.model_sampling import ModelSampling, discrete_sampling, flow_sampling
from onnxflow.sampling.noise import SeededNoise, TorchGenerator, check_seed, next_seed, prepare_noise
from onnxflow.sampling.protocols import Array, Denoiser, ModelCall, NoiseSource, OnStep
from onnxflow.sampling.sample import SD_LATENT_SCALE, sample, sample_denoiser
from onnxflow.sampling.samplers import SAMPLERS, Sampler, find_sampler
from onnxflow.sampling.schedules import SCHEDULES, calculate_sigmas, check_sigmas, ksampler_sigmas, slice_sigmas
from onnxflow.sampling.terms import Term, terms
from onnxflow.values import SeedRule

__all__ = [
    "SAMPLERS",
    "SCHEDULES",
    "SD_LATENT_SCALE",
    "Array",
    "BrownianNoise",
    "CfgDenoiser",
    "Combine",
    "Denoiser",
    "DualCfgDenoiser",
    "ModelCall",
    "ModelSampling",
    "NetworkDenoiser",
    "NoiseSource",
    "OnStep",
    "Sampler",
    "SeedRule",
    "SeededNoise",
    "Term",
    "TorchGenerator",
    "calculate_sigmas",
    "check_seed",
    "check_sigmas",
    "discrete_sampling",
    "find_sampler",
    "flow_sampling",
    "ksampler_sigmas",
    "next_seed",
    "prepare_noise",
    "rescaled_cfg",
    "sample",
    "sample_denoiser",
    "slice_sigmas",
    "terms",
]
