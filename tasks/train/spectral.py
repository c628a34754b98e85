"""Spectral normalisation in float32: a weight divided by its largest singular value (Miyato et al. 2018)."""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
SETTLED = 50  # rounds of power iteration after which a folded weight is exact enough to print with


class SpectralNorm(nn.Module):
    """W -> W / sigma(W), W seen as a matrix [outputs, the rest]; one round of power iteration a use in training."""

    u: Tensor
    v: Tensor

    def __init__(self, weight: Tensor, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs  # the dimension of W that counts outputs: 0, or 1 for transposed convolutions
        matrix = self._matrix(weight.detach().float())
        self.register_buffer("u", nn.functional.normalize(matrix.new_empty(matrix.shape[0]).normal_(), dim=0))
        self.register_buffer("v", nn.functional.normalize(matrix.new_empty(matrix.shape[1]).normal_(), dim=0))
        self._iterate(matrix, 15)

    def forward(self, weight: Tensor) -> Tensor:
        """The normalised weight, in float32 whatever the precision of the network."""
        with torch.autocast(weight.device.type, enabled=False):
            matrix = self._matrix(weight)
            if self.training:
                self._iterate(matrix.detach(), 1)
            # copies: the next use changes the buffers, and a gradient may still need these
            sigma = torch.dot(self.u.clone(), matrix.mv(self.v.clone()))
            return weight / sigma

    @torch.no_grad()
    def settle(self, weight: Tensor) -> None:
        """Run the power iteration until sigma is exact."""
        self._iterate(self._matrix(weight), SETTLED)

    def _matrix(self, weight: Tensor) -> Tensor:
        return weight.transpose(0, self.outputs).flatten(1)

    @torch.no_grad()
    def _iterate(self, matrix: Tensor, rounds: int) -> None:
        for _ in range(rounds):
            self.v.copy_(nn.functional.normalize(matrix.t().mv(self.u), dim=0))
            self.u.copy_(nn.functional.normalize(matrix.mv(self.v), dim=0))


def normalise_spectrum(network: nn.Module) -> nn.Module:
    """Put spectral normalisation on every convolution and linear layer of `network`, and return it."""
    for layer in [layer for layer in network.modules() if isinstance(layer, LAYERS)]:
        outputs = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
        parametrize.register_parametrization(layer, "weight", SpectralNorm(layer.weight, outputs))
    return network


@torch.no_grad()
def fold_spectrum(network: nn.Module) -> nn.Module:
    """Write the normalised weights in place of the raw ones: the same function, plain layers; returns `network`."""
    for layer in network.modules():
        if parametrize.is_parametrized(layer, "weight"):
            original = layer.get_parameter("parametrizations.weight.original")
            norm = layer.get_submodule("parametrizations.weight.0")
            assert isinstance(norm, SpectralNorm)
            norm.settle(original)
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
    return network
