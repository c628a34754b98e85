"""Files a print is written to row by row, so that no print need ever lie in memory whole."""

import struct
import zlib
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from PIL import ImageCms

from tasks.infer.paint import Pixels

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


class Sink(Protocol):
    """Takes the rows of a print from top to bottom."""

    def __enter__(self) -> Self: ...
    def write(self, rows: Pixels) -> None: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Png:
    """A PNG file, 8-bit RGB, with resolution and profile; the filter is Up, the compression zlib's fastest."""

    def __init__(self, path: Path, height: int, width: int, *, dpi: float, icc: bytes = SRGB) -> None:
        self._path, self._height, self._width, self._dpi, self._icc = path, height, width, dpi, icc

    def __enter__(self) -> Self:
        self._file = self._path.open("wb")
        self._deflate = zlib.compressobj(level=1)
        self._above = np.zeros((1, self._width * 3), np.uint8)
        self._rows = 0
        self._file.write(b"\x89PNG\r\n\x1a\n")
        self._chunk(b"IHDR", struct.pack(">IIBBBBB", self._width, self._height, 8, 2, 0, 0, 0))
        self._chunk(b"iCCP", b"sRGB\0\0" + zlib.compress(self._icc))
        dots = round(self._dpi / 0.0254)  # pHYs counts by the metre
        self._chunk(b"pHYs", struct.pack(">IIB", dots, dots, 1))
        return self

    def write(self, rows: Pixels) -> None:
        """Append `rows` [h, width, 3]."""
        flat = rows.reshape(len(rows), -1)
        up = flat - np.concatenate([self._above, flat[:-1]])  # bytes wrap, as the filter wants
        kind = np.full((len(rows), 1), 2, np.uint8)
        self._data(self._deflate.compress(np.concatenate([kind, up], axis=1).tobytes()))
        self._above = flat[-1:].copy()
        self._rows += len(rows)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                assert self._rows == self._height
                self._data(self._deflate.flush())
                self._chunk(b"IEND", b"")
        finally:
            self._file.close()

    def _data(self, compressed: bytes) -> None:
        if compressed:
            self._chunk(b"IDAT", compressed)

    def _chunk(self, kind: bytes, data: bytes) -> None:
        self._file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
