"""Fits the weights by which borders are found, on the labelled prints, and tells how they do on prints left out.

    BAREN_PICTURES=... python -m benchmarks.borders_fit

Each end of each print is a choice among the lines that are seen there; those that lie close to the label are right.
The weights maximise the likelihood of the right lines, then of the right pairs (conditional logit with a Gaussian
prior: McFadden 1974, "Conditional logit analysis of qualitative choice behavior"). Of every print a piece from its
middle is shown too, in which to find no border is right. The figures printed are those of cross-validation: each
print is judged by weights that were fitted without it.
"""

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from scipy.optimize import minimize

from benchmarks.ingest import HERE, border_figures, labelled_box
from tasks.picture import Pixels, open_picture
from tasks.prepare.borders import MIDDLE, Weights, both_ways, judge, pair_traits, sound_part
from tasks.prepare.crop import Box
from tasks.prepare.sides import Array, End, ends

FOLDS = 6
CLOSE = -0.013, 0.022  # of the picture: how far outside or inside of the label a line may lie
PRIOR_LINE, PRIOR_PAIR = 10.0, 3.0  # precisions of the prior, of traits scaled to unit spread
PIECE = 0.03, 0.15  # of the print's width and height that is cut off with a border
ASKEW = 1.2  # degrees that a print is turned at most

Choice = tuple[End, End, float, float, int]  # both ends, the rows where their borders end, and how many rows there are


def main() -> None:
    """Prints the figures of cross-validation and the weights fitted on all prints."""
    cv2.setNumThreads(1)
    folder = Path(os.environ["BAREN_PICTURES"]) / "ukiyoe"
    with (HERE / "borders.csv").open(newline="") as file:
        labels = [row for row in csv.DictReader(file) if row["part"] == "tune"]
    pictures = [open_picture(folder / label["file"]) for label in labels]
    boxes = [labelled_box(label, picture) for label, picture in zip(labels, pictures, strict=True)]
    rng = np.random.default_rng(0)
    choices = [
        [choice for shown in _shown(picture, box, rng) for choice in _choices(*shown)]
        for picture, box in zip(pictures, boxes, strict=True)
    ]
    fitted = [fit([c for at, few in enumerate(choices) if at % FOLDS != fold for c in few]) for fold in range(FOLDS)]
    found = [sound_part(picture, fitted[at % FOLDS]) for at, picture in enumerate(pictures)]
    print(border_figures(found, boxes, pictures))
    weights = fit([choice for few in choices for choice in few])
    for each in (weights.line, weights.pair):
        print({name: round(float(weight), 2) for name, weight in each.items()})


def _shown(picture: Pixels, box: Box, rng: np.random.Generator) -> Iterator[tuple[Pixels, Box]]:
    """A print as it is, a little askew, without the borders of some sides, and without any; each with its box."""
    yield picture, box
    yield _turned(picture, box, rng.uniform(-ASKEW, ASKEW))
    yield _piece(picture, box, rng.uniform(*PIECE, 4) * (rng.random(4) < 0.5))
    yield _piece(picture, box, rng.uniform(*PIECE, 4))


def _turned(picture: Pixels, box: Box, degrees: float) -> tuple[Pixels, Box]:
    height, width = picture.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    turned = cv2.warpAffine(picture, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    corners = [(box.left, box.top), (box.right, box.top), (box.left, box.bottom), (box.right, box.bottom)]
    x, y = np.sort(np.array(corners) @ turn[:, :2].T + turn[:, 2], 0).round().astype(int).clip(0).T
    return np.asarray(turned, np.uint8), Box(x[1], y[1], min(x[2], width), min(y[2], height))


def _piece(picture: Pixels, box: Box, cut: Array) -> tuple[Pixels, Box]:
    """A piece of a print: `cut` is how much of the print is cut off each side with its border; where it is 0, none."""
    height, width = picture.shape[:2]
    left = (box.left + int(cut[0] * box.width)) if cut[0] else 0
    top = (box.top + int(cut[1] * box.height)) if cut[1] else 0
    right = (box.right - int(cut[2] * box.width)) if cut[2] else width
    bottom = (box.bottom - int(cut[3] * box.height)) if cut[3] else height
    within = Box(max(box.left, left) - left, max(box.top, top) - top,
                 min(box.right, right) - left, min(box.bottom, bottom) - top)  # fmt: skip
    return np.ascontiguousarray(picture[top:bottom, left:right]), within


def _choices(picture: Pixels, box: Box) -> list[Choice]:
    """What is to be decided of a picture, as the lines run past its middle and as they run past the whole print."""
    height, width = picture.shape[:2]
    sides = (box.left / width, box.right / width), (box.top / height, box.bottom / height)
    choices: list[Choice] = []
    for seen, along, (start, end) in zip(both_ways(picture), sides, reversed(sides), strict=True):
        count, length = seen.colours.shape[:2]
        for left, right in (MIDDLE, along):
            first, last = ends(seen, round(left * length), round(right * length))
            choices.append((first, last, start * count, (1 - end) * count, count))
    return choices


def _right(end: End, truth: float, count: int) -> np.ndarray:
    within = (end.rows - truth) / count
    return (within >= CLOSE[0]) & (within <= CLOSE[1])


def fit(choices: Sequence[Choice]) -> Weights:
    """The weights that make the right lines, and the right pairs of lines, most likely."""
    lines = [(end, _right(end, truth, count)) for *both, first, last, count in choices
             for end, truth in zip(both, (first, last), strict=True)]  # fmt: skip
    lines = [(end, right) for end, right in lines if right.any()]
    names = list(lines[0][0].traits)
    line = _logit([np.stack([end.traits[name] for name in names], 1) for end, _ in lines],
                  [right for _, right in lines], np.zeros(len(names)), PRIOR_LINE)  # fmt: skip
    weights = Weights(dict(zip(names, line, strict=True)), {"lines": 1.0})
    traits, rights = [], []
    for first, last, start, end, count in choices:
        one, other, scores = judge(first, last, weights)
        right = _right(first, start, count)[one] & _right(last, end, count)[other]
        if right.any():
            named = {"lines": scores} | pair_traits(first, last, one, other)
            traits.append(np.stack(list(named.values()), 1))
            rights.append(right)
    pair = _logit(traits, rights, np.eye(len(named))[0], PRIOR_PAIR)
    return Weights(weights.line, dict(zip(named, pair, strict=True)))


def _logit(traits: list[Array], rights: list[np.ndarray], prior: Array, precision: float) -> Array:
    """The most likely weights of choices among lists of [alternatives, traits], several of which may be right."""
    every, right = np.concatenate(traits), np.concatenate(rights)
    spread = np.where(prior > 0, 1, every.std(0) + 1e-6)
    every = every / spread
    counts = [len(few) for few in rights]
    starts, choice = np.cumsum([0, *counts[:-1]]), np.repeat(np.arange(len(counts)), counts)

    def loss(weights: Array) -> tuple[float, Array]:
        scores = every @ weights
        shares = np.exp(scores - np.maximum.reduceat(scores, starts)[choice])
        shares /= np.add.reduceat(shares, starts)[choice]
        rightly = shares * right
        chance = np.add.reduceat(rightly, starts) + 1e-300
        off = weights - prior
        value = -np.log(chance).sum() + precision * (off @ off) / 2
        return value, every.T @ (shares - rightly / chance[choice]) + precision * off

    return minimize(loss, prior, jac=True, method="L-BFGS-B").x / spread


if __name__ == "__main__":
    main()
