"""A photograph at the size it is painted, read a tile at a time and resized only there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Pixels = NDArray[np.uint8]  # [height, width, 3], sRGB
Samples = NDArray[Any]  # uint8 or uint16, [height, width, 3], or 4 with transparency, which is not multiplied in
LOBES = 3  # Lanczos
TOGETHER = 64  # places along an axis resized at once


@dataclass(frozen=True)
class Box:
    """A part of a picture in its own pixels; fractions of a pixel are allowed."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Source:
    """`box` of `photo`, seen as height x width px. Beyond its edges it goes on as its mirror image."""

    photo: Samples  # [H, W, 3]
    box: Box
    height: int
    width: int

    @classmethod
    def whole(cls, photo: Samples) -> "Source":
        """The photo as it is."""
        height, width = photo.shape[:2]
        return cls(photo, Box(0, 0, width, height), height, width)

    def tile(self, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
        """Rows and columns [start, stop) as float32 [3, h, w] in (-1, 1).

        A pixel is a function of its place alone: it is the same in every tile that holds it (to float rounding).
        """
        y, x = reflected(*rows, self.height), reflected(*columns, self.width)
        if self._untouched:
            part = self.photo[int(self.box.top) + y][:, int(self.box.left) + x].astype(np.float32)
        else:
            part = resized(self.photo, self.box, self.height, self.width, y, x)
        return to_values(torch.from_numpy(part)[None], white(self.photo.dtype))[0]

    def area(self, rows: tuple[int, int], columns: tuple[int, int]) -> NDArray[np.float32]:
        """The same as [h, w, 3]."""
        return self.tile(rows, columns).permute(1, 2, 0).numpy()

    @property
    def _untouched(self) -> bool:
        box = self.box
        same = (box.height, box.width) == (self.height, self.width)
        return same and float(box.left).is_integer() and float(box.top).is_integer()


def resized(
    pixels: Samples, box: Box, height: int, width: int, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Chosen rows and columns of `box` of `pixels` [H, W, C] seen as height x width px: float32 [rows, columns, C].

    Lanczos with three lobes, widened where the picture shrinks, as products of matrices: for a few places at a time,
    since each looks at few of the pixels that all of them look at.
    """
    down = list(_weights(rows, box.top, box.height / height, pixels.shape[0]))
    across = list(_weights(columns, box.left, box.width / width, pixels.shape[1]))
    top, left = (min(seen.start for _, seen in weights) for weights in (down, across))
    bottom, right = (max(seen.stop for _, seen in weights) for weights in (down, across))
    part = np.ascontiguousarray(np.moveaxis(pixels[top:bottom, left:right], 2, 0), np.float32)  # [C, .., ..]
    tall = np.concatenate(
        [np.matmul(shares, part[:, seen.start - top : seen.stop - top]) for shares, seen in down], axis=1
    )
    wide = np.concatenate(
        [np.matmul(tall[..., seen.start - left : seen.stop - left], shares.T) for shares, seen in across], axis=2
    )
    return np.moveaxis(np.clip(wide, 0, white(pixels.dtype), out=wide), 0, 2)


def _weights(
    places: NDArray[np.int64], start: float, scale: float, side: int
) -> Iterator[tuple[NDArray[np.float32], slice]]:
    """For a few output pixels at a time: the share [places, taps] each input pixel has, and which pixels those are.

    `start` and `scale` lead from output pixels to input pixels, of which there are `side`.
    """
    widened = max(scale, 1.0)
    for first in range(0, len(places), TOGETHER):
        centres = start + (places[first : first + TOGETHER] + 0.5) * scale - 0.5
        low = max(int(np.floor(centres.min() - LOBES * widened)), 0)
        high = min(int(np.ceil(centres.max() + LOBES * widened)) + 1, side)
        distance = (np.arange(low, high) - centres[:, None]) / widened
        shares = np.where(np.abs(distance) < LOBES, np.sinc(distance) * np.sinc(distance / LOBES), 0.0)
        yield (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32), slice(low, high)


def reflected(start: int, stop: int, side: int) -> NDArray[np.int64]:
    """The indices of [start, stop) on an axis of `side` px that goes on as its mirror image, the edge not repeated."""
    index = np.arange(start, stop)
    if side == 1:
        return np.zeros_like(index)
    index %= 2 * side - 2
    return np.where(index < side, index, 2 * side - 2 - index)


def white(dtype: np.dtype[Any]) -> int:
    """The highest value of a sample."""
    return int(np.iinfo(dtype).max)


def to_values(pixels: Tensor, top: int = 255) -> Tensor:
    """0..top [B, H, W, 3] as float32 [B, 3, H, W] in (-1, 1)."""
    return pixels.float().div(top / 2).sub_(1).permute(0, 3, 1, 2)


def to_pixels(values: Tensor, depth: int = 8) -> Tensor:
    """Float [B, 3, H, W] in (-1, 1) as uint8, or uint16 where `depth` is 16, [B, H, W, 3]."""
    top, kind = (255, torch.uint8) if depth == 8 else (65535, torch.uint16)
    return values.float().add(1).mul_(top / 2).round_().clamp_(0, top).to(kind).permute(0, 2, 3, 1)


def stacked(tiles: Sequence[Tensor]) -> Tensor:
    """Tiles of one size as a batch, pinned for the way to a GPU where there is one."""
    batch = torch.stack(tuple(tiles))
    return batch.pin_memory() if torch.cuda.is_available() else batch
