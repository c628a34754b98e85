"""Files a print is written to row by row, so that no print need ever lie in memory whole: PNG, TIFF and JPEG."""

import io
import struct
import zlib
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from tasks.errors import ParamsError
from tasks.infer.source import Samples
from tasks.infer.strips import SRGB, STRIP, Strips
from tasks.infer.tiff import Tiff

JPEG_SIDE = 65_500  # px: libjpeg's bound


class Png(Strips):
    """PNG (ISO 15948); the filter is Up, the compression zlib's fastest."""

    takes_all: ClassVar[bool] = True

    def _begin(self) -> None:
        self._deflate = zlib.compressobj(level=1)
        tags = self._tags
        self._above = np.zeros((1, self._width * tags.channels * tags.depth // 8), np.uint8)
        self._file.write(b"\x89PNG\r\n\x1a\n")
        self._chunk(
            b"IHDR", struct.pack(">IIBBBBB", self._width, self._height, tags.depth, 6 if tags.alpha else 2, 0, 0, 0)
        )
        self._chunk(b"iCCP", (b"sRGB" if tags.icc == SRGB else b"profile") + b"\0\0" + zlib.compress(tags.icc))
        dots = round(tags.dpi / 0.0254)  # pHYs counts by the metre
        self._chunk(b"pHYs", struct.pack(">IIB", dots, dots, 1))
        if tags.exif:
            self._chunk(b"eXIf", tags.exif.removeprefix(b"Exif\0\0"))

    def _strip(self, rows: Samples) -> None:
        flat = rows.astype(rows.dtype.newbyteorder(">"), copy=False).reshape(len(rows), -1).view(np.uint8)
        lines = np.empty((len(rows), flat.shape[1] + 1), np.uint8)
        lines[:, 0] = 2
        np.subtract(flat, np.concatenate([self._above, flat[:-1]]), out=lines[:, 1:])  # bytes wrap, as Up wants
        self._above = flat[-1:].copy()
        self._data(self._deflate.compress(lines.data))

    def _end(self) -> None:
        self._data(self._deflate.flush())
        self._chunk(b"IEND", b"")

    def _data(self, compressed: bytes) -> None:
        if compressed:
            self._chunk(b"IDAT", compressed)

    def _chunk(self, kind: bytes, data: bytes) -> None:
        self._file.write(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))
        )


class Jpeg(Strips):
    """JPEG: every strip is compressed by itself, and the scans are joined by restart markers (ISO 10918-1, B.2.4.4).

    The result decodes to what Pillow's file of the whole picture decodes to. Without chroma subsampling.
    """

    quality = 95

    def _begin(self) -> None:
        self._count = 0

    def _strip(self, rows: Samples) -> None:
        buffer = io.BytesIO()
        Image.fromarray(rows).save(
            buffer, "JPEG", quality=self.quality, subsampling="4:4:4", dpi=(self._tags.dpi, self._tags.dpi),
            icc_profile=self._tags.icc, exif=self._tags.exif, restart_marker_rows=STRIP // 8,
        )  # fmt: skip
        head, scan = _split(buffer.getvalue())
        if self._count == 0:
            frame = _marker(head, 0xC0)
            self._file.write(head[: frame + 5] + struct.pack(">H", self._height) + head[frame + 7 :])
        else:
            self._file.write(bytes((0xFF, 0xD0 + (self._count - 1) % 8)))
        self._file.write(scan)
        self._count += 1

    def _end(self) -> None:
        self._file.write(b"\xff\xd9")


def _split(data: bytes) -> tuple[bytes, bytes]:
    """A JPEG's header, up to its scan, and the scan without the end marker."""
    place = _marker(data, 0xDA)
    start = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return data[:start], data[start:-2]


def _marker(data: bytes, kind: int) -> int:
    """Where a segment begins."""
    place = 2
    while data[place + 1] != kind:
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return place


SINKS: dict[str, type[Strips]] = {".png": Png, ".tif": Tiff, ".tiff": Tiff, ".jpg": Jpeg, ".jpeg": Jpeg}


def takes_all(target: Path) -> bool:
    """Whether the format that `target` ends like holds 16 bits and transparency."""
    kind = SINKS.get(target.suffix.lower())
    return kind is not None and kind.takes_all


def check_format(target: Path, height: int, width: int) -> None:
    """Raise ParamsError unless `target` ends like a format we write that holds so many pixels."""
    kind = target.suffix.lower()
    if kind not in SINKS and kind != ".dzi":
        raise ParamsError(f"{target.name}: prints are written as {', '.join(SINKS)} or .dzi; choose one of them")
    if kind in (".jpg", ".jpeg") and max(height, width) > JPEG_SIDE:
        raise ParamsError(
            f"{target.name}: a JPEG holds at most {JPEG_SIDE:,} px a side and the print has {width:,} x {height:,}; "
            "write it as .tif or .png"
        )
