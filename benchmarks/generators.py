"""Generators to measure tiling with: a ResNet and a U-Net of the usual shapes, with random weights."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

Make = Callable[[int], nn.Module]  # channels -> a norm


class UNet(nn.Module):
    """Convolutions k4 s2 down, transposed ones up, each level's features joined to its mirror's."""

    def __init__(self, depth: int, norm: Make, width: int) -> None:
        super().__init__()
        widths = [3, *(min(width * 2**level, width * 4) for level in range(depth))]
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(nn.Sequential(nn.Conv2d(a, b, 4, 2, 1), norm(b), nn.LeakyReLU(0.2)) for a, b in pairs)
        self.up = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(b + joined, max(a, width), 4, 2, 1), norm(max(a, width)), nn.ReLU())
            for (a, b), joined in zip(reversed(pairs), [0, *widths[-2:0:-1]], strict=True)
        )
        self.out = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Paint [B, 3, H, W] in (-1, 1)."""
        skips: list[Tensor] = []
        for down in self.down:
            x = down(x)
            skips.append(x)
        x = skips.pop()
        for up in self.up:
            x = up(x)
            if skips:
                x = torch.cat([x, skips.pop()], dim=1)
        return torch.tanh(self.out(x))


class Residual(nn.Module):
    """x plus two convolutions of it."""

    def __init__(self, width: int, norm: Make) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(2):
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), norm(width), nn.ReLU()]
        self.body = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """Features in, features out."""
        return x + self.body(x)


def resnet(blocks: int, norm: Make, width: int) -> nn.Module:
    """CycleGAN's generator with `blocks` residual blocks."""
    return nn.Sequential(
        nn.ReflectionPad2d(3), nn.Conv2d(3, width, 7), norm(width), nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, 2, 1), norm(2 * width), nn.ReLU(),
        nn.Conv2d(2 * width, 4 * width, 3, 2, 1), norm(4 * width), nn.ReLU(),
        *(Residual(4 * width, norm) for _ in range(blocks)),
        nn.ConvTranspose2d(4 * width, 2 * width, 3, 2, 1, 1), norm(2 * width), nn.ReLU(),
        nn.ConvTranspose2d(2 * width, width, 3, 2, 1, 1), norm(width), nn.ReLU(),
        nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh(),
    )  # fmt: skip


def lively(network: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights at which a picture survives all layers, so that a wrong halo shows; in eval mode."""
    chance = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            up = isinstance(module, nn.ConvTranspose2d)
            fan = module.weight[0].numel() / (module.stride[0] ** 2 if up else 1)
            nn.init.normal_(module.weight, std=1.2 / fan**0.5, generator=chance)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network.eval()
