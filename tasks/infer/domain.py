"""How far a photo is from the pictures a recipe learned from: said before the long work, not after.

What a landscape model makes of faces or houses is nobody's intent. Pictures are described by where their edges run and
which colours lie where (in the manner of Oliva and Torralba, "Modeling the Shape of the Scene", IJCV 2001, with
gradients in place of Gabor filters); a picture's distance is the mean one to its nearest fellows.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tasks.infer.source import Pixels

SIDE = 64  # px a picture is described at
CELLS, ANGLES = 4, 8  # a grid of CELLS x CELLS, in each the edges' directions
NEAREST = 5
FAINT = 0.01  # strength of an edge, of a contrast of 1, that counts as none
CROPS = 6  # a photo is judged by up to CROPS x CROPS squares of the size learned from
FAR = 0.90  # of the pictures learned from, this share lies nearer to its fellows than a photo that is called far

Features = NDArray[np.float32]


@dataclass(frozen=True)
class Judged:
    """A photo's distance, in units of the typical one among the pictures learned from, and from where on it is far."""

    distance: float
    bound: float

    @property
    def far(self) -> bool:
        """Whether the photo is unlike what was learned from."""
        return self.distance > self.bound


class Domain:
    """What a set of pictures uint8 [N, side, side, 3] looks like; N is more than NEAREST."""

    def __init__(self, examples: Pixels) -> None:
        assert len(examples) > NEAREST
        self.side = examples.shape[1]
        self._known = np.stack([described(picture) for picture in examples])
        own = _distances(self._known, self._known, skip=1)
        self._typical = float(np.median(own))
        self._bound = float(np.quantile(own, FAR)) / self._typical

    def judge(self, photo: Pixels) -> Judged:
        """Judge `photo` [H, W, 3] by the mean distance of squares cut from it as the examples were."""
        features = np.stack([described(square) for square in squares(photo, self.side)])
        distance = float(_distances(features, self._known).mean()) / self._typical
        return Judged(distance, self._bound)


def described(picture: Pixels) -> Features:
    """A square picture as a vector: how strong edges run in each direction, and the colours, cell by cell."""
    small = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32) / 255
    light = lab[..., 0]
    across, down = cv2.Sobel(light, cv2.CV_32F, 1, 0), cv2.Sobel(light, cv2.CV_32F, 0, 1)
    strength = np.hypot(across, down)
    angle = (np.arctan2(down, across) % np.pi / np.pi * ANGLES).astype(int) % ANGLES
    edges = np.stack([_cells(np.where(angle == number, strength, 0)) for number in range(ANGLES)])
    colours = np.stack([_cells(lab[..., channel]) for channel in range(3)])
    squares_of_colours = np.stack([_cells(lab[..., channel] ** 2) for channel in range(3)])
    spread = np.sqrt(np.maximum(squares_of_colours - colours**2, 0))
    return np.concatenate([part.ravel() for part in (np.log(edges + FAINT), colours, spread)]).astype(np.float32)


def squares(photo: Pixels, side: int) -> list[Pixels]:
    """Squares of side px spread evenly over the photo; a smaller photo gives its largest square."""
    height, width = photo.shape[:2]
    side = min(side, height, width)
    tops, lefts = (
        sorted({round(place) for place in np.linspace(0, length - side, min(CROPS, -(-length // side)))})
        for length in (height, width)
    )
    return [photo[top : top + side, left : left + side] for top in tops for left in lefts]


def _cells(values: NDArray[np.floating]) -> NDArray[np.floating]:
    size = SIDE // CELLS
    return values.reshape(CELLS, size, CELLS, size).mean(axis=(1, 3))


def _distances(pictures: Features, known: Features, skip: int = 0) -> Features:
    """Mean distance of each picture to its NEAREST known ones; `skip` leaves out as many of the nearest (itself)."""
    squared = (pictures**2).sum(1)[:, None] + (known**2).sum(1) - 2 * pictures @ known.T
    nearest = np.sort(np.sqrt(np.maximum(squared, 0)), axis=1)[:, skip : skip + NEAREST]
    return nearest.mean(axis=1)
