"""The part of a picture that is picture: borders, mounts, colour bars and letterbox bars are found from the edges in.

From each side the innermost straight line is sought that runs along most of the side, and outside of which nothing is
drawn. Near the edge that may be rows of a few colours (the patches of a colour bar, a ruler between them); further in,
only a mount, a margin or a letterbox bar: one colour throughout.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from tasks.picture import Pixels
from tasks.prepare.crop import Box

WORKING = 640  # pixels of the long side at which borders are looked for
SMALLEST = 32  # pixels; of less nothing can be told
NEAR = 0.08  # of the side's length: colour bars and rulers lie within
FAR = 0.25  # mounts, margins and letterbox bars lie within
STEP = 9  # levels (of 255) in some channel by which picture and border differ
ALONG = 0.62  # of a side's length that a line must cover
QUIET = 6  # levels between neighbours along a row, where nothing is drawn
BARE = 0.86  # of a row that must be quiet for it to be border
OUTSIDE = 0.6  # of the rows outside a line near the edge that must be border
SLOPE = 0.35  # of a line's step by which a gradient goes on beyond it
STRONG = 0.9  # of a side's length along which a line leaves no doubt
PLAIN = 0.88  # of all pixels outside a line further in that must have one colour
PLAINISH = 0.72  # the same, outside a line that leaves no doubt: labels and bars may lie on a mount
DEEP = 0.13  # of the side's length, beyond which a plain strip must also differ from what lies inside its line
SAME = 14  # levels in every channel within which a colour is the same
GAP = 3  # rows across which a line is looked for: scans are not sharp
HUES = 3  # strong ones that a row of a colour bar shows at least
PATCH = 0.035  # of the row that each of them covers
PATCHED = 0.7  # of the row that is quiet
RULER = 0.03  # of the side's length, beyond a colour bar, in which its ruler lies
INSET = 0.008  # of the side's length, cut off beyond a line: the edges of paper are never quite straight

Sums = npt.NDArray[np.float64]  # [H + 1, W + 1], integral of a map of ones and zeros
Shares = npt.NDArray[np.float64]  # one a row, 0..1


@dataclass(frozen=True)
class _Direction:
    """What is seen of a picture from its first row on; a picture laid on its side is seen from its columns."""

    pixels: Pixels
    lines: Sums  # where the picture changes from GAP rows before
    quiet: Sums  # where it does not change along the row

    def rows(self, sums: Sums, top: int, bottom: int, left: int, right: int) -> Shares:
        """The share of ones in each row from `top` to `bottom`, between two columns."""
        ends = sums[top : bottom + 1, right] - sums[top : bottom + 1, left]
        return np.diff(ends) / max(right - left, 1)


def sound_part(picture: Pixels) -> Box:
    """The box of `picture`, uint8 [H, W, 3], that is free of borders; all of it where none is found."""
    height, width = picture.shape[:2]
    if min(height, width) < SMALLEST:
        return Box(0, 0, width, height)
    scale = min(1.0, WORKING / max(height, width))
    copy = picture
    if scale < 1:
        copy = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    box = _sound_part(_look(copy), _look(np.ascontiguousarray(copy.swapaxes(0, 1))))
    across, down = width / copy.shape[1], height / copy.shape[0]
    return Box(round(box.left * across), round(box.top * down), round(box.right * across), round(box.bottom * down))


def _sound_part(upright: _Direction, aside: _Direction) -> Box:
    rows, columns = upright.pixels.shape[:2]
    top, bottom, left, right = 0, rows, 0, columns
    for look in range(3):  # a bar, then the mount it lay on, then the margin of the sheet
        before = top, bottom, left, right
        top, bottom = _inner(upright, top, bottom, left, right, bars=look == 0)
        left, right = _inner(aside, left, right, top, bottom, bars=look == 0)
        if before == (top, bottom, left, right):
            break
    return Box(left, top, right, bottom)


def _look(copy: Pixels) -> _Direction:
    smooth = np.asarray(cv2.blur(copy, (5, 1)), np.uint8)
    lines = np.zeros(copy.shape[:2], np.uint8)
    lines[GAP:] = _apart(smooth[GAP:], smooth[:-GAP]) > STEP
    quiet = np.ones(copy.shape[:2], np.uint8)
    little = np.asarray(cv2.blur(copy, (3, 1)), np.uint8)  # less smoothed: a patch's edge must not reach far
    quiet[:, 1:] = _apart(little[:, 1:], little[:, :-1]) < QUIET
    return _Direction(smooth, np.asarray(cv2.integral(lines), np.float64), np.asarray(cv2.integral(quiet), np.float64))


def _inner(seen: _Direction, top: int, bottom: int, left: int, right: int, bars: bool) -> tuple[int, int]:
    """The rows between the borders at both ends of the box."""
    lines = seen.rows(seen.lines, top, bottom, left, right)
    quiet = seen.rows(seen.quiet, top, bottom, left, right)
    part = seen.pixels[top:bottom, left:right]
    # Seen from the end, the same line lies GAP rows nearer.
    backwards = np.zeros_like(lines)
    backwards[GAP:] = lines[: GAP - 1 : -1]
    first = _depth(part, lines, quiet, bars)
    last = _depth(part[::-1], backwards, quiet[::-1], bars)
    return (top + first, bottom - last) if first + last < bottom - top else (top, bottom)


def _depth(part: Pixels, lines: Shares, quiet: Shares, bars: bool) -> int:
    """How many of the first rows of `part` are border."""
    rows = len(lines)
    inset = max(1, round(rows * INSET))
    bar = _colour_bar(part[: round(rows * NEAR)], quiet) if bars else 0
    if bar:
        beyond = np.flatnonzero(lines[bar : bar + round(rows * RULER)] >= ALONG)
        return bar + (int(beyond[-1]) if len(beyond) else round(rows * RULER / 2)) + inset
    bare = quiet >= BARE
    drawn = np.cumsum(~bare)
    means = part[: int(rows * FAR) + 2 * GAP].mean(1)
    for y in np.flatnonzero(lines[: int(rows * FAR)] >= ALONG)[::-1].tolist():
        if y < GAP:
            break
        few_colours = y <= rows * NEAR and drawn[y - 1] <= (1 - OUTSIDE) * y and bare[y - GAP : y].any()
        if (few_colours or _is_mount(part, y, float(lines[y]))) and not _is_gradient(means, y):
            return y + inset
    return 0


def _colour_bar(strip: Pixels, quiet: Shares) -> int:
    """How many of the first rows reach to the end of a colour bar; 0 where there is none."""
    if strip.shape[0] == 0:
        return 0
    hue, saturation, value = cv2.split(cv2.cvtColor(np.ascontiguousarray(strip), cv2.COLOR_RGB2HSV))
    strong = (saturation > 110) & (value > 60)
    patches = [(strong & ((hue + 15) % 180 // 30 == sixth)).mean(1) >= PATCH for sixth in range(6)]
    rows = np.flatnonzero((np.sum(patches, 0) >= HUES) & (quiet[: len(strip)] >= PATCHED))
    return int(rows[-1]) + 1 if len(rows) >= GAP else 0


def _is_gradient(means: npt.NDArray[np.float64], y: int) -> bool:
    """Whether the rows' mean colour, [H, 3], goes on inside the line as it came to it: a sky, not an edge."""
    step, beyond = (
        means[y] - means[y - GAP],
        means[min(y + GAP + 1, len(means) - 1)] - means[min(y + 1, len(means) - 1)],
    )
    return bool(step @ beyond > SLOPE * (step @ step))


def _is_mount(part: Pixels, y: int, along: float) -> bool:
    """Whether the first `y` rows have one colour, and, where they are many, another than the rows that follow."""
    share, colour = _plain(part[:y])
    if share < (PLAINISH if along >= STRONG else PLAIN):
        return False
    return y <= DEEP * len(part) or bool(np.abs(colour - _plain(part[y + GAP : 2 * y])[1]).max() > SAME)


def _plain(strip: Pixels) -> tuple[float, npt.NDArray[np.float64]]:
    """The share of the strip's pixels that have its middle colour, and that colour."""
    height, width = strip.shape[:2]
    thin = strip[:: max(1, height // 24), :: max(1, width // 96)].reshape(-1, 3).astype(np.int16)
    colour = np.median(thin, 0)
    return float((np.abs(thin - colour).max(1) <= SAME).mean()), colour


def _apart(one: Pixels, other: Pixels) -> npt.NDArray[np.uint8]:
    """The difference in that channel in which it is largest, [H, W]."""
    red, green, blue = cv2.split(cv2.absdiff(one, other))
    return np.asarray(cv2.max(cv2.max(red, green), blue), np.uint8)
