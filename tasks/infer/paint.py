"""Painting by tiles: band after band of rows is cut, pushed through the network in batches, and put together."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tasks.infer.tiles import Plan, Span

Pixels = NDArray[np.uint8]  # [height, width, 3], sRGB


@dataclass(frozen=True)
class Core:
    """The kept part of one painted tile; `values` [3, h, w] float32 in (-1, 1)."""

    row: Span
    column: Span
    values: Tensor


def paint(network: nn.Module, photo: Pixels, plan: Plan, *, batch: int) -> Iterator[Pixels]:
    """The painting of `photo` [H, W, 3], from top to bottom, one band of rows [h, W, 3] for each row of tiles."""
    for row in plan.rows:
        band = np.empty((row.core_stop - row.core_start, plan.padded_width, 3), np.uint8)
        for core in paint_row(network, photo, plan, row, batch=batch):
            band[:, core.column.core_start : core.column.core_stop] = to_pixels(core.values)
        keep = min(row.core_stop, plan.height) - row.core_start
        if keep > 0:
            yield np.ascontiguousarray(band[:keep, : plan.width])


@torch.inference_mode()
def paint_row(network: nn.Module, photo: Pixels, plan: Plan, row: Span, *, batch: int) -> Iterator[Core]:
    """The cores of one row of tiles, from left to right; `batch` tiles pass through the network at once."""
    device = next((weight.device for weight in network.parameters()), torch.device("cpu"))
    rows = photo[reflected(row.start, row.stop, plan.height)][:, reflected(0, plan.padded_width, plan.width)]
    for first in range(0, len(plan.columns), batch):
        columns = plan.columns[first : first + batch]
        tiles = torch.from_numpy(np.stack([rows[:, column.start : column.stop] for column in columns]))
        painted: Tensor = network(to_values(tiles.to(device))).float().cpu()
        for column, tile in zip(columns, painted, strict=True):
            inside = tile[
                :,
                row.core_start - row.start : row.core_stop - row.start,
                column.core_start - column.start : column.core_stop - column.start,
            ]
            yield Core(row, column, inside)


def reflected(start: int, stop: int, side: int) -> NDArray[np.int64]:
    """The indices of [start, stop) on an axis of `side` px that goes on as its mirror image, the edge not repeated."""
    index = np.arange(start, stop)
    if side == 1:
        return np.zeros_like(index)
    index %= 2 * side - 2
    return np.where(index < side, index, 2 * side - 2 - index)


def to_values(pixels: Tensor) -> Tensor:
    """uint8 [B, H, W, 3] as float32 [B, 3, H, W] in (-1, 1)."""
    return (pixels.float() / 127.5 - 1).permute(0, 3, 1, 2)


def to_pixels(values: Tensor) -> Pixels:
    """Float [3, H, W] in (-1, 1) as uint8 [H, W, 3]."""
    return ((values + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
