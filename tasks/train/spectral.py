"""Spectral normalisation in float32: a weight divided by its largest singular value (Miyato et al. 2018)."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import normalize

Make = Callable[[nn.Module], nn.Module]
LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
FIRST, SETTLED = 15, 50  # rounds of power iteration: before the first step; before a weight is folded to print with


class SpectralNormed(nn.Module):
    """`layer` with W / sigma(W) in place of W, W seen as a matrix [outputs, the rest].

    One round of power iteration a use in training; in eval mode the singular vectors stand still.
    """

    u: Tensor
    v: Tensor

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        rows, columns = self._matrix().shape
        self.register_buffer("u", _unit(torch.randn(rows)))
        self.register_buffer("v", _unit(torch.randn(columns)))
        self.iterate(FIRST)

    def forward(self, x: Tensor) -> Tensor:
        """What the layer makes of `x`, its weight normalised."""
        return functional_call(self.layer, {"weight": self.weight()}, (x,))

    def weight(self) -> Tensor:
        """W / sigma(W), in float32 whatever the precision of the network."""
        weight, (u, v) = self.layer.get_parameter("weight"), self._vectors()
        if weight.is_meta:
            return weight  # built to be looked at, not to compute
        with torch.autocast(weight.device.type, enabled=False):
            return weight / torch.dot(u, self._matrix().mv(v))

    def _vectors(self) -> tuple[Tensor, Tensor]:
        """The singular vectors after one more round, in training; copies, which the next use does not change.

        A compiled network calls this: what it would change itself, it would also take back to for the gradient.
        """
        if self.training:
            self.iterate(1)
        return self.u.clone(), self.v.clone()

    @torch.no_grad()
    def iterate(self, rounds: int) -> None:
        """Bring u and v nearer to the first singular vectors."""
        matrix = self._matrix()
        if matrix.is_meta:
            return
        with torch.autocast(matrix.device.type, enabled=False):
            for _ in range(rounds):
                self.v.copy_(normalize(matrix.t().mv(self.u), dim=0))
                self.u.copy_(normalize(matrix.mv(self.v), dim=0))

    def _matrix(self) -> Tensor:
        weight = self.layer.get_parameter("weight")
        return (weight.transpose(0, 1) if isinstance(self.layer, nn.ConvTranspose2d) else weight).flatten(1)


def _unit(vector: Tensor) -> Tensor:
    return vector if vector.is_meta else normalize(vector, dim=0)  # a norm on no memory loads the compiler


@cache
def leave_uncompiled() -> None:
    """Leave the rounds of power iteration out of what is compiled from now on; asking for it loads the compiler."""
    eager: Any = torch.compiler.disable(SpectralNormed._vectors)  # pyright: ignore[reportPrivateUsage, reportCallIssue, reportArgumentType]
    SpectralNormed._vectors = eager  # pyright: ignore[reportPrivateUsage]


def normalise_spectrum(network: nn.Module) -> nn.Module:
    """Put spectral normalisation on every convolution and linear layer within `network`, and return it."""
    return _replaced(network, LAYERS, SpectralNormed)


def fold_spectrum(network: nn.Module) -> nn.Module:
    """Write the normalised weights in place of the raw ones: the same function, plain layers; returns `network`."""

    @torch.no_grad()
    def folded(normed: nn.Module) -> nn.Module:
        assert isinstance(normed, SpectralNormed)
        normed.iterate(SETTLED)
        normed.layer.get_parameter("weight").copy_(normed.weight())
        return normed.layer

    return _replaced(network, (SpectralNormed,), folded)


def _replaced(network: nn.Module, kinds: tuple[type[nn.Module], ...], make: Make) -> nn.Module:
    for name, child in list(network.named_children()):
        network.set_submodule(name, make(child) if isinstance(child, kinds) else _replaced(child, kinds, make))
    return network
