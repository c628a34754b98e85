"""How near paintings are to real pictures: what the best checkpoint, and the seeds worth keeping, are chosen by.

Pictures the networks learned from are compared, never held-out ones: those are left for the judgement at the end.
"""

import math
from dataclasses import dataclass
from statistics import fmean

from torch import Tensor

from tasks.measures.palette import palette
from tasks.measures.pictures import to_bytes
from tasks.measures.swd import Level, between, levels_of

# Pictures that are compared. Of one set of paintings 64 are 50 +- 9 from 64 others by swd, and 165 are 30 +- 3: with
# few, chance chooses the best. Photographs, of which fewer do, are the same each time, and slower to paint.
PICTURES, PHOTOS = 256, 64
ROOM = 2**28  # bytes that they may fill as floats
# fewer directions, and patches a picture, than the papers': a preview ranks one network's moments, it does not publish
DIRECTIONS, PATCHES = 64, 64


def num_compared(side: int) -> int:
    """How many real pictures of `side` px are compared: PICTURES, or what there is room for, and PHOTOS at least."""
    return max(PHOTOS, min(PICTURES, ROOM // (12 * side * side)))


@dataclass(frozen=True)
class Judgement:
    """Distances of paintings to real pictures; see tasks.measures for their units. Lower is better."""

    palette: float  # of colours, wherever they stand
    swd: float  # of patches, whatever their colours

    @property
    def distance(self) -> float:
        """Their geometric mean: a tenth less of either counts the same."""
        return math.sqrt(self.palette * self.swd)


class Judge:
    """Compares paintings, again and again, to `real`: float [N,3,H,W] in (-1,1), of at least 7 pixels a side."""

    def __init__(self, real: Tensor) -> None:
        self._real = to_bytes(real)
        self._levels = self._levels_of(self._real)

    def of(self, painted: Tensor) -> Judgement:
        """How near `painted`, float [B,3,H,W] in (-1,1), is."""
        made = to_bytes(painted)
        levels = between(self._levels_of(made), self._levels)
        return Judgement(palette(made, self._real, directions=DIRECTIONS), fmean(levels.values()))

    def _levels_of(self, pictures: Tensor) -> list[Level]:
        return levels_of(pictures, PATCHES * len(self._real), directions=DIRECTIONS)
