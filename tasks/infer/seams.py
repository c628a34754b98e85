"""Whether tiles can be seen: steps of tone across the lines where they meet, against steps at lines where none do."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

BAND = 8  # px on either side of a line whose tones are compared
SEGMENT = 32  # px along a line that are averaged, so that texture does not count
PART = 64 * SEGMENT  # px of a line looked at together

Values = NDArray[np.float32]
Area = Callable[
    [tuple[int, int], tuple[int, int]], NDArray[np.generic]
]  # rows, columns -> a part [h, w, 3] of a picture


def seam_ratio(area: Area, height: int, width: int, lines: tuple[Sequence[int], Sequence[int]]) -> float | None:
    """Mean tone step across `lines` (rows, columns) over that at lines between them; about 1 where no tile shows.

    None where the picture was painted as one tile. It is the low-frequency step that the eye finds; the gradient at
    the line itself drowns in painted texture. What the picture shows has steps of its own: of few lines the figure is
    worth something beside that of the photo at the same lines.
    """
    at_cuts, at_others = (
        _steps(area, height, width, (_inside(rows, height), _inside(columns, width)))
        for rows, columns in (lines, (_between(lines[0], height), _between(lines[1], width)))
    )
    if not at_cuts.size or not at_others.size:
        return None
    return float(at_cuts.mean() / max(float(at_others.mean()), 1e-6))


def _between(lines: Sequence[int], side: int) -> list[int]:
    """Lines as many again, in the middle between neighbouring ones and before the first."""
    edges = [0, *lines]
    return [(left + right) // 2 for left, right in zip(edges, [*lines, side], strict=True)] if lines else []


def _inside(lines: Sequence[int], side: int) -> list[int]:
    return [at for at in lines if BAND <= at <= side - BAND]


def _steps(area: Area, height: int, width: int, lines: tuple[list[int], list[int]]) -> Values:
    """The steps of tone across the lines, one a segment and channel."""
    across = [_step(area((y - BAND, y + BAND), part)) for y in lines[0] for part in _parts(width)]
    down = [_step(area(part, (x - BAND, x + BAND)).transpose(1, 0, 2)) for x in lines[1] for part in _parts(height)]
    return np.concatenate([np.empty(0, np.float32), *across, *down])


def _parts(side: int) -> list[tuple[int, int]]:
    """Whole segments of a line, some at a time."""
    whole = side // SEGMENT * SEGMENT
    return [(start, min(start + PART, whole)) for start in range(0, whole, PART)]


def _step(both: NDArray[np.generic]) -> Values:
    """Of 2 x BAND rows [.., w, 3] the step from the upper to the lower, by segments."""
    values = both.astype(np.float32).reshape(2, BAND, -1, SEGMENT, 3).mean(axis=(1, 3))
    return np.abs(values[1] - values[0]).ravel()
