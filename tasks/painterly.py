"""Many portraits of one photograph of a face: bent, turned, relit, recoloured and smeared as a brush might.

A sitting is one manner: its rendering, its colours and where its light comes from. Pictures of one sitting differ in
how the face is bent and turned. It imitates no artist and learns nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Sheet = NDArray[np.float32]  # [side, side, 3], 0 to 1
Chance = np.random.Generator

WIDE = 2.6  # sides of the face that a portrait is wide
BEND = 0.014  # of the portrait's side: the deviation by which places are moved
KNOTS = 4  # places across that are moved; the others follow smoothly
RENDERINGS = ("oil", "oil", "wash", "chalk", "plain")
# From shadow to light, red, green, blue. Ours, mixed by eye.
SCHEMES = (
    ("28180f", "8c4a2a", "d9a066", "f6e7c8"), ("141a2e", "3c5a80", "8fb3c9", "f3ead6"),
    ("1d1f14", "5a6a3a", "b7a36a", "f2e6c4"), ("2a1020", "84344f", "d98a7a", "fbe3cf"),
    ("101418", "4a4f52", "a39a8c", "efe9dc"), ("201430", "5c4a86", "c08fa8", "f6dfc9"),
)  # fmt: skip


@dataclass(frozen=True)
class Head:
    """Where the face is in its photograph: its middle and its side, in pixels."""

    x: float
    y: float
    side: float


@dataclass(frozen=True)
class Manner:
    """How all portraits of one sitting are painted."""

    rendering: Literal["oil", "wash", "chalk", "plain"]
    scheme: NDArray[np.float32]  # [tones, 3]
    tinted: float  # how far colours follow the scheme, 0 to 1
    gamma: float
    light_from: float  # radians
    light: float  # how much brighter the near side is than the far one
    mirrored: bool


def manner(seed: Sequence[int]) -> Manner:
    """The manner that `seed` chooses."""
    rng = np.random.default_rng(seed)
    scheme = SCHEMES[int(rng.integers(len(SCHEMES)))]
    return Manner(
        rendering=RENDERINGS[int(rng.integers(len(RENDERINGS)))],
        scheme=np.array([[int(tone[i : i + 2], 16) / 255 for i in (0, 2, 4)] for tone in scheme], np.float32),
        tinted=float(rng.uniform(0.25, 0.85)),
        gamma=float(np.exp(rng.uniform(-0.45, 0.35))),
        light_from=float(rng.uniform(0, 2 * math.pi)),
        light=float(rng.uniform(0.1, 0.5)),
        mirrored=bool(rng.random() < 0.5),
    )


def portrait(photograph: Picture, head: Head, how: Manner, seed: Sequence[int], side: int = 192) -> Picture:
    """One portrait, uint8 [side, side, 3] sRGB, of the face at `head`; `seed` chooses how it is bent and turned."""
    rng = np.random.default_rng(seed)
    sheet = (_bent(photograph, head, how.mirrored, rng, side) / 255).astype(np.float32)
    sheet = _rendered(_lit(sheet, how, rng), how.rendering)
    return np.ascontiguousarray((_tinted(sheet, how) * 255).round().clip(0, 255).astype(np.uint8))


def _bent(photograph: Picture, head: Head, mirrored: bool, rng: Chance, side: int) -> Picture:
    """The face and what is around it, through a smooth warp; beyond the photograph's edge lies its mirror image."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side - 0.5
    if mirrored:
        x = -x
    moved = rng.normal(0, BEND, (KNOTS, KNOTS, 2)).astype(np.float32)
    shift = cv2.resize(moved, (side, side), interpolation=cv2.INTER_CUBIC)
    turn, scale = rng.normal(0, 0.10), WIDE * head.side * np.exp(rng.normal(0, 0.06))
    x, y = x + shift[..., 0], y + shift[..., 1]
    across = head.x + scale * (math.cos(turn) * x - math.sin(turn) * y)
    down = head.y + scale * (math.sin(turn) * x + math.cos(turn) * y)
    smooth = cv2.GaussianBlur(photograph, (0, 0), max(scale / side / 2.5, 0.3))
    way = cv2.INTER_LINEAR
    bent = cv2.remap(smooth, across.astype(np.float32), down.astype(np.float32), way, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(bent, np.uint8)


def _lit(sheet: Sheet, how: Manner, rng: Chance) -> Sheet:
    """Another exposure, and light from one side."""
    side = len(sheet)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side - 0.5
    towards = math.cos(how.light_from) * x + math.sin(how.light_from) * y
    exposure = float(np.exp(rng.normal(0, 0.06)))
    return (sheet**how.gamma * exposure * (1 + how.light * 2 * towards)[..., None]).clip(0, 1).astype(np.float32)


def _rendered(sheet: Sheet, rendering: str) -> Sheet:
    """As the manner smears, washes or draws."""
    levels = (sheet * 255).astype(np.uint8)
    match rendering:
        case "oil":  # small patches of paint with firm borders
            levels = cv2.medianBlur(cv2.bilateralFilter(levels, 7, 45, 3), 5)
        case "wash":  # few tones, which run into each other
            tones = (cv2.bilateralFilter(levels, 5, 40, 3).astype(np.float32) / 36).round() * 36
            levels = cv2.GaussianBlur(tones, (0, 0), 0.9)
        case "chalk":  # lighter, with dark contours
            grey = cv2.cvtColor(levels, cv2.COLOR_RGB2GRAY).astype(np.float32)
            line = (grey / np.maximum(cv2.GaussianBlur(grey, (0, 0), 4), 8)).clip(0.55, 1.05)[..., None]
            levels = (cv2.medianBlur(levels, 3) * 0.75 + 60) * line
        case _:
            pass
    return (np.asarray(levels).clip(0, 255) / 255).astype(np.float32)


def _tinted(sheet: Sheet, how: Manner) -> Sheet:
    """Colours moved towards those of the scheme that are as light."""
    light = cv2.cvtColor(sheet, cv2.COLOR_RGB2GRAY)
    tones = np.linspace(0, 1, len(how.scheme))
    scheme = np.stack([np.interp(light, tones, how.scheme[:, channel]) for channel in range(3)], -1)
    return (sheet + (scheme - sheet) * how.tinted).astype(np.float32)
