"""Sliced Wasserstein distance between two sets of pictures, one value a scale: do they look alike patch by patch?

Karras et al., "Progressive Growing of GANs" (2018), section 5: 7x7 patches of every level of a Laplacian pyramid.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor
from torch.nn import functional

from tasks.measures.pictures import require_pictures
from tasks.measures.slices import distance_along, random_lines

PATCH = 7  # pixels
PATCHES = 128  # a picture and level
DIRECTIONS = 512
COARSEST = 16  # pixels; the pyramid goes no smaller
SCALE = 1000.0  # the paper gives thousandths
_TAPS = torch.tensor((1.0, 4.0, 6.0, 4.0, 1.0)) / 16.0


def swd(left: Tensor, right: Tensor, *, seed: int = 0) -> float:
    """The mean of `swd_by_level`: 0 for a set and itself, no upper end; tens are near, hundreds far."""
    return fmean(swd_by_level(left, right, seed=seed).values())


def swd_by_level(
    left: Tensor, right: Tensor, *, seed: int = 0, patches: int = PATCHES, directions: int = DIRECTIONS
) -> dict[int, float]:
    """Distance at each level, keyed by its side in pixels, the pictures' own first and the last at least 16.

    `left` and `right` are uint8 [N, H, W, 3] of one height and width; their numbers may differ, each picture of the
    larger set then gives `patches` patches and each of the smaller set more. Patches are standardised by the mean and
    deviation of each channel over their own set, so a shift of colour alone is not seen (see palette). The same seed
    takes the same patches and directions: equal sets are at 0. In thousandths, as in the paper.
    """
    require_pictures(left=left, right=right)
    assert left.shape[1:] == right.shape[1:], f"sizes differ: {tuple(left.shape)} and {tuple(right.shape)}"
    num = patches * max(len(left), len(right))
    return between(*(levels_of(pictures, num, directions=directions, seed=seed) for pictures in (left, right)))


@dataclass(frozen=True)
class Level:
    """What is compared of a set at one level of its pyramid."""

    side: int  # pixels
    patches: Tensor  # float32 [P, C*49], standardised
    lines: Tensor  # float32 [directions, C*49], unit vectors


def levels_of(pictures: Tensor, num: int, *, directions: int = DIRECTIONS, seed: int = 0) -> list[Level]:
    """`num` patches of `pictures`, uint8 [N, H, W, 3], at each level; whoever compares a set often keeps them."""
    assert min(pictures.shape[1:3]) >= PATCH, f"pictures of {tuple(pictures.shape[1:3])} hold no {PATCH}x{PATCH} patch"
    generator, levels = torch.Generator().manual_seed(seed), list[Level]()
    for level, planes in enumerate(laplacian(pictures)):
        patches = _standardised(_patches(planes, torch.rand(num, 2, generator=generator)))
        lines = random_lines(directions, patches.shape[1], generator)
        levels.append(Level(min(pictures.shape[1:3]) >> level, patches, lines))
    return levels


def between(left: list[Level], right: list[Level]) -> dict[int, float]:
    """The distance at each level of two sets' `levels_of` equal numbers, sizes and seeds."""
    return {
        one.side: SCALE * distance_along(one.patches, other.patches, one.lines)
        for one, other in zip(left, right, strict=True)
    }


def laplacian(pictures: Tensor) -> Iterator[Tensor]:
    """The Laplacian pyramid of uint8 [N, H, W, 3]: float32 [N, 3, h, w], finest first, the last one plain.

    Burt and Adelson (1983), with the binomial 1 4 6 4 1 and mirrored borders; adding the levels up again, each
    enlarged, gives the pictures back.
    """
    planes = pictures.permute(0, 3, 1, 2).to(torch.float32)
    while min(planes.shape[2:]) // 2 >= COARSEST:
        smaller = _halved(planes)
        yield planes - doubled(smaller, planes.shape[2:])
        planes = smaller
    yield planes


def doubled(planes: Tensor, size: torch.Size) -> Tensor:
    """float32 [N, C, h, w] enlarged to `size`, twice (h, w) or one less: zeros between, then the binomial times 4."""
    spread = planes.new_zeros(*planes.shape[:2], *size)
    spread[:, :, ::2, ::2] = planes
    return _blurred(spread) * 4.0


def _halved(planes: Tensor) -> Tensor:
    return _blurred(planes)[:, :, ::2, ::2]


def _blurred(planes: Tensor) -> Tensor:
    # The five taps as shifted sums: on a CPU several times faster than a convolution with so small a kernel.
    height, width = planes.shape[2:]
    taps = _TAPS.tolist()
    padded = functional.pad(planes, (2, 2, 2, 2), mode="reflect")
    rows = sum(tap * padded[:, :, i : i + height] for i, tap in enumerate(taps))
    assert isinstance(rows, Tensor)
    both = sum(tap * rows[:, :, :, i : i + width] for i, tap in enumerate(taps))
    assert isinstance(both, Tensor)
    return both


def _patches(planes: Tensor, corners: Tensor) -> Tensor:
    """7x7 patches at `corners` (float [P, 2] in (0, 1)) of the pictures in turn: float32 [P, C, 7, 7]."""
    num, channels, height, width = planes.shape
    which = torch.arange(len(corners)) % num
    top = (corners[:, 0] * (height - PATCH + 1)).long()
    left = (corners[:, 1] * (width - PATCH + 1)).long()
    offsets = torch.arange(PATCH)
    y = top[:, None, None, None] + offsets[None, None, :, None]
    x = left[:, None, None, None] + offsets[None, None, None, :]
    channel = torch.arange(channels)[None, :, None, None]
    flat = ((which[:, None, None, None] * channels + channel) * height + y) * width + x
    return planes.reshape(-1)[flat.to(planes.device)]


def _standardised(patches: Tensor) -> Tensor:
    """Zero mean and unit deviation of each channel over all patches, one row a patch: float32 [P, C*49]."""
    mean = patches.mean(dim=(0, 2, 3), keepdim=True)
    deviation = patches.std(dim=(0, 2, 3), keepdim=True, correction=0)
    return ((patches - mean) / deviation.clamp_min(1e-6)).flatten(1)
