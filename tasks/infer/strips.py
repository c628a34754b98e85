"""What every writer of prints shares: rows come in any portions, and are compressed in strips of equal height."""

import struct
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Protocol, Self

import numpy as np
from PIL import ImageCms

from tasks.infer.source import Pixels, Samples

STRIP = 64  # rows that are compressed together; a multiple of 8, for JPEG's blocks


def _srgb() -> bytes:
    """The sRGB profile, without the second in which it was made: the same print is the same file."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[:24] + struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + profile[36:]


SRGB = _srgb()


@dataclass(frozen=True)
class Tags:
    """How the pixels are written, and what beside them."""

    dpi: float
    icc: bytes = SRGB
    exif: bytes = b""  # as exif_of gives it; b"" for none
    depth: int = 8  # bits a sample, or 16
    alpha: bool = False  # whether rows have transparency as their fourth channel

    @property
    def channels(self) -> int:
        """Samples a pixel."""
        return 4 if self.alpha else 3


class Sink(Protocol):
    """Takes the rows of a print from top to bottom, [h, width, channels] in any portions; whole once it is left."""

    def __enter__(self) -> Self: ...
    def write(self, rows: Samples) -> None: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Strips:
    """Turns rows in any portions into strips of STRIP rows, the last one shorter."""

    takes_all: ClassVar[bool] = False  # 16 bits, and transparency; others are given `plain` rows

    def __init__(self, path: Path, height: int, width: int, tags: Tags) -> None:
        self._path, self._height, self._width, self._tags = path, height, width, tags
        self._waiting: list[Samples] = []
        self._rows = 0  # that came
        self._pending = 0  # of those, rows in no strip yet

    def __enter__(self) -> Self:
        self._file = self._path.open("wb")
        self._begin()
        return self

    def write(self, rows: Samples) -> None:
        """Append `rows` [h, width, channels]."""
        self._waiting.append(rows)
        self._pending += len(rows)
        self._rows += len(rows)
        if self._pending >= STRIP or self._rows == self._height:
            waiting = self._waiting[0] if len(self._waiting) == 1 else np.concatenate(self._waiting)
            whole = len(waiting) if self._rows == self._height else len(waiting) // STRIP * STRIP
            for first in range(0, whole, STRIP):
                self._strip(waiting[first : min(first + STRIP, whole)])
            self._pending = len(waiting) - whole
            self._waiting = [waiting[whole:]] if self._pending else []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                assert self._rows == self._height
                self._end()
        finally:
            self._file.close()

    def _begin(self) -> None: ...
    def _strip(self, rows: Samples) -> None: ...
    def _end(self) -> None: ...


def plain(rows: Samples) -> Pixels:
    """Rows as 8-bit RGB, what is transparent laid on white: for formats that hold no more."""
    if rows.dtype == np.uint16:
        rows = ((rows.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if rows.shape[2] == 4:
        share = rows[..., 3:].astype(np.uint16)
        rows = ((rows[..., :3] * share + 255 * (255 - share) + 127) // 255).astype(np.uint8)
    return rows
