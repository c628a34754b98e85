"""What is seen of a picture from one of its sides: the lines that may end a border, and what speaks for each of them.

Rows run along the side, the outermost first; a line at row y parts the rows before y from those after it.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from tasks.picture import Pixels

GAP = 3  # rows across which a line is looked for: scans are not sharp
STEP = 9  # levels (of 255) in some channel by which the picture changes at a line
QUIET = 6  # levels between neighbours along a row, where nothing is drawn
BARE = 0.86  # of a row that must be quiet for nothing to be drawn in it
DRIFT = 4  # rows to either side that the edge of a sheet that lies a little askew may wander
INK = 8  # levels by which a thin line is darker than the paper on either side of it

FAR = 0.45  # of the picture that a border may reach
MOST = 24  # lines that are judged: those along which the picture changes most
CLEAR = 0.5  # of a line that changes, for it to part the strips outside of another
FAINT = 0.08  # what a line at least is: the share of its pixels that change, and of 40 levels that its colour does
PARTS = 48  # of a side, each with its mean colour

# Bands of rows beside a line.
NEAR = 8  # outside
WITHIN = 12  # inside
AROUND = 15  # rows on either side that a line must stand out from
APART = 6  # rows between two lines, at least

# Colour bars: as far as they reach from the side, as a share of its length (or of half the other side's).
REACH = 0.12
HUES = 3  # strong ones that a row of a colour bar shows at least
PATCH = 0.035  # of the row that each of them covers
PATCHED = 0.7  # of the row that is quiet

# The dark ground that a scroll is photographed on, beyond which the depth of a border counts; letterbox bars.
DARK = 64  # levels of its largest channel
MOSTLY = 0.7  # of a row that is dark: a colour chart may lie on it
SLIVER = 0.04  # of the picture that it takes up at least
SAME = 5  # levels in every channel within which a bar has one colour
COVERED = 0.85  # of a row of a bar that has it: something small may lie on it

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Seen:
    """A picture as its rows show it; a picture laid on its side is seen from its columns."""

    colours: Pixels  # [H, W, 3], smoothed along the rows
    lines: Array  # [H + 1, W + 1], sums of where the picture changes from GAP rows before
    askew: Array  # the same, of where it does so within DRIFT rows
    quiet: Array  # [H + 1, W + 1], sums of where it does not change along the row
    bars: tuple[int, int]  # rows to the end of a colour bar, from the first row on and from the last

    @property
    def thick(self) -> int:
        """Rows that reaches are a share of: what lies about a picture is no thinner where the picture is narrow."""
        return max(len(self.colours), self.colours.shape[1] // 2)


@dataclass(frozen=True)
class End:
    """The lines that may end the border at one end, [L]; the first of them is none."""

    rows: Rows  # of each line, 0 for none
    bar: int  # how many of the first rows are as dark and plain as a letterbox bar
    traits: dict[str, Array]  # what speaks for and against each, [L]
    depths: Array  # how deep a border each line makes, as a share of the picture, [L]
    outside: Array  # mean colour of all that lies outside of each, part by part along it, [3, L, PARTS]
    near: Array  # of the rows just outside
    within: Array  # of the rows just inside


def look(copy: Pixels) -> Seen:
    """What the rows of a picture show, uint8 [H, W, 3]."""
    smooth = np.asarray(cv2.blur(copy, (5, 1)), np.uint8)
    lines = np.zeros(copy.shape[:2], np.uint8)
    lines[GAP:] = _apart(smooth[GAP:], smooth[:-GAP]) > STEP
    quiet = np.ones(copy.shape[:2], np.uint8)
    little = np.asarray(cv2.blur(copy, (3, 1)), np.uint8)  # less smoothed: a patch's edge must not reach far
    quiet[:, 1:] = _apart(little[:, 1:], little[:, :-1]) < QUIET
    reach = round(max(len(copy), copy.shape[1] // 2) * REACH)
    bars = _colour_bar(smooth[:reach], quiet), _colour_bar(smooth[::-1][:reach], quiet[::-1])
    askew = np.asarray(cv2.dilate(lines, np.ones((2 * DRIFT + 1, 1), np.uint8)), np.uint8)
    return Seen(smooth, _integral(lines), _integral(askew), _integral(quiet), bars)


def _integral(ones: npt.NDArray[np.uint8]) -> Array:
    return np.asarray(cv2.integral(ones), np.float64)


def ends(seen: Seen, left: int, right: int) -> tuple[End, End]:
    """The lines at the first rows and those at the last, as they run between two columns."""
    count = len(seen.colours)
    part = cv2.resize(seen.colours[:, left:right], (PARTS, count), interpolation=cv2.INTER_AREA)
    colours = np.ascontiguousarray(part.transpose(2, 0, 1)).astype(np.float64)  # [3, H, PARTS]
    lines, askew, quiet = (
        np.diff(sums[:, right] - sums[:, left]) / (right - left) for sums in (seen.lines, seen.askew, seen.quiet)
    )
    return (
        _end(colours, lines, askew, quiet, seen.bars[0], seen.thick),
        _end(colours[:, ::-1], _turned(lines), _turned(askew), quiet[::-1], seen.bars[1], seen.thick),
    )


def _turned(lines: Array) -> Array:
    """Seen from the end, the same line lies GAP rows nearer."""
    turned = np.zeros_like(lines)
    turned[GAP:] = lines[: GAP - 1 : -1]
    return turned


def _end(colours: Array, lines: Array, askew: Array, quiet: Array, bar: int, thick: int) -> End:
    """One end: colours [3, H, PARTS] 0..255, the shares of each row that change and that are quiet, [H] 0..1."""
    count = len(lines)
    far = int(count * FAR)
    sums = _sums(colours)
    y = _peaks(lines[:far] + _steps(sums, far))
    out = np.maximum(y - GAP + 1, 1)  # the last row outside, and one beyond
    near, inner = np.maximum(out - NEAR, 0), np.minimum(y + WITHIN, count)
    beyond = np.maximum.accumulate(np.where(lines >= CLEAR, np.arange(count), 0))[np.maximum(y - APART, 0)]
    since = np.where(y >= APART, np.minimum(beyond + 1, out - 1), 0)  # the row after the line before this one
    depth = np.maximum(y - _dark(colours[:, :far], thick), 0) / thick

    of_rows = np.stack([*colours.mean(2), (colours**2).mean((0, 2)), lines, quiet, (quiet >= BARE).astype(float)])
    rows = _sums(of_rows[..., None])[..., 0]  # [7, H + 1]
    strip, along = _mean(rows, near, out), _mean(rows, 0 * y, out)
    step = _mean(sums, y, np.minimum(y + GAP + 1, count)) - _mean(sums, np.maximum(out - GAP - 1, 0), out)
    before = _mean(sums, 0 * y, out)
    unlike = np.minimum(_unlike(before, _mean(sums, y, np.minimum(2 * y, count))), 60) / 60
    last = _mean(sums, since, out)
    traits = {
        "none": np.zeros(len(y)),
        "stands_out": lines[y] - _mean(rows, np.maximum(y - AROUND, 0), np.minimum(y + AROUND + 1, count))[4],
        "askew": askew[y] - lines[y],
        "step": _coherent(step) * np.log1p(_largest(step).mean(1)),
        "ink": _ink(colours.mean(0), y) * along[6],
        "bare": along[6],
        "quiet_near": strip[5],
        "unrest_near": _unrest(strip),
        "unrest_deep": _unrest(along) * depth,
        "unrest_unlike": _unrest(along) * unlike,
        "uneven": np.minimum(_unlike(last, np.median(last, 2)[..., None]), 40) / 40,
        "light": (strip[:3].min(0) > 180) * 1.0,
        "lighter": np.clip((strip[:3] - _mean(rows, y, inner)[:3]).mean(0) / 60, -1, 1),
        "short_of_bar": (y < bar) * 1.0,
        "depth": depth,
        "deep": np.maximum(depth - 0.1, 0),
        "line_outside": np.maximum.accumulate(lines)[np.maximum(y - APART, 0)],
        "line_within": _highest_from(lines[:far], y + APART - 1),
    }
    none = dict.fromkeys(traits, 0.0) | {
        "none": 1.0,
        "short_of_bar": float(bar > 0),
        "line_within": float(lines[APART - 1 : far].max(initial=0)),
    }
    places = np.concatenate([[0], y])
    out = np.maximum(places - GAP + 1, 1)
    return End(
        places,
        _bar(colours[:, :far], thick),
        {name: np.concatenate([[none[name]], values]) for name, values in traits.items()},
        np.concatenate([[0.0], depth]),
        _mean(sums, 0 * places, out),
        _mean(sums, np.maximum(out - NEAR, 0), out),
        _mean(sums, places, np.minimum(places + WITHIN, count)),
    )


def _steps(sums: Array, far: int) -> Array:
    """How much of 40 levels the colour changes at each row, the same way all along it, [far] 0..1."""
    y = np.arange(2 * GAP, max(min(far, sums.shape[1] - GAP - 2), 2 * GAP))
    change = sums[:, y + GAP + 1] - sums[:, y] - sums[:, y - GAP + 1] + sums[:, y - 2 * GAP]
    found = np.zeros(far)
    change /= GAP + 1
    found[y] = np.minimum(_largest(change), 40).mean(1) / 40 * _coherent(change)
    return found


def _peaks(strength: Array) -> Rows:
    """The rows of the strongest lines, in order."""
    highest = np.asarray(cv2.dilate(strength[:, None], np.ones((5, 1))))[:, 0]
    rows = np.flatnonzero((strength >= highest) & (strength > FAINT))
    rows = rows[rows >= GAP - 1]
    return np.sort(rows[np.argsort(-strength[rows])][:MOST])


def _highest_from(lines: Array, y: Rows) -> Array:
    """The clearest of the lines from each row on."""
    return np.maximum.accumulate(lines[::-1])[::-1][np.minimum(y, len(lines) - 1)]


def _bar(colours: Array, thick: int) -> int:
    """How many of the first rows are dark and of one colour; 0 where that is a sliver or has no end. [3, H, PARTS]"""
    colour = np.median(colours[:, 1:NEAR].reshape(3, -1), 1)
    same = (np.abs(colours - colour[:, None, None]).max(0) <= SAME).mean(1) >= COVERED
    return _end_of(same, thick) if colour.max() < DARK else 0


def _dark(colours: Array, thick: int) -> int:
    """How many of the first rows are dark for the most part; 0 where that is a sliver or has no end."""
    return _end_of((colours.max(0) < DARK).mean(1) >= MOSTLY, thick)


def _end_of(rows: npt.NDArray[np.bool_], thick: int) -> int:
    others = ~rows
    others[:NEAR] = False  # the outermost rows may be those of an edge
    end = int(others.argmax()) if len(others) else 0
    return end if end >= SLIVER * thick else 0


def _ink(grey: Array, y: Rows) -> Array:
    """The share of each line, [L] 0..1, that is darker than what lies on either side of it. `grey` [H, PARTS]."""
    darkest = np.asarray(cv2.erode(grey, np.ones((5, 1))))[np.maximum(y - 1, 0)]
    around = np.minimum(grey[np.maximum(y - 2 * GAP, 0)], grey[np.minimum(y + GAP + 1, len(grey) - 1)])
    return (around - darkest > INK).mean(1)


def _colour_bar(strip: Pixels, quiet: npt.NDArray[np.uint8]) -> int:
    """How many of the first rows reach to the end of a colour bar; 0 where none is."""
    if strip.shape[0] == 0:
        return 0
    hue, saturation, value = cv2.split(cv2.cvtColor(np.ascontiguousarray(strip), cv2.COLOR_RGB2HSV))
    strong = (saturation > 110) & (value > 60)
    patches = [(strong & ((hue + 15) % 180 // 30 == sixth)).mean(1) >= PATCH for sixth in range(6)]
    rows = np.flatnonzero((np.sum(patches, 0) >= HUES) & (quiet[: len(strip)].mean(1) >= PATCHED))
    return int(rows[-1]) + 1 if len(rows) >= GAP else 0


def _apart(one: Pixels, other: Pixels) -> npt.NDArray[np.uint8]:
    """The difference of two pictures in that channel in which it is largest, [H, W]."""
    red, green, blue = cv2.split(cv2.absdiff(one, other))
    return np.asarray(cv2.max(cv2.max(red, green), blue), np.uint8)


def _sums(values: Array) -> Array:
    """Sums of the rows before each, [C, H + 1, PARTS]."""
    sums = np.zeros((values.shape[0], values.shape[1] + 1, values.shape[2]))
    np.cumsum(values, axis=1, out=sums[:, 1:])
    return sums


def _mean(sums: Array, first: Rows, last: Rows) -> Array:
    """The mean of the rows from `first` to `last`, for each line."""
    count = np.maximum(last - first, 1)
    return (sums[:, last] - sums[:, first]) / (count[:, None] if sums.ndim == 3 else count)


def _largest(change: Array) -> Array:
    """The change of that channel in which it is largest, [L, PARTS]."""
    return np.abs(change).max(0)


def _coherent(change: Array) -> Array:
    """How far the colour changes in one way all along each line, [L] 0..1."""
    return np.linalg.norm(change.mean(2), axis=0) / (np.linalg.norm(change, axis=0).mean(1) + 1)


def _unlike(one: Array, other: Array) -> Array:
    """By how many levels two strips differ in the middle one of their parts, [L]."""
    return np.median(np.abs(one - other).max(0), 1)


def _unrest(strip: Array) -> Array:
    """The logarithm of the spread of a strip's colours, [L], from their means and the mean of their squares."""
    return np.log1p(np.sqrt(np.maximum(strip[3] - (strip[:3] ** 2).mean(0), 0)))
