"""A pyramid of small tiles in the DeepZoom layout, made while the rows come, and the page to look at it with."""

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np

from tasks.files import canonical_json, write_text
from tasks.infer.source import Pixels

TILE = 256  # px a side; tiles do not overlap
JPEG = [cv2.IMWRITE_JPEG_QUALITY, 88, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
PAGE = Path(__file__).with_name("viewer.html")


class DeepZoom:
    """Writes `folder`/LEVEL/COLUMN_ROW.jpg; the last level is the print itself, each one before it half as large."""

    def __init__(self, folder: Path, height: int, width: int) -> None:
        self.levels: list[_Level] = []
        number = max(height - 1, width - 1, 0).bit_length()
        for level in range(number, -1, -1):
            self.levels.append(_Level(folder / str(level), height, width))
            height, width = -(-height // 2), -(-width // 2)

    def __enter__(self) -> Self:
        return self

    def write(self, rows: Pixels) -> None:
        """Append `rows` [h, width, 3]."""
        for level in self.levels:
            rows = level.write(rows)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            assert all(level.complete for level in self.levels)


class _Level:
    """One level: cuts its rows into tiles, and halves them for the level above."""

    def __init__(self, folder: Path, height: int, width: int) -> None:
        self._folder, self._height, self._width = folder, height, width
        folder.mkdir(parents=True)
        self._rows = self._written = 0
        self._band = np.empty((min(TILE, height), width, 3), np.uint8)
        self._odd: Pixels | None = None  # a row that waits for its neighbour

    @property
    def complete(self) -> bool:
        return self._rows == self._height

    def write(self, rows: Pixels) -> Pixels:
        """Take rows; returns those of the level above that they complete."""
        for first in range(0, len(rows), TILE):
            self._cut(rows[first : first + TILE])
        return self._halved(rows)

    def _cut(self, rows: Pixels) -> None:
        while len(rows):
            place = self._rows % TILE
            part, rows = rows[: TILE - place], rows[TILE - place :]
            self._band[place : place + len(part)] = part
            self._rows += len(part)
            if self._rows % TILE == 0 or self.complete:
                self._save(self._band[: place + len(part)])

    def _save(self, band: Pixels) -> None:
        for column in range(0, self._width, TILE):
            tile = cv2.cvtColor(band[:, column : column + TILE], cv2.COLOR_RGB2BGR)
            _, data = cv2.imencode(".jpg", tile, JPEG)
            (self._folder / f"{column // TILE}_{self._written}.jpg").write_bytes(data.tobytes())
        self._written += 1

    def _halved(self, rows: Pixels) -> Pixels:
        if self._odd is not None:
            rows = np.concatenate([self._odd, rows])
        self._odd = rows[-1:] if len(rows) % 2 and not self.complete else None
        even = rows[: len(rows) // 2 * 2]
        if len(rows) % 2 and self.complete:  # the last row of an odd height stands for both
            even = np.concatenate([rows, rows[-1:]])
        if self._width % 2:
            even = np.concatenate([even, even[:, -1:]], axis=1)
        if not len(even):
            return even[:, ::2]
        half = (even.shape[1] // 2, len(even) // 2)
        return np.asarray(cv2.resize(even, half, interpolation=cv2.INTER_AREA), np.uint8)


def write_dzi(path: Path, height: int, width: int) -> None:
    """The descriptor other viewers read (Deep Zoom, OpenSeadragon); its tiles lie in NAME_files beside it."""
    write_text(
        path,
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format="jpg" Overlap="0" TileSize="{TILE}">'
        f'<Size Height="{height}" Width="{width}"/></Image>\n',
    )


@dataclass(frozen=True)
class Placed:
    """A pyramid in `folder` of height x width px, and where it lies, in px of the print; 0 tall or wide: its size."""

    folder: str
    height: int
    width: int
    top: float = 0.0
    left: float = 0.0
    tall: float = 0.0
    wide: float = 0.0

    def told(self) -> dict[str, Any]:
        """What the page is told of it."""
        return {**vars(self), "tall": self.tall or self.height, "wide": self.wide or self.width}


def write_viewer(
    path: Path, title: str, words: str, after: Placed, before: Placed, lines: tuple[list[int], list[int]]
) -> None:
    """A page that shows the print `after`: pan, zoom, the photo `before` over it, the tiles' cuts.

    `words` describe the print; `lines` are the rows and columns at which tiles met, in pixels of the print. The page
    asks for nothing but the two pyramids beside it.
    """
    about = {
        "title": title, "words": words, "tile": TILE, "after": after.told(), "before": before.told(),
        "rows": lines[0], "columns": lines[1],
    }  # fmt: skip
    data = canonical_json(about).replace("<", "\\u003c")
    write_text(path, PAGE.read_text(encoding="utf-8").replace("/*PRINT*/null", data))
