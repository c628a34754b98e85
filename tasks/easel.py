"""A small easel: a square sheet, smooth outlines, brush strokes, and colours to paint with.

Places are in shares of the sheet's side, (0, 0) at the top left; so one painting can be made at any size.
"""

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Points = NDArray[np.float64]  # [N, 2], x and y
Mask = NDArray[np.float32]  # [side, side], how much of each pixel is covered, 0 to 1
Colour = tuple[float, float, float]  # sRGB, each from 0 to 1

_FINE = 4  # outlines are filled this much finer than the pixels, then averaged
_SHIFT = 4  # bits behind the point of OpenCV's coordinates


@dataclass
class Easel:
    """A sheet being painted: float32 [side, side, 3]. `turn` (radians), `scale` and `shift` move all that follows."""

    side: int
    ground: Colour
    turn: float = 0.0
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    sheet: NDArray[np.float32] = field(init=False)

    def __post_init__(self) -> None:
        self.sheet = np.full((self.side, self.side, 3), self.ground, np.float32)

    def mask(self, outline: Points, soft: float = 0.0) -> Mask:
        """Where a closed outline covers the sheet; `soft` blurs its edge, as a share of the side."""
        fine = self._fine()
        cv2.fillPoly(fine, [self._placed(outline)], 255, cv2.LINE_8, _SHIFT)
        covered = self._averaged(fine)
        return cv2.GaussianBlur(covered, (0, 0), soft * self.side).astype(np.float32) if soft else covered

    def stroke_mask(self, path: Points, width: float | Sequence[float]) -> Mask:
        """Where a round brush drawn along `path` covers the sheet; several widths are spread along it."""
        widths = np.atleast_1d(np.asarray(width, np.float64))
        half = np.interp(np.linspace(0, 1, len(path)), np.linspace(0, 1, len(widths)), widths)[:, None] / 2
        along = np.gradient(path, axis=0)
        along /= np.maximum(np.hypot(along[:, :1], along[:, 1:]), 1e-9)
        across = along[:, ::-1] * (-1, 1)
        left, right = self._placed(path + across * half), self._placed(path - across * half)
        fine = self._fine()
        for piece in np.stack([left[:-1], left[1:], right[1:], right[:-1]], 1):  # one by one: a path may cross itself
            cv2.fillConvexPoly(fine, piece, 255, cv2.LINE_8, _SHIFT)
        radii = np.round(half[:, 0] * self.scale * self.side * _FINE * 2**_SHIFT).astype(int)
        for middle, radius in zip(self._placed(path).tolist(), radii.tolist(), strict=True):
            cv2.circle(fine, middle, radius, 255, -1, cv2.LINE_8, _SHIFT)
        return self._averaged(fine)

    def _fine(self) -> Picture:
        return np.zeros((self.side * _FINE, self.side * _FINE), np.uint8)

    def _placed(self, points: Points) -> NDArray[np.int32]:
        """Points in OpenCV's coordinates on the fine sheet: turned, scaled and shifted as all is."""
        cos, sin = math.cos(self.turn), math.sin(self.turn)
        placed = (points - 0.5) @ np.array([[cos, sin], [-sin, cos]]) * self.scale + 0.5 + self.shift
        return np.round((placed * self.side * _FINE - 0.5) * 2**_SHIFT).astype(np.int32)

    def _averaged(self, fine: Picture) -> Mask:
        return (cv2.resize(fine, (self.side, self.side), interpolation=cv2.INTER_AREA) / 255).astype(np.float32)

    def lay(self, mask: Mask, colour: Colour | NDArray[np.float32], cover: float = 1.0) -> None:
        """Lay a colour, or a colour of each pixel [side, side, 3], where `mask` says, `cover` thick."""
        rows = np.flatnonzero(mask.any(1))
        if not len(rows):
            return
        part = slice(int(rows[0]), int(rows[-1]) + 1)  # most shapes are small
        share = (mask[part] * cover)[..., None]
        laid = np.asarray(colour, np.float32)
        self.sheet[part] += ((laid[part] if laid.ndim == 3 else laid) - self.sheet[part]) * share

    def fill(self, outline: Points, colour: Colour, cover: float = 1.0, soft: float = 0.0) -> Mask:
        """Fill a closed outline; gives the mask, to paint on within it."""
        mask = self.mask(outline, soft)
        self.lay(mask, colour, cover)
        return mask

    def stroke(self, path: Points, width: float | Sequence[float], colour: Colour, cover: float = 1.0) -> None:
        """Draw along `path` with a round brush."""
        self.lay(self.stroke_mask(path, width), colour, cover)

    def shape(self, outline: Points, colour: Colour, line: float = 0.006) -> Mask:
        """Fill a closed outline and draw round it in a darker tone, as cartoons are drawn."""
        mask = self.fill(outline, colour)
        self.stroke(np.vstack([outline, outline[:1]]), line, shade(colour, 0.45))
        return mask

    def finished(self, grain: float = 0.0, seed: int = 0) -> Picture:
        """The sheet as uint8 [side, side, 3] sRGB, with the tooth of a canvas `grain` deep."""
        sheet = self.sheet
        if grain:
            tooth = np.random.default_rng(seed).standard_normal((self.side, self.side, 1), np.float32)
            sheet = sheet + tooth * grain
        return np.ascontiguousarray((sheet * 255).round().clip(0, 255).astype(np.uint8))


def curve(points: Sequence[tuple[float, float]] | Points, closed: bool = False, steps: int = 8) -> Points:
    """A smooth curve through `points` (Catmull and Rom 1974): [N, 2]."""
    knots = np.asarray(points, np.float64)
    around = np.vstack([knots[-1:], knots, knots[:2]] if closed else [knots[:1], knots, knots[-1:]])
    before, start, end, after = around[:-3], around[1:-2], around[2:-1], around[3:]
    t = np.linspace(0, 1, steps, endpoint=False)[:, None, None]  # [steps, 1, 1]
    along = (
        2 * start
        + (end - before) * t
        + (2 * before - 5 * start + 4 * end - after) * t**2
        + (3 * start - before - 3 * end + after) * t**3
    ) / 2
    smooth = along.transpose(1, 0, 2).reshape(-1, 2)
    return smooth if closed else np.vstack([smooth, knots[-1:]])


def ellipse(x: float, y: float, across: float, down: float, turn: float = 0.0) -> Points:
    """An ellipse by its middle and its half axes; `turn` in radians."""
    angle = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    flat = np.stack([across * np.cos(angle), down * np.sin(angle)], 1)
    cos, sin = math.cos(turn), math.sin(turn)
    return flat @ np.array([[cos, sin], [-sin, cos]]) + (x, y)


def box(x: float, y: float, across: float, down: float, turn: float = 0.0) -> Points:
    """A rectangle by its middle and its half sides; `turn` in radians."""
    flat = np.array([[-across, -down], [across, -down], [across, down], [-across, down]])
    cos, sin = math.cos(turn), math.sin(turn)
    return flat @ np.array([[cos, sin], [-sin, cos]]) + (x, y)


def mirrored(points: Points) -> Points:
    """The same outline on the other side of the sheet's middle line."""
    return points * (-1, 1) + (1, 0)


def hexadecimal(text: str) -> Colour:
    """The colour written as "rrggbb"."""
    red, green, blue = (int(text[i : i + 2], 16) / 255 for i in (0, 2, 4))
    return red, green, blue


def hue(degrees: float, saturation: float, value: float) -> Colour:
    """A colour by its hue, and its saturation and value from 0 to 1."""
    return colorsys.hsv_to_rgb(degrees % 360 / 360, min(max(saturation, 0), 1), min(max(value, 0), 1))


def blend(one: Colour, other: Colour, share: float) -> Colour:
    """The colour `share` of the way from one to the other."""
    red, green, blue = (a + (b - a) * share for a, b in zip(one, other, strict=True))
    return red, green, blue


def shade(colour: Colour, light: float) -> Colour:
    """The colour darker (light below 1) or lighter (above 1, towards white)."""
    return blend((0, 0, 0), colour, light) if light <= 1 else blend(colour, (1, 1, 1), light - 1)
