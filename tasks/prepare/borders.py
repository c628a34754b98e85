"""The part of a picture that is picture: borders, mounts, colour bars and letterbox bars are found from the edges in.

From each side the innermost straight line is sought that runs along most of the side and outside of which there is no
picture: the patches of a colour bar and the ruler between them; whatever lies outside an edge that runs along nearly
the whole side, close to it; a mount, a margin or a letterbox bar, of one colour; the dark or white ground beside a
scroll. A mount of patterned cloth is known by being the same on both sides of the picture, as letterbox bars are.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from tasks.picture import Pixels
from tasks.prepare.crop import Box
from tasks.prepare.strips import GAP, SAME, Shares, apart, are_alike, by_parts, colour_bar, plain, unlike_inside

WORKING = 640  # pixels of the long side at which borders are looked for
SMALLEST = 64  # pixels; of less nothing can be told
LOOKS = 5  # a bar, the mount it lay on, the margin of the sheet, the cloth around a painting, its inner strips

# How far a border may reach, as a share of the side's length (or of half the other side's, where that is more).
SLIVER = 0.04  # of any colour
NEAR = 0.08  # colour bars, rulers, strips of a few colours
CLOSE = 0.12  # whatever lies outside an edge
DEEP = 0.13  # beyond it a plain strip must also differ from what lies inside its line
FAR = 0.25  # mounts, margins, frames and letterbox bars
WIDE = 0.45  # a ground to the left or right of the picture; above and below might be a sky, or a field
RULER = 0.03  # beyond a colour bar
INSET = 0.008  # cut off beyond a line: the edges of paper are never quite straight

# Lines: the share of a side's length along which the picture changes from one row to the one GAP rows after it.
STEP = 9  # levels (of 255) in some channel by which picture and border differ
INK = 0.56  # a thin line drawn around the picture on bare paper
ALONG = 0.62  # any other, at first sight
CLEAR = 0.75  # the same, once something was cut; and both sides of a frame
EDGE = 0.88  # the edge of what was photographed
STRONG = 0.9  # a line that leaves no doubt
SHARP = 10  # rows within which a line is over; colour that fades takes more
DRIFT = 4  # rows to either side that the edge of a sheet that lies a little askew may wander
SLOPE = 0.35  # of a line's step by which a gradient goes on beyond it
DARKER = 4  # levels by which ink is darker than the paper on either side

# What lies outside of a line.
QUIET = 6  # levels between neighbours along a row, where nothing is drawn
BARE = 0.86  # of a row that must be quiet for nothing to be drawn in it
OUTSIDE = 0.6  # of the rows outside a line near the edge that must be bare
BLANK = 0.88  # the same, of paper outside a thin line
EMPTY = 0.9  # the same, of a ground
PLAIN = 0.88  # of the pixels of a mount that must have one colour
PLAINISH = 0.72  # the same, outside a line that leaves no doubt: labels and bars may lie on a mount
UNDRAWN = 0.5  # of the rows of a deep mount that must be bare: a band of writing belongs to the print
HUELESS = 36  # levels between the channels of a ground
DARK, LIGHT = 64, 200  # levels of its largest channel: no ground lies between

# Frames and letterbox bars: what is the same on both sides of the picture. A bar is dark and needs no line.
EVEN = 2.0  # times as wide one side of a frame may be as the other: a scroll hangs on more cloth than lies below
DEAD = 0.92  # of a row of a bar that has its colour: something small may be drawn on it
NOISE = 5  # levels in every channel within which it is the same

Sums = npt.NDArray[np.float64]  # [H + 1, W + 1], integral of a map of ones and zeros


@dataclass(frozen=True)
class _Direction:
    """What is seen of a picture from its first row on; a picture laid on its side is seen from its columns."""

    pixels: Pixels
    lines: Sums  # where the picture changes from GAP rows before
    askew: Sums  # where it does so within DRIFT rows
    quiet: Sums  # where it does not change along the row
    wide: float  # of the rows, that a bare ground may take up

    def rows(self, sums: Sums, top: int, bottom: int, left: int, right: int) -> Shares:
        """The share of ones in each row from `top` to `bottom`, between two columns."""
        ends = sums[top : bottom + 1, right] - sums[top : bottom + 1, left]
        return np.diff(ends) / max(right - left, 1)


@dataclass(frozen=True)
class _End:
    """One end of what is seen within a box, from its outermost row inwards."""

    pixels: Pixels
    lines: Shares
    askew: Shares
    quiet: Shares

    @property
    def inset(self) -> int:
        return max(1, round(len(self.lines) * INSET))

    @property
    def thick(self) -> int:
        """Rows that reaches are a share of: what lies about a picture is no thinner where the picture is narrow."""
        return max(len(self.lines), self.pixels.shape[1] // 2)

    @cached_property
    def bare(self) -> npt.NDArray[np.bool_]:
        """Whether nothing is drawn in each row."""
        return self.quiet >= BARE

    @cached_property
    def empty(self) -> Shares:
        """The share of bare rows up to each."""
        return np.cumsum(self.bare) / np.arange(1, len(self.bare) + 1)

    @cached_property
    def means(self) -> npt.NDArray[np.float64]:
        """The mean colour of each row that a border may reach, and a few more, [rows, 3]."""
        return self.pixels[: int(len(self.lines) * FAR) + 2 * GAP].mean(1)


def sound_part(picture: Pixels) -> Box:
    """The box of `picture`, uint8 [H, W, 3], that is free of borders; all of it where none is found."""
    height, width = picture.shape[:2]
    if min(height, width) < SMALLEST:
        return Box(0, 0, width, height)
    scale = WORKING / max(height, width)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR  # enlarged too: a line is as wide in every picture
    copy = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=way), np.uint8)
    box = _sound_part(_look(copy, 0.0), _look(np.ascontiguousarray(copy.swapaxes(0, 1)), WIDE))
    across, down = width / copy.shape[1], height / copy.shape[0]
    return Box(round(box.left * across), round(box.top * down), round(box.right * across), round(box.bottom * down))


def _sound_part(upright: _Direction, aside: _Direction) -> Box:
    rows, columns = upright.pixels.shape[:2]
    top, bottom, left, right = 0, rows, 0, columns
    for look in range(LOOKS):
        before = top, bottom, left, right
        top, bottom = _inner(upright, top, bottom, left, right, look)
        left, right = _inner(aside, left, right, top, bottom, look)
        if before == (top, bottom, left, right):
            break
    return Box(left, top, right, bottom)


def _look(copy: Pixels, wide: float) -> _Direction:
    smooth = np.asarray(cv2.blur(copy, (5, 1)), np.uint8)
    lines = np.zeros(copy.shape[:2], np.uint8)
    lines[GAP:] = apart(smooth[GAP:], smooth[:-GAP]) > STEP
    quiet = np.ones(copy.shape[:2], np.uint8)
    little = np.asarray(cv2.blur(copy, (3, 1)), np.uint8)  # less smoothed: a patch's edge must not reach far
    quiet[:, 1:] = apart(little[:, 1:], little[:, :-1]) < QUIET
    askew = np.asarray(cv2.dilate(lines, np.ones((2 * DRIFT + 1, 1), np.uint8)), np.uint8)
    return _Direction(smooth, _sums(lines), _sums(askew), _sums(quiet), wide)


def _sums(ones: npt.NDArray[np.uint8]) -> Sums:
    return np.asarray(cv2.integral(ones), np.float64)


def _inner(seen: _Direction, top: int, bottom: int, left: int, right: int, look: int) -> tuple[int, int]:
    """The rows between the borders at both ends of the box."""
    lines, askew, quiet = (seen.rows(sums, top, bottom, left, right) for sums in (seen.lines, seen.askew, seen.quiet))
    part = seen.pixels[top:bottom, left:right]
    start = _End(part, lines, askew, quiet)
    end = _End(part[::-1], _from_the_end(lines), _from_the_end(askew), quiet[::-1])
    alone = _depth(start, seen.wide, look == 0), _depth(end, seen.wide, look == 0)
    both = _frame(start, end, FAR if look < 2 else NEAR)
    bars = _letterbox(start, end)
    first, last = max(alone[0], both[0], bars[0]), max(alone[1], both[1], bars[1])
    return (top + first, bottom - last) if first + last < bottom - top else (top, bottom)


def _from_the_end(lines: Shares) -> Shares:
    """Seen from the end, the same line lies GAP rows nearer."""
    turned = np.zeros_like(lines)
    turned[GAP:] = lines[: GAP - 1 : -1]
    return turned


def _depth(end: _End, wide: float, first_look: bool) -> int:
    """How many of the first rows are border."""
    bar = colour_bar(end.pixels[: round(end.thick * NEAR)], end.quiet) if first_look else 0
    beyond = np.flatnonzero(end.lines[bar : bar + round(end.thick * RULER)] >= ALONG)
    if bar and len(beyond):
        return bar + int(beyond[-1]) + end.inset
    far = int(len(end.lines) * max(FAR, wide))
    for y in np.flatnonzero(end.lines[:far] >= INK)[::-1].tolist():
        if y >= GAP and (_is_ground(end, y, wide) or _is_border(end, y, first_look)):
            return y + end.inset
    return _askew(end) if first_look else 0


def _askew(end: _End) -> int:
    """How many of the first rows are a sliver of white beside a sheet that does not lie quite straight."""
    sliver = end.askew[: round(end.thick * SLIVER)]
    for y in np.flatnonzero(sliver >= STRONG)[::-1].tolist():
        out = max(y - DRIFT, 1)
        share, colour = plain(end.pixels[:out])
        white = colour.max() >= LIGHT and colour.max() - colour.min() <= HUELESS  # a dark one may be a sky that fades
        if white and share >= PLAINISH and unlike_inside(end.pixels, y + DRIFT):
            return y + DRIFT + end.inset
    return 0


def _is_ground(end: _End, y: int, wide: float) -> bool:
    """Whether the first `y` rows are bare, as dark or as light as what pictures are laid on, and end in an edge."""
    if y > len(end.lines) * wide or end.lines[y] < STRONG or end.empty[y - 1] < EMPTY or not _is_sharp(end.lines, y):
        return False
    colour = np.median(by_parts(end.pixels[:y]), 0)
    hueless = colour.max() - colour.min() <= HUELESS and not DARK < colour.max() < LIGHT
    return bool(hueless) and unlike_inside(end.pixels, y)


def _is_border(end: _End, y: int, first_look: bool) -> bool:
    """Whether the first `y` rows, outside of a line, are bar, ruler, mount or margin."""
    along, empty = float(end.lines[y]), end.empty[y - 1]
    shadow = first_look and along >= CLEAR and empty >= BLANK and y <= end.thick * SLIVER  # a sheet's, that fades too
    if y > len(end.lines) * FAR or (not shadow and _is_gradient(end.means, y)):
        return False
    unlike = unlike_inside(end.pixels, y)
    thin = empty >= BLANK and not unlike and _is_ink(end.means, y)
    if along < (ALONG if first_look else CLEAR) and not thin:
        return False
    edge = _is_sharp(end.lines, y) and (unlike or y <= end.thick * SLIVER)
    if first_look and edge and along >= EDGE and y <= end.thick * CLOSE:
        return True
    few_colours = empty >= OUTSIDE and end.bare[y - GAP : y].any() and y <= end.thick * NEAR
    return bool(few_colours and (first_look or edge)) or _is_mount(end, y)


def _frame(start: _End, end: _End, far: float) -> tuple[int, int]:
    """How many of the first and of the last rows are a frame: alike at both ends, whatever its pattern."""
    pairs = [(first, last) for first in _edges(start.lines, far) for last in _edges(end.lines, far)]
    for first, last in sorted(pairs, key=sum, reverse=True):
        even = max(first, last) <= EVEN * min(first, last)
        alike = even and are_alike(start.pixels[:first], end.pixels[:last])
        if alike and unlike_inside(start.pixels, first) and unlike_inside(end.pixels, last):
            return first + start.inset, last + end.inset
    return 0, 0


def _letterbox(start: _End, end: _End) -> tuple[int, int]:
    """How many of the first and of the last rows are bars, dark and of one colour, about as wide at both ends."""
    first, last = _dead(start), _dead(end)
    if min(first, last) == 0 or max(first, last) > EVEN * min(first, last):
        return 0, 0
    return first + start.inset, last + end.inset


def _dead(end: _End) -> int:
    """How many of the first rows are dark and of one colour; 0 where they are a sliver at most."""
    strip = end.pixels[GAP : int(len(end.lines) * WIDE), ::4]  # the outermost rows may be those of an edge
    colour = np.median(strip[: 3 * GAP].reshape(-1, 3), 0)
    if colour.max() > DARK:
        return 0
    other = (np.abs(strip - colour).max(2) <= NOISE).mean(1) < DEAD
    rows = GAP + int(other.argmax())
    return rows if other.any() and rows > end.thick * SLIVER else 0


def _edges(lines: Shares, far: float) -> list[int]:
    """The rows of the lines that may be a frame's, each where it is clearest."""
    reach = lines[: int(len(lines) * far)]
    rows = np.flatnonzero(reach >= CLEAR).tolist()
    return [y for y in rows if y >= GAP and reach[y] == reach[y - GAP : y + GAP + 1].max() and _is_sharp(lines, y)]


def _is_sharp(lines: Shares, y: int) -> bool:
    """Whether the line at `y` is soon over, as an edge is and a fading colour is not."""
    return int((lines[max(0, y - SHARP) : y + SHARP] >= STRONG * lines[y]).sum()) <= SHARP


def _is_ink(means: npt.NDArray[np.float64], y: int) -> bool:
    """Whether the line at `y` is darker than what lies on either side of it."""
    luma = means[: y + GAP + 1].mean(1)
    around = min(luma[: y - GAP + 1][-GAP:].mean(), luma[-GAP:].mean())
    return bool(luma[y - GAP : y + 1].min() + DARKER < around)


def _is_gradient(means: npt.NDArray[np.float64], y: int) -> bool:
    """Whether the rows' mean colour, [H, 3], goes on inside the line as it came to it: a sky, not an edge."""
    last = len(means) - 1
    step, beyond = means[y] - means[y - GAP], means[min(y + GAP + 1, last)] - means[min(y + 1, last)]
    return bool(step @ beyond > SLOPE * (step @ step))


def _is_mount(end: _End, y: int) -> bool:
    """Whether the first `y` rows have one colour and, where they are many, are bare and unlike those that follow."""
    share, colour = plain(end.pixels[:y])
    if share < (PLAINISH if end.lines[y] >= STRONG else PLAIN):
        return False
    if y <= DEEP * len(end.pixels):
        return True
    within = plain(end.pixels[y + GAP : 2 * y])[1]
    return end.empty[y - 1] >= UNDRAWN and bool(np.abs(colour - within).max() > SAME)
