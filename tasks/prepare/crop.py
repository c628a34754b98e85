"""Which square of a picture a network is to see."""

from tasks.errors import PictureRefused
from tasks.rows import Crop


def centre(width: int, height: int, side: int) -> Crop:
    """The middle `side` x `side` pixels of a picture, at its own scale. Raises PictureRefused "too small"."""
    if min(width, height) < side:
        raise PictureRefused("too small", f"{width} x {height}, and a square of {side} is wanted")
    return Crop(left=(width - side) // 2, top=(height - side) // 2, width=side, height=side, side=side)
