"""What a network needs to be cut into tiles: its stride and how far it looks over an edge, found by probing it."""

import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CANVASES = (256, 512, 1024, 2048, 4096)  # px along the probed axis, tried until the reach fits in one
STRIDES = sorted([2**i for i in range(10)] + [3 * 2**i for i in range(8)])

# Modules that work pixel by pixel or whose statistics are handled apart: for reach they are the identity.
TRANSPARENT = (
    nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.Hardtanh,
    nn.Dropout, nn.Dropout2d, nn.BatchNorm2d, nn.InstanceNorm2d, nn.GroupNorm,
)  # fmt: skip


@dataclass(frozen=True)
class Reach:
    """How a network sees.

    Shifting the input by `stride` pixels shifts the output alike; tiles must start and end on multiples of it. The
    outputs of such a tile are right from `halo` pixels inside its edges on. `halo` is None where no canvas was wide
    enough to hold it: such a network cannot be cut exactly.
    """

    stride: int
    halo: int | None


def probe(network: nn.Module, channels: int = 3) -> Reach:
    """Find the reach of `network`, a map from [B, channels, H, W] to [B, C, H, W], by impulses through a slim copy.

    In the copy every convolution has one positive random kernel and activations and norms are left out, so that
    nothing cancels: an output is not zero exactly where the network could see the impulse.
    """
    linear = _linear_copy(network)
    for canvas in CANVASES:
        respond = _responder(linear, canvas, channels)
        stride = respond and _stride(respond, canvas)
        if respond and stride:
            halo = _halo(respond, canvas, stride)
            if halo is not None:
                return Reach(stride, halo)
    return Reach(1, None)


Responder = Callable[[int], Tensor]  # position of an impulse -> magnitudes [canvas] along the probed axis


def _responder(linear: nn.Module, canvas: int, channels: int) -> Responder | None:
    """A function that gives the answer to impulses on a canvas, or None where the network refuses so small a canvas."""
    for cross in (64, 256):  # px across: no more than the network insists on
        respond = functools.partial(_respond, linear, canvas, cross, channels)
        try:
            if respond(canvas // 2).shape[-1] == canvas:
                return respond
        except RuntimeError:  # smaller than a kernel or a reflection, or skips that do not meet
            continue
    return None


@torch.no_grad()
def _respond(linear: nn.Module, canvas: int, cross: int, channels: int, position: int) -> Tensor:
    impulse = torch.zeros(1, channels, cross, canvas, dtype=torch.float64)
    impulse[:, :, cross // 2, position] = 1e-3  # small: a tanh we could not remove stays linear
    return linear(impulse).abs().sum(dim=(0, 1, 2))


def _stride(respond: Responder, canvas: int) -> int | None:
    """The least shift of the input that shifts the output alike, or None if the canvas is too small to show one."""
    centre = canvas // 2
    candidates = [stride for stride in STRIDES if stride <= canvas // 4]
    here = respond(centre)
    for stride in candidates:
        moved = respond(centre + stride)
        if torch.allclose(here[:-stride], moved[stride:], rtol=1e-6, atol=0):
            return stride
    return None


def _halo(respond: Responder, canvas: int, stride: int) -> int | None:
    """How far inside a tile the pixels just outside it are felt, or None if they are felt at the canvas's edge.

    One period of pixels on either side of an edge that lies on the stride stands for all that lies beyond it: what
    is farther away, and the padding that takes its place inside the network, reaches no farther.
    """
    halo = 0
    edge = canvas // 2 // stride * stride
    for position in range(edge - stride, edge + stride):
        felt = torch.nonzero(respond(position)).flatten()
        low, high = int(felt.min()), int(felt.max())
        if low < stride or high >= canvas - stride:
            return None
        halo = max(halo, high + 1 - edge if position < edge else edge - low)
    return halo


def _linear_copy(network: nn.Module) -> nn.Module:
    """The network with slim positive convolutions and without what is transparent to reach."""
    generator = torch.Generator().manual_seed(0)

    def replaced(module: nn.Module) -> nn.Module:
        if isinstance(module, TRANSPARENT):
            return nn.Identity()
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            return _Slim(module, generator)
        shell = copy.copy(module)
        shell._modules = {name: None if child is None else replaced(child) for name, child in module._modules.items()}  # pyright: ignore[reportPrivateUsage]
        shell._parameters = {  # pyright: ignore[reportPrivateUsage]
            name: None if weight is None else nn.Parameter(weight.detach().double().abs().cpu() + 1e-3, False)
            for name, weight in module._parameters.items()  # pyright: ignore[reportPrivateUsage]
        }
        return shell

    return replaced(network)


class _Slim(nn.Module):
    """A convolution's geometry with a single positive kernel: all channels in are summed, all channels out alike."""

    def __init__(self, conv: nn.Conv2d | nn.ConvTranspose2d, generator: torch.Generator) -> None:
        super().__init__()
        self.conv = conv
        self.kernel = 0.5 + torch.rand(1, 1, *conv.kernel_size, dtype=torch.float64, generator=generator)
        self.kernel /= self.kernel.sum() * conv.in_channels

    def forward(self, x: Tensor) -> Tensor:
        conv, one = self.conv, x.sum(dim=1, keepdim=True)
        if isinstance(conv, nn.ConvTranspose2d):
            padding = cast("tuple[int, ...]", conv.padding)
            y = F.conv_transpose2d(one, self.kernel, None, conv.stride, padding, conv.output_padding, 1, conv.dilation)
        else:
            if conv.padding_mode != "zeros":
                one = F.pad(one, conv._reversed_padding_repeated_twice, mode=conv.padding_mode)  # pyright: ignore[reportPrivateUsage]
            padding = conv.padding if conv.padding_mode == "zeros" else 0
            y = F.conv2d(one, self.kernel, None, conv.stride, padding, conv.dilation)
        return y.expand(-1, conv.out_channels, -1, -1)
