"""Memory: does a network repeat itself, or the pictures it learned from?

Pictures are compared as 16x16 thumbnails, each channel centred, of unit length: light and contrast do not count. Two
are the same where they are nearer than almost any two different real pictures.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from tasks.measures.pictures import require_pictures, thumbnails

QUANTILE = 0.01  # of the distances from real pictures to their nearest other
SAME = 0.05  # share of a picture's own contrast; differences below it are noise, however alike the reals are
REALS = 4096  # real pictures that the threshold of copies is taken from, at most
AMONG = 128  # pictures that repeats are looked for among: the more there are, the nearer is the nearest of them
COMPARED = 1024  # real pictures that say how near that is, at most
_AT_ONCE = 1024  # rows of the distance matrix; bounds the memory


def duplicates(made: Tensor, reals: Tensor) -> float:
    """The share, 0 to 1, of `made` with a twin among 128 of them; uint8 [N, H, W, 3] and [M, h, w, 3], N and M > 1.

    Twins are as near as one in a hundred real pictures finds another among 128 of `reals`, so that real pictures score
    0.01, however many there are of either. It is the mean over all choices of 128, or of N or M where that is fewer.
    """
    among = min(AMONG, len(made), len(reals))
    near = _nearest_reals_among(among, reals)
    num_twins = torch.cat([(distances < near).sum(dim=1) for distances in _between(_features(made))])
    return (1 - _chance_of_none(num_twins, len(made), among)).clamp_min(0).mean().item()  # rounding left -0.0


def copies(made: Tensor, known: Tensor) -> float:
    """The share, 0 to 1, of `made` that repeat one of `known`, the pictures learned from; the threshold is theirs."""
    threshold = threshold_of(known)
    return (nearest(_features(made), _features(known)) < threshold).float().mean().item()


def nearest_known(made: Tensor, known: Tensor) -> Tensor:
    """Which of `known` each of `made` is nearest to, so that a person can judge: int64 [N]."""
    return torch.cdist(_features(made), _features(known)).argmin(dim=1)


def threshold_of(reals: Tensor) -> float:
    """The distance, 0 to 2, below which a picture counts as one of `reals`: their 1 % quantile to their nearest."""
    assert len(reals) > 1, "one picture has no nearest other"
    features = _features(reals)
    order = _some(len(features), REALS).to(features.device)
    distances = nearest(features[order], features, itself=False, rows=order)
    return max(distances.quantile(QUANTILE).item(), SAME)


def nearest(queries: Tensor, targets: Tensor, *, itself: bool = True, rows: Tensor | None = None) -> Tensor:
    """The distance from each of `queries`, float [N, D], to its nearest of `targets`, [M, D]: float32 [N].

    With itself=False query i is the target rows[i] (by default i), and that one does not count.
    """
    if rows is None:
        rows = torch.arange(len(queries), device=queries.device)
    return torch.cat([distances.amin(dim=1) for distances in _blocks(queries, targets, None if itself else rows)])


def _nearest_reals_among(num: int, reals: Tensor) -> float:
    """The 1 % quantile of the distance from each of `reals` to its nearest among `num` of them, all choices together.

    The nearest of all is the nearest chosen as often as it is chosen, the next one as often as it is chosen without
    the first, and so on.
    """
    features = _features(reals)[_some(len(reals), COMPARED)]
    nearest_first = torch.cat([distances.sort(dim=1).values[:, :-1] for distances in _between(features)])
    none_before = _chance_of_none(torch.arange(len(features)), len(features), num)
    weights = (none_before[:-1] - none_before[1:]).expand(len(features), -1).flatten()
    distances, order = nearest_first.flatten().cpu().sort()
    reached = torch.searchsorted(weights[order].cumsum(dim=0), QUANTILE * len(features) * (1 - 1e-9))
    return max(distances[reached].item(), SAME)


def _chance_of_none(num_twins: Tensor, num: int, among: int) -> Tensor:
    """How often none of a picture's twins is among `among` - 1 others drawn of the other `num` - 1: float64 [K]."""
    others, drawn = torch.tensor(num - 1.0, dtype=torch.float64), among - 1
    left = others - num_twins.cpu().double()  # those that are no twins
    ways = torch.lgamma(left + 1) - torch.lgamma((left - drawn).clamp_min(0) + 1)
    ways = ways - torch.lgamma(others + 1) + torch.lgamma(others - drawn + 1)
    return torch.where(left >= drawn, ways.exp(), 0.0)


def _between(features: Tensor) -> Iterator[Tensor]:
    """The distances from each row to all, its own infinite, some rows at a time: float32 [n, N]."""
    return _blocks(features, features, torch.arange(len(features), device=features.device))


def _blocks(queries: Tensor, targets: Tensor, rows: Tensor | None) -> Iterator[Tensor]:
    """Distances of some queries to all targets at a time, [n, M]; query i to the target rows[i] is infinitely far."""
    for start in range(0, len(queries), _AT_ONCE):
        # Differences, not scalar products: of two equal pictures those leave a rest the size of the threshold.
        distances = torch.cdist(queries[start : start + _AT_ONCE], targets, compute_mode="donot_use_mm_for_euclid_dist")
        if rows is not None:
            distances[torch.arange(len(distances), device=rows.device), rows[start : start + _AT_ONCE]] = torch.inf
        yield distances


def _some(num: int, most: int) -> Tensor:
    """Up to `most` of the numbers below `num`, in an order that is always the same: int64."""
    return torch.randperm(num, generator=torch.Generator().manual_seed(0))[:most]


def _features(pictures: Tensor) -> Tensor:
    """float32 [N, 768], rows of unit length (of zeros for a picture of one colour)."""
    require_pictures(pictures=pictures)
    small = thumbnails(pictures.permute(0, 3, 1, 2).float())
    return functional.normalize((small - small.mean(dim=(2, 3), keepdim=True)).flatten(1), eps=1e-6)
