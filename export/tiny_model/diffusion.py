"""Stable Diffusion 1.x's noise schedule, and DPM-Solver++ (2M) to draw with it."""

from collections.abc import Callable

import torch
from torch import Tensor

STEPS, BETA_START, BETA_END = 1000, 0.00085, 0.012
Noise = Callable[[Tensor, Tensor], Tensor]  # (x_t [b, 4, h, w], t [b]) -> predicted noise


def signal_shares() -> Tensor:
    """alpha-bar of every training step, [1000] float64: the betas' square roots lie on a straight line."""
    betas = torch.linspace(BETA_START**0.5, BETA_END**0.5, STEPS, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0)


def add_noise(latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """x_t = sqrt(alpha-bar) x_0 + sqrt(1 - alpha-bar) noise (Ho et al. 2020, eq. 4)."""
    share = signal_shares()[t].float()[:, None, None, None]
    return share.sqrt() * latents + (1 - share).sqrt() * noise


def velocity(latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """v = sqrt(alpha-bar) noise - sqrt(1 - alpha-bar) x_0, what the network predicts (Salimans and Ho 2022, appendix
    D)."""
    share = signal_shares()[t].float()[:, None, None, None]
    return share.sqrt() * noise - (1 - share).sqrt() * latents


def noise_of(x: Tensor, v: Tensor, t: Tensor) -> Tensor:
    """The noise in x_t that a velocity stands for: sqrt(alpha-bar) v + sqrt(1 - alpha-bar) x_t."""
    share = signal_shares()[t].float()[:, None, None, None]
    return share.sqrt() * v + (1 - share).sqrt() * x


def loss_weights(gamma: float, floor: float) -> Tensor:
    """min(SNR + floor, gamma) / gamma / (SNR + 1) for every step, [1000]: the weight on the velocity's error.

    As an error of x_0 it is weighted by min(SNR + floor, gamma) / gamma: min-SNR (Hang et al. 2023, section 3.4) with a
    floor for the noisiest steps. Without the floor they teach nothing of the caption; with a high one their error,
    which cannot fall below what the caption leaves open, drowns the steps where shapes are decided.
    """
    share = signal_shares()
    ratio = share / (1 - share)
    return ((ratio + floor).clamp(max=gamma) / gamma / (ratio + 1)).float()


@torch.no_grad()
def draw(predict: Noise, start: Tensor, steps: int) -> Tensor:
    """Latents from unit noise `start` [b, 4, h, w] by DPM-Solver++ 2M (Lu et al. 2022, algorithm 2), last step first
    order."""
    share = signal_shares()
    times = torch.linspace(STEPS - 1, 0, steps + 1).round().long()[:-1]
    sigmas = torch.cat([((1 - share) / share).sqrt()[times], torch.zeros(1, dtype=torch.float64)])
    x = start * float((1 + sigmas[0] ** 2).sqrt())
    before: Tensor | None = None
    for index, t in enumerate(times):
        sigma, following = float(sigmas[index]), float(sigmas[index + 1])
        noise = predict(x / (1 + sigma**2) ** 0.5, t.expand(len(x)))
        clean = x - sigma * noise
        if before is None or following == 0:
            aim = clean
        else:
            step = torch.log(sigmas[index] / sigmas[index + 1])
            step_before = torch.log(sigmas[index - 1] / sigmas[index])
            aim = clean + (clean - before) * float(step / step_before) / 2
        x = aim + (x - aim) * (following / sigma)
        before = clean
    return x
