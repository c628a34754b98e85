"""Painting by tiles: read, pushed through the network in batches, and laid on the canvas, all three at once."""

import math
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from tasks.errors import BarenError
from tasks.files import fingerprint
from tasks.infer.ahead import ahead, merged
from tasks.infer.blend import Blend
from tasks.infer.canvas import Canvas
from tasks.infer.memory import give_back
from tasks.infer.source import Samples, Source, stacked, to_pixels
from tasks.infer.tiles import Plan, Span
from tasks.progress import Progress

LEAST_TILE = 64  # px a side; where not even this fits into memory, nothing will


class Painter(Protocol):
    """A network ready for tiles: its norms no longer look at the tile."""

    def __call__(self, tiles: Tensor, row: Span, columns: Sequence[Span]) -> Tensor:
        """Paint tiles [B, 3, h, w] in (-1, 1), which lie side by side in one row; the same shape comes back."""
        ...


@dataclass(frozen=True)
class Job:
    """A few neighbouring tiles of one row, ready to be painted."""

    row: Span
    columns: tuple[Span, ...]
    tiles: Tensor  # [B, 3, h, w] in (-1, 1)


class OutOfMemory(Exception):
    """Not even one tile of this size fits."""


def paint(
    painters: Sequence[Painter],
    source: Source,
    canvas: Canvas,
    *,
    plan: Callable[[int], Plan],
    tile: int,
    batch: int,
    progress: Progress,
    check: Callable[[], None],
    what: str = "paint",
) -> Plan:
    """Fill `canvas` with `source` painted by tiles, from where an earlier run left off; returns the plan it ended with.

    Each of `painters` (one a device) takes whole rows of tiles in turn. `plan` gives the cut for a tile size. Where
    memory runs out the batch is halved, then the tile; rows that are finished stay. `check` is called between
    batches and may raise. Raises BarenError where the smallest tile does not fit; the canvas keeps what is done.
    """
    first = plan(tile)
    canvas.keep_only("" if first.exact else fingerprint(str(first)))
    while True:
        present, done = plan(tile), _Megapixels(canvas)
        areas = _painted(painters, source, canvas, present, batch)
        try:
            for _ in progress.track(done.counted(areas, check), what, done.total, "MP", done.start):
                pass
            return present
        except OutOfMemory as error:
            tile = max(present.tile_height, present.tile_width) // 2
            if tile < LEAST_TILE or plan(tile).tile_height >= present.tile_height:
                raise BarenError(
                    f"{what}: a tile of {present.tile_width} x {present.tile_height} px does not fit into memory; "
                    "free some, or paint on another machine"
                ) from error
            progress.say(f"{what}: memory ran out; going on with tiles of at most {tile} px")
        finally:
            areas.close()


def _painted(painters: Sequence[Painter], source: Source, canvas: Canvas, plan: Plan, batch: int) -> Generator[int]:
    """Paint what is left to do; yields the number of pixels finished, again and again."""
    layer = Cores(canvas, plan) if plan.exact else Blend(canvas, plan)
    fade = 0 if plan.exact else plan.halo
    rows = _Shared([row for row in plan.rows if row.core_stop + fade > canvas.rows_done])
    shares = [
        _by_one(painter, _jobs(source, plan, rows, batch), layer)
        for painter in (painters if plan.exact else painters[:1])
    ]
    yield from shares[0] if len(shares) == 1 else merged(shares)


class _Shared:
    """Rows of tiles that several painters take from, one at a time."""

    def __init__(self, rows: Sequence[Span]) -> None:
        self._rows = iter(rows)
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Span]:
        return self

    def __next__(self) -> Span:
        with self._lock:
            return next(self._rows)


def _jobs(source: Source, plan: Plan, rows: "_Shared", batch: int) -> Iterator[Job]:
    for row in rows:
        for first in range(0, len(plan.columns), batch):
            columns = plan.columns[first : first + batch]
            tiles = [source.tile((row.start, row.stop), (column.start, column.stop)) for column in columns]
            yield Job(row, columns, stacked(tiles))
        give_back()


def _by_one(painter: Painter, jobs: Iterator[Job], layer: "Cores | Blend") -> Iterator[int]:
    """Paint `jobs` in order: the next is read and the last is written while one is painted."""
    fit = _Fit()
    with ThreadPoolExecutor(1) as writer:
        waiting: deque[Future[int]] = deque()
        for job in ahead(jobs):
            waiting.append(writer.submit(_keep, layer, job, fit.forward(painter, job)))
            if len(waiting) > 2:
                yield waiting.popleft().result()
        for future in waiting:
            yield future.result()


def _keep(layer: "Cores | Blend", job: Job, painted: Sequence[Tensor]) -> int:
    tiles = np.concatenate([to_pixels(part, layer.canvas.depth).cpu().numpy() for part in painted])
    layer.lay(job.row, job.columns, tiles)
    return (job.row.core_stop - job.row.core_start) * (job.columns[-1].core_stop - job.columns[0].core_start)


class Cores:
    """Lays the core of each tile, which is as it would be in the whole painting."""

    def __init__(self, canvas: Canvas, plan: Plan) -> None:
        self.canvas, self._plan = canvas, plan

    def lay(self, row: Span, columns: Sequence[Span], tiles: Samples) -> None:
        """Add painted tiles [B, h, w, 3] of one row, from left to right."""
        for tile, column in zip(tiles, columns, strict=True):
            self.canvas.put(row.core_start, column.core_start, tile[_inside(row), _inside(column)])
        if columns[-1].core_stop == self._plan.padded_width:
            self.canvas.finish(row.core_start, min(row.core_stop, self.canvas.height))


def _inside(span: Span) -> slice:
    return slice(span.core_start - span.start, span.core_stop - span.start)


class _Fit:
    """Pushes as many tiles through the network at once as memory has proved to hold."""

    def __init__(self) -> None:
        self._most = 1 << 30

    @torch.inference_mode()
    def forward(self, painter: Painter, job: Job) -> list[Tensor]:
        """The painting of a job's tiles, in as many pieces as memory asks for; raises OutOfMemory."""
        painted: list[Tensor] = []
        first = 0
        while first < len(job.columns):
            chosen = slice(first, first + self._most)
            try:
                painted.append(painter(job.tiles[chosen], job.row, job.columns[chosen]))
                first = chosen.stop
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                num_tiles = len(job.columns[chosen])
                if not _out_of_memory(error):
                    raise
                if num_tiles == 1:
                    raise OutOfMemory from error
                self._most = num_tiles // 2
            if self._most < len(job.columns) and torch.cuda.is_available():
                torch.cuda.empty_cache()
        return painted


def _out_of_memory(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


class _Megapixels:
    """Turns finished pixels into megapixels told: one item each."""

    def __init__(self, canvas: Canvas) -> None:
        self._pixels = canvas.rows_done * canvas.width
        self.start = self._pixels // 1_000_000
        self.total = math.ceil(canvas.height * canvas.width / 1_000_000)

    def counted(self, areas: Iterator[int], check: Callable[[], None]) -> Iterator[None]:
        for area in areas:
            check()
            before = self._pixels // 1_000_000
            self._pixels += area
            for _ in range(self._pixels // 1_000_000 - before):
                yield
