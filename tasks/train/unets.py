"""U-Nets that paint pictures of any size: halving by strides or by means, on white or on the picture as ground."""

import itertools
import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, leaky_relu, pixel_unshuffle, relu

from tasks.train.layers import ReflectConv

Ground = Literal["white", "photo", "grey"]  # what is painted on: nothing, the photograph, or that without its colours
FAINT = 0.3  # share of its first weights that the layer before the picture takes
FEW = 8  # channels of full size at the end of a folded U-Net


class Over(nn.Module):
    """Paint on the photograph: what the network gives is added before the last tanh, which keeps it in (-1,1).

    A ground that is grey keeps light and lines, and leaves every colour to the network: what a photograph has of blue
    sky is not left standing where prints have none.
    """

    def __init__(self, network: nn.Module, ground: Ground = "photo") -> None:
        super().__init__()
        self.network, self.grey = network, ground == "grey"

    def forward(self, pictures: Tensor) -> Tensor:
        """[B,3,H,W] in (-1,1) -> the same."""
        ground = pictures.mean(dim=1, keepdim=True) if self.grey else pictures
        # tanh(a + b) of two values whose tanh is known
        x, y = ground * 0.98, self.network(pictures)
        return (x + y) / (1 + x * y)


def on_ground(network: nn.Module, ground: Ground) -> nn.Module:
    """The network, painting on `ground`."""
    return network if ground == "white" else Over(network, ground)


class UNet(nn.Module):
    """Convolutions down, transposed convolutions up, each level joined to its like: [B,3,H,W] -> the same, tanh.

    H and W are multiples of 2^levels; an output pixel sees no input further than 3 x 2^levels - 3 pixels away.
    """

    def __init__(self, filters: int, levels: int, norm: Literal["batch", "none"]) -> None:
        super().__init__()
        widths = [min(filters * 2**level, 4 * filters) for level in range(levels)]
        self.down = nn.ModuleList(
            nn.Conv2d(before, after, 4, 2, 1) for before, after in zip([3, *widths], widths, strict=False)
        )
        self.down_norm = nn.ModuleList(
            nn.BatchNorm2d(width) if norm == "batch" and level else nn.Identity() for level, width in enumerate(widths)
        )
        outputs = [3, *widths][:-1]
        inputs = [2 * width for width in widths[:-1]] + widths[-1:]
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(before, after, 4, 2, 1) for before, after in zip(inputs, outputs, strict=True)
        )
        self.up_norm = nn.ModuleList(
            nn.BatchNorm2d(width) if norm == "batch" and level else nn.Identity() for level, width in enumerate(outputs)
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Paint `pictures`, float [B,3,H,W] in (-1,1)."""
        skips: list[Tensor] = []
        x = pictures
        for conv, norm in zip(self.down, self.down_norm, strict=True):
            x = leaky_relu(norm(conv(x)), 0.2)
            skips.append(x)
        for level in reversed(range(1, len(self.up))):
            x = relu(self.up_norm[level](self.up[level](x)))
            x = torch.cat([x, skips[level - 1]], dim=1)
        return torch.tanh(self.up[0](x))


class PooledUNet(nn.Module):
    """Convolutions and mean pooling down, enlarging and convolutions up, from full size to full size, tanh.

    It keeps the finest line and draws no checkerboard, at a price: it works at full size too. Borders are reflected,
    since zeros would teach it to paint a frame round every patch. What is enlarged is interpolated: pixels merely
    repeated have edges along rows and columns, out of which a critic that asks for detail gets a plaid over every sky
    within minutes (Karras et al. 2019, arXiv:1812.04948, section 2, left repeating too).

    Folded, it spares most of the price: four pixels become twelve channels of a picture of half the side, and only a
    few channels, enlarged and joined to the picture itself, are of full size; unfolding channels into pixels (Shi et
    al. 2016, arXiv:1609.05158) is cheaper yet and was seen to leave a grid of two pixels. H and W are then multiples
    of 2^(levels+1).
    """

    def __init__(self, filters: int, levels: int, norm: Literal["batch", "none"], folded: bool = False) -> None:
        super().__init__()
        self.fold = 2 if folded else 1  # pixels a side that become channels
        widths = [min(filters * 2**level, 4 * filters) for level in range(levels + 1)]
        self.down = nn.ModuleList(
            ReflectConv(before, after, 3) for before, after in zip([3 * self.fold**2, *widths], widths, strict=False)
        )
        self.up = nn.ModuleList(ReflectConv(above + below, above, 3) for above, below in itertools.pairwise(widths))
        self.few = ReflectConv(widths[0], FEW, 3) if folded else nn.Identity()
        self.joined = ReflectConv(FEW + 3, FEW, 3) if folded else nn.Identity()
        self.last = ReflectConv(FEW if folded else widths[0], 3, 3)
        self.down_norm = nn.ModuleList(
            nn.BatchNorm2d(width) if norm == "batch" and level else nn.Identity() for level, width in enumerate(widths)
        )
        self.up_norm = nn.ModuleList(
            nn.BatchNorm2d(width) if norm == "batch" else nn.Identity() for width in widths[:-1]
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Paint `pictures`, float [B,3,H,W] in (-1,1), H and W multiples of 2^levels."""
        skips: list[Tensor] = []
        x = pixel_unshuffle(pictures, self.fold)
        for level, (conv, norm) in enumerate(zip(self.down, self.down_norm, strict=True)):
            x = leaky_relu(norm(conv(avg_pool2d(x, 2) if level else x)), 0.2)
            skips.append(x)
        for level in reversed(range(len(self.up))):
            x = torch.cat([_enlarged(x), skips[level]], dim=1)
            x = relu(self.up_norm[level](self.up[level](x)))
        if self.fold > 1:
            enlarged = _enlarged(relu(self.few(x)))
            x = relu(self.joined(torch.cat([enlarged, pictures], dim=1)))
        return torch.tanh(self.last(x))


def _enlarged(x: Tensor) -> Tensor:
    """[B,C,H,W] -> [B,C,2H,2W], the same for every tile as for the whole."""
    return interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def quartered(pictures: Tensor) -> Tensor:
    """[B,3,2h,2w] -> [4B,3,h,w]: the quarters of each picture, left to right and top to bottom."""
    num, channels, height, width = pictures.shape
    cut = pictures.reshape(num, channels, 2, height // 2, 2, width // 2).permute(0, 2, 4, 1, 3, 5)
    return cut.reshape(4 * num, channels, height // 2, width // 2)


def rejoined(quarters: Tensor) -> Tensor:
    """[4B,3,h,w] -> [B,3,2h,2w]: `quartered` undone."""
    num, channels, height, width = quarters.shape
    laid = quarters.reshape(num // 4, 2, 2, channels, height, width).permute(0, 3, 1, 4, 2, 5)
    return laid.reshape(num // 4, channels, 2 * height, 2 * width)


def normal_weights(layer: nn.Module) -> None:
    """First weights of convolutions as in both papers' codes: normal with deviation 0.02, and no biases."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, 0.0, 0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def he_weights(layer: nn.Module) -> None:
    """First weights that let what passes keep its size through any number of layers and ReLUs, without norm.

    He et al. 2015, Delving Deep into Rectifiers (arXiv:1502.01852), for a slope of 0.2. The layer that gives the
    picture takes less, so that a painting begins near its photograph, or near grey.
    """
    if not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        return
    met = layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1]  # weights that make one pixel
    if isinstance(layer, nn.ConvTranspose2d):
        met //= layer.stride[0] * layer.stride[1]
    share = FAINT if layer.out_channels == 3 else 1.0
    nn.init.normal_(layer.weight, 0.0, share * nn.init.calculate_gain("leaky_relu", 0.2) / math.sqrt(met))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
