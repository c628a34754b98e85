"""Which squares of a picture a network is to see."""

from dataclasses import dataclass

from tasks.errors import PictureRefused
from tasks.rows import Crop


@dataclass(frozen=True)
class Box:
    """A part of a picture, in its pixels; right and bottom lie just beyond it."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top


def centre(box: Box, side: int) -> Crop:
    """The middle `side` x `side` pixels of `box`, at their own scale. Raises PictureRefused "too small"."""
    _require(box, side)
    return Crop(box.left + (box.width - side) // 2, box.top + (box.height - side) // 2, side, side, side)


def fit(box: Box, side: int) -> Crop:
    """The largest middle square of `box`, to be resized to `side`. Raises PictureRefused "too small"."""
    _require(box, side)
    short = min(box.width, box.height)
    return Crop(box.left + (box.width - short) // 2, box.top + (box.height - short) // 2, short, short, side)


def whole(box: Box, side: int) -> Crop:
    """All of `box`, squeezed into a square of `side`. Raises PictureRefused "too small"."""
    _require(box, side)
    return Crop(box.left, box.top, box.width, box.height, side)


def tiles(box: Box, side: int, most: int) -> list[Crop]:
    """Squares of `side` at their own scale, side by side in the middle of `box`, at most `most` of them.

    Where there are more, those nearest to the middle are taken. Raises PictureRefused "too small".
    """
    _require(box, side)
    columns, rows = box.width // side, box.height // side
    left = box.left + (box.width - columns * side) // 2
    top = box.top + (box.height - rows * side) // 2
    places = [(row, column) for row in range(rows) for column in range(columns)]
    places.sort(key=lambda place: (abs(2 * place[0] - rows + 1) + abs(2 * place[1] - columns + 1), place))
    return [Crop(left + column * side, top + row * side, side, side, side) for row, column in sorted(places[:most])]


def _require(box: Box, side: int) -> None:
    if min(box.width, box.height) < side:
        raise PictureRefused("too small", f"{box.width} x {box.height} free of borders, and {side} is wanted")
