"""Whether tiles can be seen: steps of tone across the lines where they meet, against steps at lines where none do."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.infer.source import Pixels

BAND = 8  # px on either side of a line whose tones are compared
SEGMENT = 32  # px along a line that are averaged, so that texture does not count

Rows = Callable[[int, int], Pixels]  # rows [start, stop) of a picture


def seam_ratio(rows: Rows, height: int, width: int, lines: tuple[Sequence[int], Sequence[int]]) -> float | None:
    """Mean tone step across `lines` (rows, columns) over that at lines between them; about 1 where no tile shows.

    None where the picture was painted as one tile. It is the low-frequency step that the eye finds; the gradient at
    the line itself drowns in painted texture.
    """
    across, beside = _between(lines[0], height), _between(lines[1], width)
    at_cuts = [_row_steps(rows, y, height) for y in lines[0]]
    at_others = [_row_steps(rows, y, height) for y in across]
    for start in range(0, height - SEGMENT + 1, SEGMENT):
        if not lines[1]:
            break
        strip = rows(start, start + SEGMENT).astype(np.float32).mean(axis=0)  # [width, 3]
        at_cuts += [_step(strip, x) for x in lines[1] if BAND <= x <= width - BAND]
        at_others += [_step(strip, x) for x in beside if BAND <= x <= width - BAND]
    cuts, others = (
        np.concatenate([np.ravel(x) for x in at_cuts or [[]]]),
        np.concatenate([np.ravel(x) for x in at_others or [[]]]),
    )
    if not cuts.size or not others.size:
        return None
    return float(cuts.mean() / max(float(others.mean()), 1e-6))


def _between(lines: Sequence[int], side: int) -> list[int]:
    """Lines as many again, in the middle between neighbouring ones and before the first."""
    edges = [0, *lines]
    return [(left + right) // 2 for left, right in zip(edges, [*lines, side], strict=True)] if lines else []


def _row_steps(rows: Rows, y: int, height: int) -> NDArray[np.float32]:
    if not BAND <= y <= height - BAND:
        return np.empty(0, np.float32)
    both = rows(y - BAND, y + BAND).astype(np.float32)
    above, below = both[:BAND].mean(axis=0), both[BAND:].mean(axis=0)
    step = below - above
    whole = len(step) // SEGMENT * SEGMENT
    return np.abs(step[:whole].reshape(-1, SEGMENT, 3).mean(axis=1))


def _step(strip: NDArray[np.float32], x: int) -> NDArray[np.float32]:
    return np.abs(strip[x : x + BAND].mean(axis=0) - strip[x - BAND : x].mean(axis=0))
