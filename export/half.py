"""A component that computes in half precision, for GPUs, behind the same inputs and outputs in float32."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from onnxflow.errors import ModelError
from onnxflow.export.components import Component

INNER = "inner."  # before the names of the weights, since the module is wrapped once more
KEPT = ("timestep", "time_ids")  # sines and cosines of up to a thousand and more: Diffusers makes them in float32 too


class Half(nn.Module):
    """A module in half precision; its float inputs are rounded but for those in KEPT, its outputs widened."""

    def __init__(self, module: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.inner = module.half()
        self.names = names

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """What the module gives, in float32."""
        rounded = [
            value.half() if value.is_floating_point() and name not in KEPT else value
            for name, value in zip(self.names, inputs, strict=True)
        ]
        found = self.inner(*rounded)
        outputs = found if isinstance(found, tuple) else (found,)
        return tuple(output.float() for output in outputs)


def in_half(component: Component) -> Component:
    """The component in half precision; its network is rounded in place."""
    return replace(component, module=Half(component.module, tuple(component.examples)).eval())


def check_half(component: Component) -> None:
    """ModelError for a weight that half precision cannot hold."""
    for name, value in component.module.named_parameters():
        if not torch.isfinite(value.half()).all():
            raise ModelError(
                f"{component.name}: {name.removeprefix('network.')} has values beyond half precision's 65504",
                hint="export it in fp32 with storage fp32",
            )


@torch.no_grad()
def round_to_half(component: Component) -> None:
    """Make the network hold what the file holds; of a part, the graphs that need it unrounded are made before."""
    for value in component.module.parameters():
        value.copy_(value.half().float())
