"""The part of a picture that is picture: borders, mounts, colour bars and letterbox bars are cut away.

From the middle out, every straight line that might end a border is judged by what is seen of it (sides.py), and the
lines of opposite sides are judged in pairs: a frame, the cloth around a scroll and letterbox bars are alike on both.
The weights of the judgement are fitted by logistic regression; what is cut is then what costs least on average.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from tasks.picture import Pixels
from tasks.prepare.crop import Box
from tasks.prepare.sides import Array, End, Rows, Seen, ends, look

WORKING = 640  # pixels of the long side at which borders are looked for
SMALLEST = 64  # pixels; of less nothing can be told
THINNEST = 32  # the same, of the picture at working size
MIDDLE = 0.3, 0.7  # of the picture: where lines are looked for at first, as those of a border run past all of it
LOOKS = 3  # the lines of one direction end where those of the other cross them, so they are looked for again
BEST = 6  # lines of one end that are judged with those of the other
INSET = 0.01  # cut off beyond a line: the edges of paper are never quite straight

# What a wrong cut costs: a border that is left, one; a part of the print that is lost, as its width squared.
LEAVES = 0.005  # of the picture: as much border as nobody sees
LOSES = 0.08  # of the picture that costs as much as a border
MOST_LOST = 4.0

EVEN = 2.0  # times as wide as the other a letterbox bar may be


@dataclass(frozen=True)
class Weights:
    """What speaks how much for a line, and for a pair of lines. Sums of them are log-odds."""

    line: Mapping[str, float]  # by the names of End.traits
    pair: Mapping[str, float]  # by the names of pair_traits


# Fitted by `python -m benchmarks.borders_fit` on the prints of benchmarks/borders.csv.
FITTED = Weights(
    line={
        "none": 6.15,
        "stands_out": 5.93,
        "askew": 3.88,
        "step": 0.77,
        "ink": 1.5,
        "bare": 1.84,
        "quiet_near": -1.49,
        "unrest_near": -0.48,
        "unrest_deep": -3.03,
        "unrest_unlike": 0.6,
        "uneven": -1.31,
        "light": 0.8,
        "lighter": 0.65,
        "short_of_bar": -2.36,
        "depth": -15.61,
        "deep": 1.5,
        "line_outside": 2.37,
        "line_within": -7.89,
    },
    pair={
        "lines": 0.94,
        "alike": -0.39,
        "alike_near": 2.4,
        "alike_least": -1.57,
        "alike_within": 0.93,
        "alike_deep": 30.56,
        "uneven": -2.14,
        "ratio": -1.33,
        "neither": 0.46,
        "one_only": -1.37,
        "little_left": -20.23,
    },
)


def sound_part(picture: Pixels, weights: Weights = FITTED) -> Box:
    """The box of `picture`, uint8 [H, W, 3], that is free of borders; all of it where none is found."""
    height, width = picture.shape[:2]
    scale = WORKING / max(height, width)
    rows, columns = round(height * scale), round(width * scale)
    if min(height, width) < SMALLEST or min(rows, columns) < THINNEST:
        return Box(0, 0, width, height)
    upright, aside = both_ways(picture)
    left, right = (round(columns * share) for share in MIDDLE)
    top, bottom = (round(rows * share) for share in MIDDLE)
    for _ in range(LOOKS):
        before = left, top, right, bottom
        (top, bottom), (left, right) = _between(upright, left, right, weights), _between(aside, top, bottom, weights)
        if before == (left, top, right, bottom):
            break
    left, right = _inset(left, right, columns)
    top, bottom = _inset(top, bottom, rows)
    across, down = width / columns, height / rows
    return Box(round(left * across), round(top * down), round(right * across), round(bottom * down))


def both_ways(picture: Pixels) -> tuple[Seen, Seen]:
    """What the rows of a picture show, and what its columns show, at working size."""
    scale = WORKING / max(picture.shape[:2])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR  # enlarged too: a line is as wide in every picture
    size = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
    copy = np.asarray(cv2.resize(picture, size, interpolation=way), np.uint8)
    return look(copy), look(np.ascontiguousarray(copy.swapaxes(0, 1)))


def _between(seen: Seen, left: int, right: int, weights: Weights) -> tuple[int, int]:
    """The rows between the borders at both ends, of what is seen between two columns."""
    first, last = ends(seen, left, right)
    ones, others, scores = judge(first, last, weights)
    likely = np.exp(scores - scores.max())
    count = len(seen.colours)
    bars = min(first.bar, last.bar) * EVEN >= max(first.bar, last.bar)  # beside a dark picture they end in no line
    start, end = _cheapest(first, ones, likely, count), _cheapest(last, others, likely, count)
    return max(start, first.bar * bars), count - max(end, last.bar * bars)


def judge(first: End, last: End, weights: Weights) -> tuple[Rows, Rows, Array]:
    """The best lines of both ends in pairs, by their places in the ends' lists, and the score of each pair."""
    scores, others = _weighed(first.traits, weights.line), _weighed(last.traits, weights.line)
    one, other = np.argsort(-scores)[:BEST], np.argsort(-others)[:BEST]
    one, other = one.repeat(len(other)), np.tile(other, len(one))
    traits = pair_traits(first, last, one, other) | {"lines": scores[one] + others[other]}
    return one, other, _weighed(traits, weights.pair)


def _weighed(traits: Mapping[str, Array], weights: Mapping[str, float]) -> Array:
    return np.sum([weight * traits[name] for name, weight in weights.items()], 0)


def pair_traits(first: End, last: End, one: Rows, other: Rows) -> dict[str, Array]:
    """What speaks for and against a border at both ends that ends in lines `one` and `other`, [pairs]."""
    neither, both = (one == 0) & (other == 0), (one > 0) & (other > 0)
    depths = first.depths[one], last.depths[other]

    def alike(strips: Array, others: Array) -> Array:
        apart = np.median(np.abs(strips[:, one] - others[:, other]).max(0), 1)
        return np.where(both, 1 - np.minimum(apart, 50) / 50, 0)

    outside, near = alike(first.outside, last.outside), alike(first.near, last.near)
    ratio = np.abs(np.log((depths[0] + 0.015) / (depths[1] + 0.015))) * both
    return {
        "alike": outside,
        "alike_near": near,
        "alike_least": np.minimum(outside, near),
        "alike_within": alike(first.within, last.within),
        "alike_deep": outside * np.minimum(*depths),
        "uneven": np.minimum(np.abs(depths[0] - depths[1]), 0.2),
        "ratio": ratio,
        "neither": neither * 1.0,
        "one_only": ~(neither | both) * 1.0,
        "little_left": np.maximum(depths[0] + depths[1] - 0.5, 0),
    }


def _cheapest(end: End, lines: Rows, likely: Array, count: int) -> int:
    """The row at which a cut costs least on average over where the border may end. `likely` [pairs]."""
    candidates, place = np.unique(lines, return_inverse=True)
    chance = np.bincount(place, likely)
    rows = end.rows[candidates]
    lost = (rows[:, None] - rows) / count  # [cut, true end]
    costs = np.where(lost < -LEAVES, 1, np.minimum(np.maximum(lost / LOSES, 0) ** 2, MOST_LOST))
    return int(rows[np.argmin(costs @ chance)])


def _inset(first: int, last: int, count: int) -> tuple[int, int]:
    """The rows a little further in, where something is cut."""
    inset = max(1, round(count * INSET))
    return first + inset if first > 0 else 0, last - inset if last < count else count
