"""Colours: the paintings of a batch, taken together, have the colours of its prints.

A critic tells strokes from one another long before it knows how much of each colour prints have, and a generator swings
round those shares for as long as the two learn. This tells them outright, as the sliced Wasserstein distance of two
clouds of colours (Rabin et al. 2011, Wasserstein Barycenter and Its Application to Texture Mixing; as a loss of
networks, Heitz et al. 2021, arXiv:2006.07229); which colour goes where remains the critic's to say.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize

PIXELS = 4096  # drawn from each side, at most
LINES = 16  # through colour space, along which one step compares; the next takes others


def colour_loss(painted: Tensor, prints: Tensor) -> Tensor:
    """Mean difference of the sorted colours of both, float [B,3,H,W] in (-1,1), along random lines.

    In the unit of the pixels, whose range is 2: a shift of every colour by a vector t measures |t|/2 on average.
    """
    num = painted.numel() // 3
    drawn = torch.randint(num, (min(PIXELS, num),), device=painted.device)
    lines = normalize(torch.randn(LINES, 3, device=painted.device))
    ours, theirs = (
        (lines @ pictures.transpose(0, 1).flatten(1)[:, drawn]).sort(dim=1).values for pictures in (painted, prints)
    )
    return (ours - theirs).abs().mean()
