"""Where the training computes: on the processor, or on a GPU where torch finds one.

The device is torch's default device, so that networks and random numbers are made there; what comes from numpy is moved
by `tensor_of`.
"""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

DEVICES = ("auto", "cpu", "cuda")


def choose_device(asked: str) -> str:
    """The device that is meant: `auto` is the GPU where there is one; ValueError for one that is not there."""
    there = torch.cuda.is_available()
    if asked == "cuda" and not there:
        raise ValueError("torch finds no GPU here: use --device cpu, or install a CUDA build of torch")
    return "cuda" if asked != "cpu" and there else "cpu"


def tensor_of(array: NDArray[Any]) -> Tensor:
    """A numpy array as a tensor on the default device."""
    return torch.from_numpy(array).to(torch.get_default_device())
