"""`make bench-sampling`: what sampling costs outside the network, at 512x512 pixels (latents 1x4x64x64), with CFG.

Prints medians of CPU and wall milliseconds: a noise draw with and without seeding, a step's Brownian noise, and one
step of each sampler with a network that answers at once.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from onnxflow.sampling import (
    SAMPLERS,
    Array,
    BrownianNoise,
    TorchGenerator,
    calculate_sigmas,
    discrete_sampling,
    ksampler_sigmas,
    prepare_noise,
    sample,
)
from onnxflow.values import Cond, Conditioning

SHAPE = (1, 4, 64, 64)
STEPS = 30
REPEATS = 15


def row(name: str, work: Callable[[], object], parts: int = 1) -> None:
    """Time ``work``, which does ``parts`` of the thing, and print its line."""
    wall, cpu = [], []
    for _ in range(REPEATS):
        started, started_cpu = time.perf_counter(), time.process_time()
        work()
        wall.append((time.perf_counter() - started) / parts * 1e3)
        cpu.append((time.process_time() - started_cpu) / parts * 1e3)
    print(f"{name:<40} {statistics.median(wall):8.3f} ms wall {statistics.median(cpu):8.3f} ms CPU")


def brownian_run(sigmas: Array) -> None:
    """The noise of a whole run of an SDE sampler, whose last step, to level 0, adds none."""
    noise = BrownianNoise(SHAPE, sigmas[-2], sigmas[0], 7)
    for sigma, sigma_next in pairwise(sigmas[:-1]):
        noise(sigma, sigma_next)


def main() -> None:
    """Print the table."""
    print(f"{platform.platform()}, Python {platform.python_version()}, numpy {np.__version__}, medians of {REPEATS}")
    generator = TorchGenerator(0)
    row("noise draw", lambda: generator.randn(SHAPE))
    row("noise draw with seeding", lambda: prepare_noise(SHAPE, 7))
    model = discrete_sampling()
    levels = calculate_sigmas(model, "karras", STEPS)
    row("Brownian noise, a step", lambda: brownian_run(levels), STEPS)
    positive = Conditioning((Cond(np.zeros((1, 77, 768), np.float32)),))
    noise, latent = prepare_noise(SHAPE, 0), np.zeros(SHAPE, np.float32)
    answers = {n: np.zeros((n, 4, 64, 64), np.float32) for n in (1, 2)}
    for name in SAMPLERS:
        sigmas = ksampler_sigmas(model, "karras", name, STEPS)

        def work(name: str = name, sigmas: np.ndarray = sigmas) -> None:  # type: ignore[type-arg]
            sample(
                lambda x, timestep, context, told: answers[len(x)],
                model,
                noise=noise,
                latent=latent,
                sigmas=sigmas,
                sampler=name,
                cfg=7.0,
                positive=positive,
                negative=positive,
                seed=0,
            )

        row(f"a step of {name}", work, STEPS)


if __name__ == "__main__":
    main()
