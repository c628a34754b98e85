"""For networks that look too far to be cut exactly: neighbouring tiles are faded into each other."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.infer.canvas import Canvas
from tasks.infer.source import Samples, white
from tasks.infer.tiles import Plan, Span

Values = NDArray[np.float32]


class Blend:
    """Lays rows of tiles, from top to bottom, each faded linearly into its neighbours over twice the plan's halo."""

    def __init__(self, canvas: Canvas, plan: Plan) -> None:
        self.canvas, self._plan = canvas, plan
        self._band: Values = np.zeros((0, plan.padded_width, 3), np.float32)  # what was laid and can still change
        self._top = canvas.rows_done  # its first row

    def lay(self, row: Span, columns: Sequence[Span], tiles: Samples) -> None:
        """Add painted tiles [B, h, w, 3] of one row, from left to right."""
        start, stop = _zone(row, self._plan.halo, self._plan.padded_height)
        start = max(start, self._top)  # of the first rows of tiles in a run that goes on, a part is settled
        if stop - self._top > len(self._band):
            more = np.zeros((stop - self._top - len(self._band), *self._band.shape[1:]), np.float32)
            self._band = np.concatenate([self._band, more])
        for tile, column in zip(tiles, columns, strict=True):
            left, right = _zone(column, self._plan.halo, self._plan.padded_width)
            share = np.outer(
                _share(row, start, stop, self._plan.halo, self._plan.padded_height),
                _share(column, left, right, self._plan.halo, self._plan.padded_width),
            )
            part = tile[start - row.start : stop - row.start, left - column.start : right - column.start]
            self._band[start - self._top : stop - self._top, left:right] += part * share[..., None]
        if columns[-1].core_stop == self._plan.padded_width:
            self._settle(row, stop, tiles.dtype)

    def _settle(self, row: Span, stop: int, dtype: np.dtype[Any]) -> None:
        """Hand over the rows that no later tile touches."""
        last = stop == self._plan.padded_height
        settled = stop if last else max(row.core_stop - self._plan.halo, self._top)
        done, rest = np.split(self._band, [settled - self._top])
        self.canvas.put(self._top, 0, np.rint(done).clip(0, white(dtype)).astype(dtype))
        self.canvas.finish(self._top, min(settled, self.canvas.height))
        self._band, self._top = rest, settled


def _zone(span: Span, halo: int, side: int) -> tuple[int, int]:
    """The part of an axis a tile has a share in."""
    return max(span.core_start - halo, 0), min(span.core_stop + halo, side)


def _share(span: Span, start: int, stop: int, halo: int, side: int) -> Values:
    """A tile's share at each place of its zone: it rises and falls by straight lines round the cuts.

    The shares of all tiles add up to 1 everywhere, also where a core is narrower than a fade.
    """
    place = np.arange(start, stop) + 0.5
    rise = np.clip((place - span.core_start + halo) / (2 * halo), 0, 1) if span.core_start > 0 else 1.0
    fall = np.clip((span.core_stop + halo - place) / (2 * halo), 0, 1) if span.core_stop < side else 1.0
    return np.broadcast_to(rise + fall - 1, place.shape).astype(np.float32)
