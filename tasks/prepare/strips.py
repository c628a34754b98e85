"""Strips of a picture by their colours: plain ones, colour bars, two that are alike, one unlike what lies inside it.

A strip is uint8 [rows, columns, 3]; its rows run along the side of the picture at which it lies.
"""

import cv2
import numpy as np
import numpy.typing as npt

from tasks.picture import Pixels

GAP = 3  # rows across which a line is looked for: scans are not sharp
SAME = 14  # levels in every channel within which a colour is the same

# Two strips, compared part by part along the side.
PARTS = 24
ALIKE = 24  # levels in every channel within which two parts have one colour
MATCHED = 0.75  # of the parts that are alike on both sides

# Colour bars.
HUES = 3  # strong ones that a row of a colour bar shows at least
PATCH = 0.035  # of the row that each of them covers
PATCHED = 0.7  # of the row that is quiet

Shares = npt.NDArray[np.float64]  # one a row, 0..1


def colour_bar(strip: Pixels, quiet: Shares) -> int:
    """How many of the first rows reach to the end of a colour bar; 0 where none is. `quiet` as in borders.QUIET."""
    if strip.shape[0] == 0:
        return 0
    hue, saturation, value = cv2.split(cv2.cvtColor(np.ascontiguousarray(strip), cv2.COLOR_RGB2HSV))
    strong = (saturation > 110) & (value > 60)
    patches = [(strong & ((hue + 15) % 180 // 30 == sixth)).mean(1) >= PATCH for sixth in range(6)]
    rows = np.flatnonzero((np.sum(patches, 0) >= HUES) & (quiet[: len(strip)] >= PATCHED))
    return int(rows[-1]) + 1 if len(rows) >= GAP else 0


def are_alike(one: Pixels, other: Pixels) -> bool:
    """Whether two strips have one colour, part by part along them, that hardly changes along the strip."""
    first, last = by_parts(one), by_parts(other)
    alike = np.abs(first - last).max(1) <= ALIKE
    steady = np.abs(first - np.median(first, 0)).max(1) <= 2 * ALIKE
    return bool((alike & steady).mean() >= MATCHED)


def unlike_inside(pixels: Pixels, y: int) -> bool:
    """Whether the first `y` rows have another colour than as many rows inside of them, in most parts."""
    within = pixels[y + GAP : 2 * y + GAP]
    return len(within) > 0 and bool(np.median(np.abs(by_parts(pixels[:y]) - by_parts(within)).max(1)) > ALIKE)


def by_parts(strip: Pixels) -> npt.NDArray[np.float32]:
    """The mean colour of each of the PARTS of a strip, [PARTS, 3], 0..255."""
    small = cv2.resize(np.ascontiguousarray(strip), (PARTS, 1), interpolation=cv2.INTER_AREA)
    return np.asarray(small[0], np.float32)


def plain(strip: Pixels) -> tuple[float, npt.NDArray[np.float64]]:
    """The share of the strip's pixels that have its middle colour, 0..1, and that colour, [3], 0..255."""
    height, width = strip.shape[:2]
    thin = strip[:: max(1, height // 24), :: max(1, width // 96)].reshape(-1, 3).astype(np.int16)
    colour = np.median(thin, 0)
    return float((np.abs(thin - colour).max(1) <= SAME).mean()), colour


def apart(one: Pixels, other: Pixels) -> npt.NDArray[np.uint8]:
    """The difference of two pictures in that channel in which it is largest, [H, W]."""
    red, green, blue = cv2.split(cv2.absdiff(one, other))
    return np.asarray(cv2.max(cv2.max(red, green), blue), np.uint8)
