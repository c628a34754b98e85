"""Palette: how far apart the colours of two sets of pictures are, wherever in the picture they stand.

CIE L*a*b* of sRGB under D65 (IEC 61966-2-1; CIE 15), where equal distances look about equally large.
"""

import torch
from torch import Tensor

from tasks.measures.pictures import require_pictures
from tasks.measures.slices import sliced_distance

PIXELS = 20_000  # drawn from each set
DIRECTIONS = 256

_TO_XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
_WHITE = (0.95047, 1.0, 1.08883)  # D65, 2 degree observer
_EDGE = 6.0 / 29.0  # below its cube the cube root of L*a*b* is a straight line


def palette(left: Tensor, right: Tensor, *, seed: int = 0, directions: int = DIRECTIONS) -> float:
    """Sliced Wasserstein distance of the pixels of two sets, uint8 [N, H, W, 3] of any size, in L*a*b* units.

    A shift of all colours by a Delta E of d measures d/2; 0 for a set and itself, under 2 for two draws of one kind.
    """
    require_pictures(left=left, right=right)
    clouds = [to_lab(_drawn(pictures, seed)) for pictures in (left, right)]
    return sliced_distance(*clouds, directions=directions, generator=torch.Generator().manual_seed(seed))


def to_lab(rgb: Tensor) -> Tensor:
    """uint8 sRGB [..., 3] -> float32 L*a*b* [..., 3]: L* in (0, 100), a* and b* within about (-108, 99)."""
    value = rgb.to(torch.float32) / 255.0
    linear = torch.where(value > 0.04045, ((value + 0.055) / 1.055) ** 2.4, value / 12.92)
    xyz = linear @ _matrix(linear).T / linear.new_tensor(_WHITE)
    root = torch.where(xyz > _EDGE**3, xyz.clamp_min(1e-9) ** (1 / 3), xyz / (3 * _EDGE**2) + 4 / 29)
    x, y, z = root.unbind(-1)
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), dim=-1)


def from_lab(lab: Tensor) -> Tensor:
    """float32 L*a*b* [..., 3] -> uint8 sRGB [..., 3]; colours that sRGB lacks are clipped."""
    lightness, a, b = lab.unbind(-1)
    y = (lightness + 16) / 116
    root = torch.stack((y + a / 500, y, y - b / 200), dim=-1)
    xyz = torch.where(root > _EDGE, root**3, 3 * _EDGE**2 * (root - 4 / 29)) * lab.new_tensor(_WHITE)
    linear = (xyz @ torch.linalg.inv(_matrix(lab)).T).clamp(0, 1)
    value = torch.where(linear > 0.0031308, 1.055 * linear.clamp_min(1e-9) ** (1 / 2.4) - 0.055, 12.92 * linear)
    return (value * 255).round().clamp(0, 255).to(torch.uint8)


def recoloured(photos: Tensor, prints: Tensor) -> Tensor:
    """Each of `photos` with the mean and deviation of its L*, a* and b* brought to those of all `prints` together.

    uint8 [N, h, w, 3] and [M, H, W, 3] -> uint8 [N, h, w, 3]; Reinhard et al., "Color Transfer between Images" (2001),
    in L*a*b*. It is what can be had of a style without learning anything.
    """
    require_pictures(photos=photos, prints=prints)
    target = to_lab(prints).flatten(0, 2)
    target_mean, target_deviation = target.mean(dim=0), target.std(dim=0, correction=0)
    lab = to_lab(photos)
    mean = lab.mean(dim=(1, 2), keepdim=True)
    deviation = lab.std(dim=(1, 2), keepdim=True, correction=0).clamp_min(1e-3)
    return from_lab((lab - mean) / deviation * target_deviation + target_mean)


def _matrix(like: Tensor) -> Tensor:
    return like.new_tensor(_TO_XYZ)


def _drawn(pictures: Tensor, seed: int) -> Tensor:
    """PIXELS pixels of the set at random: uint8 [P, 3]."""
    generator = torch.Generator().manual_seed(seed)
    pixels = pictures.reshape(-1, 3)
    return pixels[torch.randint(len(pixels), (PIXELS,), generator=generator).to(pixels.device)]
