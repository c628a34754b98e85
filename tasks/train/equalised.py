"""Layers of NVIDIA's Progressive GAN (Karras et al. 2018, arXiv:1710.10196, section 4 and 3)."""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear

from tasks.train.layers import framed

Border = Literal["zeros", "replicate"]  # what a convolution finds beyond the edges
BATCH = 16  # pictures, as usual


class EqualConv(nn.Conv2d):
    """A convolution whose weights are normal with deviation 1 and are scaled by gain / sqrt(fan in) when used.

    So Adam, whose steps do not depend on a weight's scale, learns all layers equally fast.
    """

    def __init__(
        self, before: int, after: int, kernel: int, gain: float = math.sqrt(2), border: Border = "zeros"
    ) -> None:
        super().__init__(before, after, kernel, 1, kernel // 2)
        self.scale, self.border = _equalised(self, gain), border

    def forward(self, input: Tensor) -> Tensor:
        """[B,before,H,W] -> [B,after,H,W]."""
        beyond = self.weight.shape[-1] // 2
        if beyond and self.border == "replicate":
            input, beyond = framed(input, beyond, "replicate"), 0
        return conv2d(*_scaled(input, self.weight, self.scale), self.bias, padding=beyond)


class EqualLinear(nn.Linear):
    """A linear layer with such weights."""

    def __init__(self, before: int, after: int, gain: float = math.sqrt(2)) -> None:
        super().__init__(before, after)
        self.scale = _equalised(self, gain)

    def forward(self, input: Tensor) -> Tensor:
        """[B,before] -> [B,after]."""
        return linear(*_scaled(input, self.weight, self.scale), self.bias)


class PixelNorm(nn.Module):
    """Each pixel's features, or a vector, divided by their root mean square, which is taken in float32."""

    def forward(self, x: Tensor) -> Tensor:
        """[B,C,...] -> the same."""
        return x * (x.float().square().mean(dim=1, keepdim=True) + 1e-8).rsqrt().to(x.dtype)


class Deviation(nn.Module):
    """One more channel: how much the pictures of a group differ, so that a critic sees a generator repeat itself."""

    def __init__(self, group: int) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        """[B,C,H,W] -> [B,C+1,H,W]; groups are as large as `group` and B allow.

        Out of training all B are one group: each is judged in the company of many, not by which three lie beside it.
        """
        num, channels, height, width = x.shape
        group = math.gcd(num, self.group) if self.training else num
        groups = x.float().reshape(group, num // group, channels, height, width)
        deviation = (groups.var(dim=0, correction=0) + 1e-8).sqrt().mean(dim=(1, 2, 3))
        told = deviation.to(x.dtype).repeat(group)[:, None, None, None].expand(-1, 1, height, width)
        return torch.cat([x, told], dim=1)


def _scaled(input: Tensor, weight: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Both, the shorter one scaled: the product is the same, and small pictures have many more weights than pixels.

    The batch itself does not decide: an exported painter takes any.
    """
    return (input, weight * scale) if weight.numel() < BATCH * input[0].numel() else (input * scale, weight)


def _equalised(layer: nn.Conv2d | nn.Linear, gain: float) -> float:
    """Draw the weights of `layer`; gives the factor they are used with."""
    nn.init.normal_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return gain / math.sqrt(layer.weight[0].numel())
