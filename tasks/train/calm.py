"""Calm: a painting may be drawn on where its photograph is, and stays quiet where that is quiet, as in skies.

A critic that finds texture everywhere in prints asks for it in skies too; this holds against it. It is the smoothness
that Godard et al. 2017 (arXiv:1609.03677, section 3.3) ask of depth, weighted by the gradient of the picture.
"""

from torch import Tensor

FLAT = 0.05  # difference of two pixels, of 2, at which the weight has fallen to a third: 6 of 255 levels


def calm_loss(pictures: Tensor, painted: Tensor) -> Tensor:
    """Mean difference of neighbouring pixels of `painted` where those of `pictures` are alike; [B,3,H,W] both."""
    across = _weighted(pictures[..., 1:] - pictures[..., :-1], painted[..., 1:] - painted[..., :-1])
    down = _weighted(pictures[..., 1:, :] - pictures[..., :-1, :], painted[..., 1:, :] - painted[..., :-1, :])
    return across + down


def _weighted(of_picture: Tensor, of_painting: Tensor) -> Tensor:
    weight = (-of_picture.abs().mean(dim=1, keepdim=True) / FLAT).exp()
    return (weight * of_painting.abs()).mean()
