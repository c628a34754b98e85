"""Of many pictures drawn from noise, the few to keep: good ones, and not the same one again and again."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.infer.domain import Domain, described
from tasks.infer.source import Pixels

WIDE = 4  # of WIDE times as many of the best as are kept, those are taken that differ most

Score = Callable[[Tensor], Tensor]  # pictures [B, 3, H, W] in (-1, 1) -> [B], higher is better


def likeness(drawn: Pixels, examples: Pixels) -> NDArray[np.float32]:
    """How like the pictures learned from each drawing [N, side, side, 3] is: minus its distance; see domain.py.

    The score of a recipe whose critic gives none.
    """
    domain = Domain(examples)
    return np.array([-domain.judge(picture).distance for picture in drawn], np.float32)


def scored(drawn: Tensor, score: Score, batch: int = 64) -> NDArray[np.float32]:
    """The score of each of `drawn`, at most `batch` at a time; a critic may compare them, so no part is a mere rest."""
    parts = drawn.tensor_split(-(-len(drawn) // batch))
    with torch.inference_mode():
        return torch.cat([score(part).float().flatten() for part in parts]).cpu().numpy()


def chosen(drawn: Pixels, scores: NDArray[np.float32], keep: int) -> list[int]:
    """Which `keep` of drawn [N, side, side, 3] to keep, the best first.

    After the best, of the WIDE x keep best ones, each time the one that differs most from those already taken
    (farthest-point selection): the top by score alone is often one picture many times.
    """
    best = [int(index) for index in np.argsort(-scores, kind="stable")[: WIDE * keep]]
    features = {index: described(drawn[index]) for index in best}
    taken, left = best[:1], best[1:]
    nearest = {index: _apart(features[index], features[taken[0]]) for index in left}
    while left and len(taken) < keep:
        farthest = max(left, key=lambda index: nearest[index])
        taken.append(farthest)
        left.remove(farthest)
        for index in left:
            nearest[index] = min(nearest[index], _apart(features[index], features[farthest]))
    return taken


def _apart(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(one - other))
