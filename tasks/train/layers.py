"""PyTorch's own layers, to the same numbers, where it computes them slowly: in bfloat16 and in channels_last memory."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Enlarge = Literal["transposed", "resized"]  # by a transposed convolution, or evenly before a plain one


def framed(pictures: Tensor, border: int, mode: Literal["reflect", "replicate"]) -> Tensor:
    """[B,C,H,W] -> [B,C,H+2*border,W+2*border], continued beyond their edges.

    Without autocast's way to float32 and back, which it takes on a CPU alone.
    """
    with torch.autocast("cpu", enabled=False):
        return functional.pad(pictures, (border,) * 4, mode=mode)


class ReflectConv(nn.Conv2d):
    """A convolution of a picture whose borders are reflected: [B,before,H,W] -> [B,after,H,W] at a stride of 1."""

    def __init__(self, before: int, after: int, kernel: int) -> None:
        super().__init__(before, after, kernel, 1, kernel // 2, padding_mode="reflect")

    def forward(self, input: Tensor) -> Tensor:
        """As nn.Conv2d."""
        return functional.conv2d(framed(input, self.kernel_size[0] // 2, "reflect"), self.weight, self.bias)


class InstanceNorm(nn.InstanceNorm2d):
    """Each channel of each picture brought to mean 0 and deviation 1: [B,C,H,W] -> the same."""

    def forward(self, input: Tensor) -> Tensor:
        """As nn.InstanceNorm2d, which copies channels_last pictures to the other layout; here they stay as they are.

        The batch norm of one picture is its instance norm.
        """
        stays = input.device.type == "cpu" and input.is_contiguous(memory_format=torch.channels_last)
        if not stays:
            return super().forward(input)
        normed = [functional.batch_norm(one, None, None, training=True, eps=self.eps) for one in input.split(1)]
        return torch.cat(normed) if len(normed) > 1 else normed[0]
