"""One resumable training loop for every network: a stage that is killed goes on from its last checkpoint as if nothing
had happened.

All randomness of a step comes from (seed, stage, step), so a resumed run computes the same weights as one that was
never stopped.
"""

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from onnxflow.export.tiny_model.crew import ALONE, Crew
from onnxflow.export.tiny_model.progress import Log, duration


@dataclass(frozen=True, slots=True)
class Stage:
    """A network to be trained for `steps` steps, with its checkpoint file and what its weights depend on."""

    name: str
    checkpoint: Path
    recipe: str
    network: nn.Module
    optimiser: torch.optim.Optimizer
    rate: Callable[[int], float]  # factor on the learning rate at a step
    steps: int
    ema: float | None = None


def train(
    stage: Stage,
    loss: Callable[[int], Tensor],
    log: Log,
    every: float,
    stop_at: int | None = None,
    crew: Crew = ALONE,
) -> nn.Module:
    """Train a stage to its end (or to step `stop_at`) and return the network, with averaged weights if it has an `ema`
    rate.

    `loss` is that of this member's share of the batch of a step. ValueError if the checkpoint was made with another
    recipe; FloatingPointError if the loss is no longer a number.
    """
    average = {name: value.clone() for name, value in stage.network.state_dict().items()} if stage.ema else None
    first = _resume(stage, average, log)
    crew.wait()  # nobody may write a new checkpoint before all have read the old one
    last = stage.steps if stop_at is None else min(stop_at, stage.steps)
    started = saved = said = time.monotonic()
    recent: list[float] = []
    stage.network.train()
    for step in range(first, last):
        _train_step(stage, loss, step, recent, average, crew)
        now = time.monotonic()
        if now - said > 10:
            left = (now - started) / (step + 1 - first) * (stage.steps - step - 1)
            log(f"{stage.name}: step {step + 1}/{stage.steps}, loss {np.mean(recent):.4f}, {duration(left)} left")
            said, recent = now, []
        if crew.leads and now - saved > every:
            _save(stage, step + 1, average)
            saved = now
    if last > first and crew.leads:
        _save(stage, last, average)
        log(f"{stage.name}: step {last}/{stage.steps} after {duration(time.monotonic() - started)}")
    crew.wait()
    if average is not None:
        stage.network.load_state_dict(average)
    return stage.network.eval()


def cosine(steps: int, warmup: int = 1) -> Callable[[int], float]:
    """Learning-rate factor: a linear warm-up, then half a cosine down to zero at the last step."""

    def rate(step: int) -> float:
        return min((step + 1) / warmup, 0.5 * (1 + math.cos(math.pi * step / steps)))

    return rate


def flat_then_falling(steps: int, warmup: int, falling: float) -> Callable[[int], float]:
    """Learning-rate factor: a linear warm-up, one, and over the last `falling` (a share of all steps) a straight line
    to zero."""

    def rate(step: int) -> float:
        return min(1.0, (step + 1) / warmup, (steps - step) / (falling * steps))

    return rate


def linear(steps: int, warmup: int = 1) -> Callable[[int], float]:
    """Learning-rate factor: a linear warm-up, then a straight line down to zero at the last step."""

    def rate(step: int) -> float:
        return min((step + 1) / warmup, 1 - step / steps)

    return rate


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` make a file under another name, then give it its own: the file is whole or not there.

    OSError, naming the file, when it cannot be written; the libraries say that in several ways.
    """
    temporary = path.with_name(path.name + ".part")
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError, SafetensorError) as error:
        temporary.unlink(missing_ok=True)
        raise OSError(f"{path} cannot be written: {str(error).splitlines()[0]}") from error


def step_randomness(seed: int, step: int) -> np.random.Generator:
    """The one source of randomness of a step; torch's global generator is seeded along with it."""
    rng = np.random.default_rng([seed, step])
    torch.manual_seed(int(rng.integers(2**62)))
    return rng


def _train_step(
    stage: Stage,
    loss: Callable[[int], Tensor],
    step: int,
    recent: list[float],
    average: dict[str, Tensor] | None,
    crew: Crew,
) -> None:
    for group in stage.optimiser.param_groups:
        group["lr"] = group["initial_lr"] * stage.rate(step)
    value = loss(step)
    if not torch.isfinite(value):
        raise FloatingPointError(f"{stage.name}: the loss at step {step} is {value.item()}")
    stage.optimiser.zero_grad(set_to_none=True)
    value.backward()  # type: ignore[no-untyped-call]
    crew.average_gradients(stage.network)
    nn.utils.clip_grad_norm_(stage.network.parameters(), 1.0)
    stage.optimiser.step()
    recent.append(value.item())
    if average is not None and stage.ema is not None:
        rate = min(stage.ema, (step + 1) / (step + 10))
        weights = {name: weight for name, weight in stage.network.state_dict().items() if weight.is_floating_point()}
        with torch.no_grad():
            torch._foreach_lerp_([average[name] for name in weights], list(weights.values()), 1 - rate)


def _resume(stage: Stage, average: dict[str, Tensor] | None, log: Log) -> int:
    for group in stage.optimiser.param_groups:
        group["initial_lr"] = group["lr"]
    if not stage.checkpoint.exists():
        return 0
    try:
        state: dict[str, Any] = torch.load(stage.checkpoint, weights_only=True, map_location=torch.get_default_device())
        made_with = state["recipe"]
    except (EOFError, KeyError, RuntimeError, TypeError, UnpicklingError) as error:
        raise ValueError(f"{stage.checkpoint} is no checkpoint that can be read: remove the file") from error
    if made_with != stage.recipe:
        raise ValueError(
            f"{stage.checkpoint} was made with another recipe, other data or other weights before it: use another "
            "folder or remove the file"
        )
    stage.network.load_state_dict(state["network"])
    stage.optimiser.load_state_dict(state["optimiser"])
    if average is not None:
        for name, weight in state["average"].items():
            average[name].copy_(weight)
    step = int(state["step"])
    log(f"{stage.name}: " + ("already done" if step >= stage.steps else f"goes on at step {step}/{stage.steps}"))
    return step


def _save(stage: Stage, step: int, average: dict[str, Tensor] | None) -> None:
    state = {
        "recipe": stage.recipe,
        "step": step,
        "network": stage.network.state_dict(),
        "optimiser": stage.optimiser.state_dict(),
        "average": average,
    }
    write_atomically(stage.checkpoint, lambda path: torch.save(state, path))
