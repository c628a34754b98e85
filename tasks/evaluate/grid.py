"""Rows of pictures laid out as one PNG."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from tasks.files import no_half_file

GAP = 4  # pixels between two pictures
SMALLEST = 96  # pixels; smaller pictures are enlarged by a whole number, to be seen on a screen


def write_grid(path: Path, columns: Sequence[Tensor]) -> None:
    """One column for each of `columns`, uint8 [N, side, side, 3] of one N and side; picture i of all in row i."""
    sheet = grid([column.numpy() for column in columns])
    with no_half_file(path) as temporary:
        Image.fromarray(sheet).save(temporary, format="PNG")


def grid(columns: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """The sheet that `write_grid` writes, uint8 [height, width, 3], white between the pictures."""
    num, side = columns[0].shape[:2]
    times = max(1, -(-SMALLEST // side))
    step = side * times + GAP
    sheet = np.full((num * step - GAP, len(columns) * step - GAP, 3), 255, np.uint8)
    for x, column in enumerate(columns):
        for y, picture in enumerate(column):
            enlarged = picture.repeat(times, axis=0).repeat(times, axis=1)
            sheet[y * step : y * step + side * times, x * step : x * step + side * times] = enlarged
    return sheet
