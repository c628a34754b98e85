"""How far painted pictures are from real ones: what the best checkpoint is chosen by.

Pictures the networks learned from are compared, never held-out ones: those are left for the judgement at the end.
"""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize, unfold

PICTURES = 64  # of each set that a preview compares
DIRECTIONS = 128  # random unit vectors that patches are projected on
PATCH = 5  # pixels


def distance(painted: Tensor, real: Tensor) -> float:
    """The sliced 1-Wasserstein distance of 5x5 patches at full and quarter size; 0 for equal sets, in units of (-1,1).

    Both are [B,3,H,W] in (-1,1); of the longer set only as many as the shorter has. Colour counts, since patches are
    not standardised.
    """
    count = min(len(painted), len(real))
    painted, real = painted[:count], real[:count]
    scales = [distance_at_one_scale(avg_pool2d(painted, by), avg_pool2d(real, by)) for by in (1, 4)]
    return sum(scales) / len(scales)


def distance_at_one_scale(painted: Tensor, real: Tensor) -> float:
    """`distance` of the pictures as they are."""
    chance = torch.Generator().manual_seed(0)
    directions = normalize(torch.randn(3 * PATCH**2, DIRECTIONS, generator=chance), dim=0)
    projected = [
        (unfold(pictures.detach().float().cpu(), PATCH, stride=2).transpose(1, 2).flatten(0, 1) @ directions).sort(
            dim=0
        )
        for pictures in (painted, real)
    ]
    return float((projected[0].values - projected[1].values).abs().mean()) / PATCH
