"""A small picture made larger with firm contours, where plain interpolation gives blur and the grid of its pixels.

Its noise, which a short training leaves, is taken away first by non-local means (Buades et al., CVPR 2005), as much as
is there. Then it is interpolated, softened until the grid is gone, and sharpened by a shock filter: on the bright side
of an edge brightness spreads, on the dark side darkness, along the one direction the edges of a neighbourhood agree on
(after Weickert, "Coherence-Enhancing Shock Filters", DAGM 2003). No detail is added: what was not drawn is not there.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tasks.infer.source import Pixels

TIMES = 8  # at most; beyond it the contours are firm enough to be interpolated
LONGEST = 4096  # px a side that may lie in memory whole
SOFT, NEIGHBOURHOOD = 0.35, 0.6  # deviations of the Gaussians, in pixels of the small picture
FAINT = 2.0  # grey levels of noise that are left alone
LIGHT, COLOUR = 0.9, 0.5  # strength of the cleaning, for each grey level of noise
PATCH, SEARCH = 3, 11  # px a side that are compared, and within which
STEPS, STEP = 0.75, 0.5  # rounds of spreading for each time it is enlarged; how much of the way each goes

Values = NDArray[np.float32]


def times_for(side: int, wanted: int) -> int:
    """How many times a picture of `side` px should be enlarged for a print of `wanted` px a side; 1: it should not."""
    return max(1, min(TIMES, -(-wanted // side), LONGEST // side))


def enlarged(picture: Pixels, times: int) -> Pixels:
    """The picture uint8 [H, W, 3], `times` as large a side."""
    if times == 1:
        return picture
    height, width = picture.shape[:2]
    large = cv2.resize(cleaned(picture), (width * times, height * times), interpolation=cv2.INTER_LANCZOS4)
    values = _soft(large.astype(np.float32), SOFT * times)
    for _ in range(round(STEPS * times)):
        values = _spread(values, times)
    return np.rint(values).clip(0, 255).astype(np.uint8)


def cleaned(picture: Pixels) -> Pixels:
    """The picture without its noise."""
    level = noise(picture)
    if level < FAINT:
        return picture
    found = cv2.fastNlMeansDenoisingColored(picture, None, LIGHT * level, COLOUR * level, PATCH, SEARCH)
    return np.asarray(found, np.uint8)


def noise(picture: Pixels) -> float:
    """The deviation of its noise in grey levels (after Immerkaer, "Fast Noise Variance Estimation", CVIU 1996).

    By the median, so that edges, of which a drawing has few, do not count.
    """
    second = np.array([1, -2, 1], np.float32)
    rough = cv2.sepFilter2D(picture.astype(np.float32), -1, second, second)  # flat and sloping parts give 0
    return float(np.median(np.abs(rough))) / (6 * 0.6745)


def _spread(values: Values, times: int) -> Values:
    """One round: each pixel moves towards the brightest of its neighbours, or the darkest, by the side it lies on."""
    light = _soft(_values(cv2.cvtColor(values, cv2.COLOR_RGB2GRAY)), SOFT * times)
    across, down = _slopes(light)
    xx, xy, yy = (_soft(part, NEIGHBOURHOOD * times) for part in (across * across, across * down, down * down))
    angle = np.arctan2(2 * xy, xx - yy) / 2  # across the edges of the neighbourhood
    cos, sin = np.cos(angle), np.sin(angle)
    (bend_xx, bend_xy), (_, bend_yy) = _slopes(across), _slopes(down)
    bright = cos * cos * bend_xx + 2 * cos * sin * bend_xy + sin * sin * bend_yy < 0
    near = np.ones((3, 3), np.uint8)
    towards = np.where(bright[..., None], cv2.dilate(values, near), cv2.erode(values, near))
    return _values(values + STEP * (towards - values))


def _slopes(values: Values) -> tuple[Values, Values]:
    down, across = np.gradient(values)
    return _values(across), _values(down)


def _soft(values: Values, deviation: float) -> Values:
    return _values(cv2.GaussianBlur(values, (0, 0), deviation, borderType=cv2.BORDER_REFLECT_101))


def _values(array: Any) -> Values:
    return np.asarray(array, np.float32)
