"""How a picture is cut: tiles with a halo, on the network's stride, clamped into the picture and equal in size."""

from dataclasses import dataclass
from itertools import pairwise

from tasks.infer.probe import Reach

SMALLEST = 64  # px: reflections and bottlenecks inside networks need at least so much picture
FADE = 32  # px on either side of a cut, where tiles must be faded into each other


@dataclass(frozen=True)
class Span:
    """One tile along one axis, in pixels: the network sees [start, stop), of which [core_start, core_stop) is kept."""

    start: int
    stop: int
    core_start: int
    core_stop: int


@dataclass(frozen=True)
class Plan:
    """The cut of a picture of height x width px, reflected up to padded_height x padded_width before it is painted.

    `rows` and `columns` are the tiles along the two axes; every pair of them is one tile, all of one size. The cores
    tile the padded picture without gap or overlap, and lie on the stride. With `exact`, painting by tiles equals
    painting whole; otherwise `halo` is too small for that, and tiles are faded into each other over twice its width.
    """

    height: int
    width: int
    padded_height: int
    padded_width: int
    stride: int
    halo: int
    exact: bool
    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    @property
    def tile_height(self) -> int:
        """Of every tile, halo included, in px."""
        return self.rows[0].stop - self.rows[0].start

    @property
    def tile_width(self) -> int:
        """Of every tile, halo included, in px."""
        return self.columns[0].stop - self.columns[0].start

    @property
    def num_tiles(self) -> int:
        """Rows times columns."""
        return len(self.rows) * len(self.columns)

    @property
    def compute(self) -> float:
        """Pixels pushed through the network for each pixel of the picture; 1 is the least."""
        return self.num_tiles * self.tile_height * self.tile_width / (self.height * self.width)


def plan_tiles(
    height: int, width: int, *, reach: Reach, tile: int, most: int | None = None, mirror: bool = False
) -> Plan:
    """Cut height x width px into tiles of at most `tile` px a side, halo included.

    Where the probed halo leaves no sensible core in that, tiles grow, up to `most` px (None: without bound); where
    that is not enough either, the plan is not exact. With `mirror` the picture is given a frame of its mirror image as
    wide as the halo, so that no network's padding shows at the edges of a print.
    """
    assert min(height, width) > 0
    needed = None if reach.halo is None else _up(reach.halo, reach.stride)
    padded_height, padded_width = sides = padded(height, reach.stride), padded(width, reach.stride)
    exact = needed is not None and (
        most is None
        or 4 * needed <= max(most, tile)
        or max(sides) + (2 * needed if mirror else 0) <= most  # a single tile
    )
    halo = needed if exact and needed is not None else _up(FADE, reach.stride)
    frame = halo if mirror else 0
    rows, columns = (
        tuple(_moved(span, frame, side) for span in cut(side + 2 * frame, reach.stride, halo, max(tile, 4 * halo)))
        for side in sides
    )
    rows, columns = (tuple(span for span in spans if span.core_start < span.core_stop) for spans in (rows, columns))
    return Plan(height, width, padded_height, padded_width, reach.stride, halo, exact, rows, columns)


def _moved(span: Span, frame: int, side: int) -> Span:
    """A span of an axis framed by `frame` px, as it lies on the axis itself; the frame is painted but not kept."""
    core = (min(max(place - frame, 0), side) for place in (span.core_start, span.core_stop))
    return Span(span.start - frame, span.stop - frame, *core)


def padded(side: int, stride: int) -> int:
    """The side the network is given: a multiple of its stride, and not too small for what is inside it."""
    return _up(max(side, SMALLEST, 2 * stride), stride)


def cut(side: int, stride: int, halo: int, tile: int) -> tuple[Span, ...]:
    """Cut one axis; side and halo are multiples of the stride. As few tiles as `tile` allows, then equally small."""
    size = max(tile // stride * stride, 2 * halo + stride)
    if size >= side:
        return (Span(0, side, 0, side),)
    count = -(-(side - 2 * halo) // (size - 2 * halo))
    size = _up(-(-(side + 2 * halo * (count - 1)) // count), stride)
    free = (side - size) // stride
    starts = [index * free // (count - 1) * stride for index in range(count)]
    # Between two neighbours the cut lies in the middle of what both see well.
    cuts = [0, *((left + size + right) // 2 // stride * stride for left, right in pairwise(starts)), side]
    return tuple(Span(start, start + size, *core) for start, core in zip(starts, pairwise(cuts), strict=True))


def _up(value: int, step: int) -> int:
    return -(-value // step) * step
