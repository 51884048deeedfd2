"""Samplers: how a latent is walked down the noise levels. A sampler is one function and one line of ``SAMPLERS``.

Every one steps from ``sigmas[0]`` to ``sigmas[-1]`` and calls ``on_step`` once a step. Names are those of the papers:
``d`` is the derivative dx/dsigma, ``denoised`` is D(x; sigma), ``eta`` scales the noise put back at a step, ``s_noise``
the noise itself. All arithmetic is float32, in the order the reference results were made in. A step of no length
changes nothing.
"""

from onnxflow.sampling.samplers.table import SAMPLERS, Sampler, StepNoise, find_sampler

__all__ = ["SAMPLERS", "Sampler", "StepNoise", "find_sampler"]
