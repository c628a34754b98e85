"""A small picture of a print, made from its rows while they are written: no print is ever opened whole to show it."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from tasks.files import no_half_file
from tasks.infer.source import Pixels, Samples
from tasks.infer.strips import STRIP, plain

SIDE = 1400  # px on the long side, at most
FOLDER, QUALITY = "previews", 95


class Preview:
    """Takes the rows of a print of height x width px from top to bottom; holds at most twice SIDE pixels a side."""

    def __init__(self, height: int, width: int) -> None:
        self._width = width
        scale = min(1.0, SIDE / max(height, width))
        self._size = tuple(max(1, round(side * scale)) for side in (width, height))
        # Pixels averaged to one as they come: each side by itself, so that a side of few pixels keeps them all.
        self._down, self._across = max(1, height // SIDE), max(1, width // SIDE)
        self._waiting: list[Pixels] = []
        self._bands: list[Pixels] = []

    def write(self, rows: Pixels) -> None:
        """Append `rows`, uint8 [h, width, 3]."""
        self._waiting.append(rows)
        if sum(map(len, self._waiting)) < self._down:
            return
        waiting = np.concatenate(self._waiting)
        whole = len(waiting) // self._down
        self._waiting = [waiting[whole * self._down :].copy()]
        # What is left over at the right and at the bottom is less than one pixel of the preview.
        part = waiting[: whole * self._down, : self._width // self._across * self._across]
        self._bands.append(_averaged(part, (self._width // self._across, whole)))

    def picture(self) -> Pixels:
        """The print made small, uint8 [h, w, 3]; all rows must have come."""
        return _averaged(np.concatenate(self._bands), self._size)


def previewed(picture: Samples) -> Pixels:
    """A picture [H, W, 3] of 8 or 16 bits that is here whole, made small."""
    preview = Preview(picture.shape[0], picture.shape[1])
    for first in range(0, len(picture), STRIP):
        preview.write(plain(picture[first : first + STRIP]))
    return preview.picture()


def preview_of(target: Path) -> Path:
    """Where the preview of the print at `target` lies."""
    return target.parent / FOLDER / f"{target.stem}.jpg"


def write_preview(path: Path, picture: Pixels) -> None:
    """Write a preview as JPEG, whole or not at all."""
    with no_half_file(path) as temporary:
        Image.fromarray(picture).save(temporary, "JPEG", quality=QUALITY)


def read_preview(path: Path) -> Pixels:
    """The picture that `write_preview` wrote, uint8 [h, w, 3]."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _averaged(picture: Pixels, size: tuple[int, ...]) -> Pixels:
    """The picture at `size` (width, height), never larger than it is."""
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
