"""How near paintings are to real pictures: what the best checkpoint, and the seeds worth keeping, are chosen by.

Pictures the networks learned from are compared, never held-out ones: those are left for the judgement at the end.
"""

import math
from dataclasses import dataclass
from statistics import fmean

from torch import Tensor

from tasks.measures.palette import palette
from tasks.measures.pictures import to_bytes
from tasks.measures.swd import swd_by_level

PICTURES = 64  # of each set that a preview compares
DIRECTIONS, PATCHES = 64, 64  # fewer than the papers': a preview ranks one network's moments, it does not publish


@dataclass(frozen=True)
class Judgement:
    """Distances of paintings to real pictures; see tasks.measures for their units. Lower is better."""

    palette: float  # of colours, wherever they stand
    swd: float  # of patches, whatever their colours

    @property
    def distance(self) -> float:
        """Their geometric mean: a tenth less of either counts the same."""
        return math.sqrt(self.palette * self.swd)


def judge(painted: Tensor, real: Tensor) -> Judgement:
    """Compare two sets, float [B,3,H,W] and [N,3,H,W] in (-1,1), of at least 7 pixels a side."""
    made, known = to_bytes(painted), to_bytes(real)
    levels = swd_by_level(made, known, directions=DIRECTIONS, patches=PATCHES)
    return Judgement(palette(made, known, directions=DIRECTIONS), fmean(levels.values()))
