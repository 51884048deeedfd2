"""Starting weights that make an untrained autoencoder a linear one: eightfold averaging inwards, enlarging outwards.

From random weights it takes thousands of steps until colours survive the group normalisations. Here they do from the
first
step: residual branches start at zero, resampling convolutions at the identity, and signals travel as pairs of opposite
sign,
because SiLU(x) - SiLU(-x) = x. A pair of constants beside them keeps the normalisations from removing the contrast.
"""

import math

import torch
from diffusers import AutoencoderKL
from torch import nn

_CONSTANT = 2.0


@torch.no_grad()
def start_linear(network: AutoencoderKL, spread: float) -> None:
    """Set the weights of a fresh autoencoder in place; `spread` is the latents' noise at the start, in standard
    deviations."""
    for name, module in network.named_modules():
        if name.endswith(("conv2", "to_out.0")):
            _zero(module)
        elif name.endswith("conv_shortcut"):
            _identity(module, window=1)
        elif name.endswith("downsamplers.0.conv"):
            _identity(module, window=2)
        elif name.endswith("upsamplers.0.conv"):
            _identity(module, window=1)
    for half in (network.encoder, network.decoder):
        _spread_in_pairs(half.conv_in)
        _gather_pairs(half.conv_out, half.conv_in.in_channels)
    assert network.quant_conv is not None and network.post_quant_conv is not None
    _identity(network.quant_conv, window=1)
    _identity(network.post_quant_conv, window=1)
    nn.init.zeros_(network.quant_conv.weight[4:])
    nn.init.constant_(_bias(network.quant_conv)[4:], 2 * math.log(spread))


def _bias(module: nn.Module) -> torch.Tensor:
    bias = module.bias
    assert isinstance(bias, torch.Tensor)
    return bias


def _zero(module: nn.Module) -> None:
    for parameter in module.parameters():
        nn.init.zeros_(parameter)


def _identity(module: nn.Module, window: int) -> None:
    """Every channel to the one of the same number, averaged over window x window pixels; extra channels keep a weak
    random start."""
    assert isinstance(module, nn.Conv2d)
    module.weight *= 0.1
    nn.init.zeros_(_bias(module))
    first = (
        0 if window == 2 else module.kernel_size[0] // 2
    )  # the strided convolutions are padded below and on the right
    for channel in range(min(module.in_channels, module.out_channels)):
        module.weight[channel, channel, first : first + window, first : first + window] += 1 / window**2


def _spread_in_pairs(convolution: nn.Conv2d) -> None:
    """Input channel k to outputs 2k and 2k + 1 with opposite signs, then two constants; the other outputs stay
    random."""
    count, middle = convolution.in_channels, convolution.kernel_size[0] // 2
    if convolution.out_channels < 2 * count + 2:
        raise ValueError(f"a linear start needs at least {2 * count + 2} channels, not {convolution.out_channels}")
    nn.init.zeros_(convolution.weight[: 2 * count + 2])
    nn.init.zeros_(_bias(convolution))
    for channel in range(count):
        convolution.weight[2 * channel, channel, middle, middle] = 1
        convolution.weight[2 * channel + 1, channel, middle, middle] = -1
    _bias(convolution)[2 * count] = _CONSTANT
    _bias(convolution)[2 * count + 1] = -_CONSTANT


def _gather_pairs(convolution: nn.Conv2d, count: int) -> None:
    """Output k from inputs 2k and 2k + 1 with opposite signs; outputs without a pair keep a weak random start."""
    convolution.weight *= 0.1
    nn.init.zeros_(_bias(convolution))
    middle = convolution.kernel_size[0] // 2
    for channel in range(min(count, convolution.out_channels)):
        convolution.weight[channel, 2 * channel, middle, middle] += 0.7
        convolution.weight[channel, 2 * channel + 1, middle, middle] -= 0.7
