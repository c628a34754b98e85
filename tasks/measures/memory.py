"""Memory: does a network repeat itself, or the pictures it learned from?

Pictures are compared as 16x16 thumbnails, each channel centred, of unit length: light and contrast do not count. Two
are the same where they are nearer than almost any two different real pictures.
"""

import torch
from torch import Tensor
from torch.nn import functional

from tasks.measures.pictures import require_pictures, thumbnails

QUANTILE = 0.01  # of the distances from real pictures to their nearest other
SAME = 0.05  # share of a picture's own contrast; differences below it are noise, however alike the reals are
REALS = 4096  # real pictures the threshold is taken from, at most
_AT_ONCE = 1024  # rows of the distance matrix; bounds the memory


def duplicates(made: Tensor, reals: Tensor) -> float:
    """The share, 0 to 1, of `made` that have a twin among `made`; uint8 [N, H, W, 3] and [M, h, w, 3].

    Twins are nearer than the 1 % quantile of the distances from each of `reals` to its nearest other. N and M must
    be at least 2.
    """
    threshold, features = threshold_of(reals), _features(made)
    return (nearest(features, features, itself=False) < threshold).float().mean().item()


def copies(made: Tensor, known: Tensor) -> float:
    """The share, 0 to 1, of `made` that repeat one of `known`, the pictures learned from; the threshold is theirs."""
    threshold = threshold_of(known)
    return (nearest(_features(made), _features(known)) < threshold).float().mean().item()


def nearest_known(made: Tensor, known: Tensor) -> Tensor:
    """Which of `known` each of `made` is nearest to, so that a person can judge: int64 [N]."""
    return torch.cdist(_features(made), _features(known)).argmin(dim=1)


def threshold_of(reals: Tensor) -> float:
    """The distance, 0 to 2, below which two pictures count as the same; see `duplicates`."""
    require_pictures(reals=reals)
    assert len(reals) > 1, "one picture has no nearest other"
    features = _features(reals)
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(0))[:REALS].to(features.device)
    distances = nearest(features[order], features, itself=False, rows=order)
    return max(distances.quantile(QUANTILE).item(), SAME)


def nearest(queries: Tensor, targets: Tensor, *, itself: bool = True, rows: Tensor | None = None) -> Tensor:
    """The distance from each of `queries`, float [N, D], to its nearest of `targets`, [M, D]: float32 [N].

    With itself=False query i is the target rows[i] (by default i), and that one does not count.
    """
    if rows is None:
        rows = torch.arange(len(queries), device=queries.device)
    found: list[Tensor] = []
    for some, own in zip(queries.split(_AT_ONCE), rows.split(_AT_ONCE), strict=True):
        # Differences, not scalar products: of two equal pictures those leave a rest the size of the threshold.
        distances = torch.cdist(some, targets, compute_mode="donot_use_mm_for_euclid_dist")
        if not itself:
            distances[torch.arange(len(some), device=own.device), own] = torch.inf
        found.append(distances.amin(dim=1))
    return torch.cat(found)


def _features(pictures: Tensor) -> Tensor:
    """float32 [N, 768], rows of unit length (of zeros for a picture of one colour)."""
    require_pictures(pictures=pictures)
    small = thumbnails(pictures.permute(0, 3, 1, 2).float())
    return functional.normalize((small - small.mean(dim=(2, 3), keepdim=True)).flatten(1), eps=1e-6)
