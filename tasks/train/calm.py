"""Calm: a painting may be drawn on where its photograph is, and stays quiet where that is quiet, as in skies.

A critic that finds texture everywhere in prints asks for it in skies too; this holds against it. It is the smoothness
that Godard et al. 2017 (arXiv:1609.03677, section 3.3) ask of depth, weighted by the gradient of the picture; but with
one gradient for both directions, since lines along rows and columns would else cost less than slanted ones.
"""

from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

FLAT = 0.05  # difference of two pixels, of 2, at which the weight has fallen to a third: 6 of 255 levels
AROUND = 5  # pixels, a square of which is looked at to say how flat a place is: strokes are wider than a pixel
LEAST = 1e-3  # of a gradient; keeps the slope of the root finite where there is none


def calm_loss(pictures: Tensor, painted: Tensor) -> Tensor:
    """Mean gradient of `painted` where `pictures` have none; [B,3,H,W] both, in (-1,1)."""
    slope = pad(_slope(pictures).mean(dim=1, keepdim=True), (AROUND // 2,) * 4, mode="replicate")
    weight = (-avg_pool2d(slope, AROUND, 1) / FLAT).exp()
    return (weight * _slope(painted)).mean()


def _slope(pictures: Tensor) -> Tensor:
    """[B,3,H,W] -> [B,3,H-1,W-1]: the length of the gradient at each pixel."""
    across = pictures[..., :-1, 1:] - pictures[..., :-1, :-1]
    down = pictures[..., 1:, :-1] - pictures[..., :-1, :-1]
    return (across.square() + down.square() + LEAST**2).sqrt() - LEAST
