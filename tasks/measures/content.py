"""Content: does a painting still show its own photo, or only look like prints in general?"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.measures.pictures import luminance, require_pictures, thumbnails


@dataclass(frozen=True)
class Retrieval:
    """Shares, 0 to 1, of photos that their painting finds again among all photos; chance is 1/N."""

    luminance: float
    edges: float


def retrieval(photos: Tensor, paintings: Tensor) -> Retrieval:
    """How often painting i is nearer to photo i than to every other: by light and dark, and by edges.

    Both uint8 [N, H, W, 3], painting i of photo i. Compared, by Euclidean distance, are 16x16 means of luminance, and
    of edge energy (the squared gradient of the luminance); each picture's own mean is removed and its deviation made
    one, since how bright and how contrasted a print is belongs to its style.
    """
    require_pictures(photos=photos, paintings=paintings)
    assert len(photos) == len(paintings), f"{len(photos)} photos, {len(paintings)} paintings"
    return Retrieval(
        luminance=found_again(_light(paintings), _light(photos)),
        edges=found_again(_edges(paintings), _edges(photos)),
    )


def match(paintings: Tensor, answers: Tensor) -> float:
    """The share, 0 to 1, of paintings nearer to their own answer than to any other's, by mean absolute difference.

    Both uint8 [N, H, W, 3], answer i the right one for painting i; chance is 1/N.
    """
    require_pictures(paintings=paintings, answers=answers)
    assert paintings.shape == answers.shape, f"{tuple(paintings.shape)} paintings, {tuple(answers.shape)} answers"
    return found_again(paintings.flatten(1).float(), answers.flatten(1).float(), norm=1.0)


def found_again(queries: Tensor, targets: Tensor, norm: float = 2.0) -> float:
    """The share of rows i of `queries`, float [N, D], strictly nearer to row i of `targets` than to all others."""
    distances = torch.cdist(queries, targets, p=norm)
    own = distances.diagonal().clone()
    others = distances.fill_diagonal_(torch.inf).amin(dim=1)
    return (own < others).float().mean().item()


def _light(pictures: Tensor) -> Tensor:
    return _standardised(luminance(pictures))


def _edges(pictures: Tensor) -> Tensor:
    plane = luminance(pictures)
    across = plane[..., 1:, 1:] - plane[..., 1:, :-1]
    down = plane[..., 1:, 1:] - plane[..., :-1, 1:]
    return _standardised(across.square() + down.square())


def _standardised(planes: Tensor) -> Tensor:
    rows = thumbnails(planes).flatten(1)
    return (rows - rows.mean(dim=1, keepdim=True)) / rows.std(dim=1, keepdim=True).clamp_min(1e-9)
