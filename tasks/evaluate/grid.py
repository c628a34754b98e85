"""Rows of pictures laid out as one PNG."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from tasks.files import no_half_file

GAP = 4  # pixels between two pictures
SMALLEST = 96  # pixels; smaller pictures are enlarged by a whole number, to be seen on a screen


def write_grid(path: Path, rows: Mapping[str, Tensor]) -> None:
    """One row for each of `rows`, uint8 [N, side, side, 3] of one side; picture i of all stands in column i.

    The file says which row is which, in its field Description.
    """
    sheet = grid([row.numpy() for row in rows.values()])
    told = PngInfo()
    told.add_text("Description", "From above: " + ", ".join(rows))
    with no_half_file(path) as temporary:
        Image.fromarray(sheet).save(temporary, format="PNG", pnginfo=told)


def grid(rows: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """The sheet that `write_grid` writes, uint8 [height, width, 3], white between the pictures."""
    num, side = max(len(row) for row in rows), rows[0].shape[1]
    times = max(1, -(-SMALLEST // side))
    step = side * times + GAP
    sheet = np.full((len(rows) * step - GAP, num * step - GAP, 3), 255, np.uint8)
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            enlarged = picture.repeat(times, axis=0).repeat(times, axis=1)
            sheet[y * step : y * step + side * times, x * step : x * step + side * times] = enlarged
    return sheet
