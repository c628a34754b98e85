"""What recipes that paint from noise share: the DCGAN's layers, first weights, painting with the averaged generator."""

import copy

import torch
from torch import Tensor, nn

from tasks.train.layers import Enlarge
from tasks.train.recipe import Pictures, Recipe

AT_ONCE = 64  # paintings that memory holds with all that leads to them


def enlarging(how: Enlarge, before: int, after: int, times: int) -> nn.Module:
    """[B,before,H,W] -> [B,after,times*H,times*W], no biases.

    transposed: a convolution of kernel 2 + times, as in the DCGAN; resized: a 3x3 one of what was enlarged evenly, more
    work and none of the grain and chequers that the other paints until it has learned not to (Odena et al. 2016,
    Deconvolution and Checkerboard Artifacts, doi:10.23915/distill.00003).
    """
    if how == "transposed":
        return nn.ConvTranspose2d(before, after, 2 + times, times, 1, bias=False)
    evenly = nn.Upsample(scale_factor=float(times), mode="bilinear")
    return nn.Sequential(evenly, nn.Conv2d(before, after, 3, 1, 1, bias=False))


def first_weights(layer: nn.Module) -> None:
    """Normal with deviation 0.02, the gains of batch norm about 1: as in the DCGAN paper (arXiv:1511.06434)."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(layer.weight, 0.0, 0.02)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)


def normed(layer: nn.Conv2d | nn.ConvTranspose2d, activation: nn.Module) -> nn.Module:
    """The layer with such first weights, batch norm behind it, and an activation."""
    return nn.Sequential(layer.apply(first_weights), nn.BatchNorm2d(layer.out_channels), activation)


def orthogonal_weights(layer: nn.Module) -> None:
    """All singular values of a weight are one, so that dividing by the largest leaves the others as large."""
    if isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.orthogonal_(layer.weight)


class PaintsFromNoise(Recipe):
    """Half a recipe: paints with averages["generator"], from noise [B,Z] to [B,3,side,side]; Z is `noise`."""

    reads = ("to",)
    shown = "pictures"  # what the picture set shows
    noise: int

    @torch.no_grad()
    def paint(self, pictures: Pictures) -> Tensor:
        """As many paintings as there are pictures, from noise that is the same each time."""
        noise = torch.randn(len(pictures["to"]), self.noise, generator=torch.Generator().manual_seed(0))
        return torch.cat([self._paints()(part) for part in noise.to(pictures["to"].device).split(AT_ONCE)])

    def preview(self, pictures: Pictures) -> dict[str, Tensor]:
        """Pictures learned from above painted ones."""
        return {self.shown: pictures["to"], "painted": self.paint(pictures)}

    def painter(self) -> nn.Module:
        """The averaged generator, from noise [B,Z]; its `noise` is Z."""
        return copy.deepcopy(self._paints()).eval()

    def _paints(self) -> nn.Module:
        return self.averages["generator"]
