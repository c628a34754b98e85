"""An open rendering of any picture as a woodblock print in blues (aizuri-e): a few pigments, ink lines, warm paper.

How light a thing is chooses its pigment, not its colour, so a few photographs are enough to learn the manner from.
Every pixel depends only on those some ten pixels round it, so a crop is rendered as the whole is, at the same scale;
only the grain of the paper is tied to the sheet. It imitates no artist and learns nothing.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Pigment:
    """One block's colour, as it lies on the paper."""

    name: str
    srgb: tuple[int, int, int]


PAPER = Pigment("kozo paper", (240, 226, 194))
INK = Pigment("sumi ink", (38, 33, 38))
PIGMENTS = (
    PAPER,
    Pigment("pale indigo", (168, 194, 200)),
    Pigment("indigo", (98, 138, 172)),
    Pigment("bero blue", (52, 88, 140)),
    Pigment("deep indigo", (30, 44, 84)),
    INK,
)

_LIFT = 0.5  # exponent on lightness; a print is bright, and keeps black for line and hair
_SMOOTH = 1.3  # pixels; how far the knife follows a border before it cuts straight
_LINE = 1.0  # pixels; half the width of a contour
_GRAIN = 5.0  # levels; the paper's unevenness, at most about three times this


def render(picture: Picture, seed: int = 0) -> Picture:
    """The picture as a woodblock print: uint8 [H, W, 3] sRGB in, the same shape out.

    `seed` chooses the sheet of paper. The contours are a difference of Gaussians sharpened into lines (Winnemoeller,
    Kyprianidis and Olsen, "XDoG", Computers & Graphics 36, 2012); the blocks are the pigment of the nearest lightness,
    after each pigment's distance has been smoothed, so that borders run as a knife cuts them.
    """
    calm = picture
    for _ in range(2):
        calm = cv2.bilateralFilter(calm, 5, 28, 2.2).astype(np.uint8)
    light = _lightness(calm)
    line = _contours(light)[..., None]  # [H, W, 1], 1 where there is ink
    lifted = (100 * (light.clip(0, 100) / 100) ** _LIFT).astype(np.float32)
    blocks = _colours()[_nearest(lifted)]  # [H, W, 3] float32
    printed = blocks * (1 - line) + np.array(INK.srgb, np.float32) * line
    return np.clip(printed + _grain(picture.shape[0], picture.shape[1], seed)[..., None], 0, 255).astype(np.uint8)


def _colours() -> NDArray[np.float32]:
    return np.array([pigment.srgb for pigment in PIGMENTS], np.float32)  # [P, 3]


def _lightness(picture: Picture) -> NDArray[np.float32]:
    """CIE L*, in [0, 100]: float32 [H, W]."""
    return cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[..., 0].astype(np.float32)


def _nearest(light: NDArray[np.float32]) -> NDArray[np.intp]:
    """Which pigment lies at each pixel: int [H, W]."""
    pigments = _lightness(_colours().astype(np.uint8)[None])[0]
    best = np.full(light.shape, np.inf, np.float32)
    chosen = np.zeros(light.shape, np.intp)
    for index, pigment in enumerate(pigments):
        away = cv2.GaussianBlur(np.abs(light - pigment), (0, 0), _SMOOTH)
        nearer = away < best
        best[nearer] = away[nearer]
        chosen[nearer] = index
    return chosen


def _contours(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much ink lies at each pixel, from 0 to 1: float32 [H, W]."""
    fine = cv2.GaussianBlur(light, (0, 0), _LINE)
    coarse = cv2.GaussianBlur(light, (0, 0), _LINE * 1.6)
    dip = fine - coarse  # below zero on the dark side of an edge
    ink = np.clip((-dip - 1.1) / 1.2, 0, 1)
    return (ink * ink * (3 - 2 * ink)).astype(np.float32)


def _grain(height: int, width: int, seed: int) -> NDArray[np.float32]:
    """The paper: fine tooth and long faint fibres, in levels, mean 0: float32 [H, W]."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((height, width), np.float32)
    fibres = cv2.GaussianBlur(noise, (0, 0), sigmaX=4.0, sigmaY=0.6) * 3.0
    return ((noise * 0.35 + fibres) * (_GRAIN / 3)).astype(np.float32)
