"""Normalisation that does not depend on the tile: statistics taken once and frozen, lest tiles differ in tone."""

import copy
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

Mode = Literal["frozen", "thumbnail"]
Norm = nn.InstanceNorm2d | nn.GroupNorm | nn.BatchNorm2d


def needs_statistics(network: nn.Module) -> bool:
    """Whether a norm of `network`, in eval mode, measures the picture it is shown."""
    return any(_measures(module) for module in network.modules())


@torch.no_grad()
def with_statistics_of(network: nn.Module, picture: Tensor) -> nn.Module:
    """A network that shares the weights of `network` and whose norms hold the statistics of one `picture`.

    `picture` [1, 3, H, W] in (-1, 1) is a thumbnail as a rule; every norm becomes the affine map it was on it.
    """
    frozen = replace_norms(network, _Measured)
    frozen(picture)
    return replace_norms(frozen, lambda module: module.affine(), _Measured)


def replace_norms(network: nn.Module, make: Callable[..., nn.Module], kind: type[nn.Module] | None = None) -> nn.Module:
    """A copy of the network's structure, weights shared, in which `make(norm)` stands for each norm that measures.

    With `kind`, for each module of that type. A module used twice stays one module.
    """
    made: dict[int, nn.Module] = {}

    def replaced(module: nn.Module) -> nn.Module:
        if id(module) not in made:
            if isinstance(module, kind) if kind else _measures(module):
                made[id(module)] = make(module)
            else:
                shell = copy.copy(module)
                made[id(module)] = shell
                shell._modules = {  # pyright: ignore[reportPrivateUsage]
                    name: None if child is None else replaced(child)
                    for name, child in module._modules.items()  # pyright: ignore[reportPrivateUsage]
                }
        return made[id(module)]

    return replaced(network)


class _Measured(nn.Module):
    """A norm that remembers the affine map y = scale x + shift it was on the first picture it saw."""

    def __init__(self, norm: Norm) -> None:
        super().__init__()
        self.norm = norm
        self.scale: Tensor | None = None
        self.shift: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.scale is None:
            self.scale, self.shift = affine_of(self.norm, x)
        assert self.shift is not None
        return x * self.scale + self.shift

    def affine(self) -> nn.Module:
        assert self.scale is not None
        assert self.shift is not None
        return _Affine(self.scale, self.shift)


class _Affine(nn.Module):
    """y = scale x + shift, a channel at a time."""

    scale: Tensor
    shift: Tensor

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.shift


def affine_of(norm: Norm, x: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and shift, each [1, C, 1, 1], that `norm` applies to the features x [1, C, H, W] of a whole picture."""
    channels = x.shape[1]
    groups = norm.num_groups if isinstance(norm, nn.GroupNorm) else channels
    variance, mean = torch.var_mean(x[0].reshape(groups, -1).double(), dim=1, correction=0)
    scale = (variance + norm.eps).rsqrt().repeat_interleave(channels // groups)
    shift = -mean.repeat_interleave(channels // groups) * scale
    if norm.weight is not None:  # pyright: ignore[reportUnnecessaryComparison]: None where not affine
        scale, shift = scale * norm.weight, shift * norm.weight + norm.bias
    return scale.to(x.dtype)[None, :, None, None], shift.to(x.dtype)[None, :, None, None]


def _measures(module: nn.Module) -> bool:
    if isinstance(module, nn.GroupNorm):
        return True
    return isinstance(module, nn.InstanceNorm2d | nn.BatchNorm2d) and module.running_mean is None
