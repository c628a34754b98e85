"""Files a print is written to row by row, so that no print need ever lie in memory whole: PNG, TIFF and JPEG."""

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from PIL import Image, ImageCms

from tasks.errors import ParamsError
from tasks.infer.source import Pixels

JPEG_SIDE = 65_500  # px: libjpeg's bound
STRIP = 64  # rows that are compressed together; a multiple of 8, for JPEG's blocks


def _srgb() -> bytes:
    """The sRGB profile, without the second in which it was made: the same print is the same file."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[:24] + struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + profile[36:]


SRGB = _srgb()


@dataclass(frozen=True)
class Tags:
    """What is written beside the pixels."""

    dpi: float
    icc: bytes = SRGB
    exif: bytes = b""  # as Pillow gives it, without orientation and thumbnail; "" for none


class Sink(Protocol):
    """Takes the rows of a print from top to bottom, uint8 [h, width, 3] in any portions; whole once it is left."""

    def __enter__(self) -> Self: ...
    def write(self, rows: Pixels) -> None: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Strips:
    """Turns rows in any portions into strips of STRIP rows, the last one shorter."""

    def __init__(self, path: Path, height: int, width: int, tags: Tags) -> None:
        self._path, self._height, self._width, self._tags = path, height, width, tags
        self._waiting: list[Pixels] = []
        self._rows = 0  # that came
        self._pending = 0  # of those, rows in no strip yet

    def __enter__(self) -> Self:
        self._file = self._path.open("wb")
        self._begin()
        return self

    def write(self, rows: Pixels) -> None:
        """Append `rows` [h, width, 3]."""
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
    def _strip(self, rows: Pixels) -> None: ...
    def _end(self) -> None: ...


class Png(Strips):
    """PNG (ISO 15948), 8-bit RGB; the filter is Up, the compression zlib's fastest."""

    def _begin(self) -> None:
        self._deflate = zlib.compressobj(level=1)
        self._above = np.zeros((1, self._width * 3), np.uint8)
        self._file.write(b"\x89PNG\r\n\x1a\n")
        self._chunk(b"IHDR", struct.pack(">IIBBBBB", self._width, self._height, 8, 2, 0, 0, 0))
        self._chunk(b"iCCP", b"sRGB\0\0" + zlib.compress(self._tags.icc))
        dots = round(self._tags.dpi / 0.0254)  # pHYs counts by the metre
        self._chunk(b"pHYs", struct.pack(">IIB", dots, dots, 1))
        if self._tags.exif:
            self._chunk(b"eXIf", self._tags.exif.removeprefix(b"Exif\0\0"))

    def _strip(self, rows: Pixels) -> None:
        flat = rows.reshape(len(rows), -1)
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


class Tiff(Strips):
    """TIFF 6.0, or BigTIFF where 4 GiB might not hold it: 8-bit RGB strips, horizontal differences, deflate."""

    def _begin(self) -> None:
        self._big = self._height * self._width * 3 * 1.01 + 2**20 > 2**32
        self._places: list[int] = []
        self._sizes: list[int] = []
        # The first directory's place is filled in at the end.
        self._file.write(
            struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0) if self._big else struct.pack("<2sHI", b"II", 42, 0)
        )

    def _strip(self, rows: Pixels) -> None:
        flat = rows.copy()
        flat[:, 1:] -= rows[:, :-1]
        data = zlib.compress(flat.data, 1)
        self._places.append(self._file.tell())
        self._sizes.append(len(data))
        self._file.write(data + b"\0" * (len(data) % 2))

    def _end(self) -> None:
        resolution = struct.pack("<II", round(self._tags.dpi * 1000), 1000)
        where = "Q" if self._big else "I"
        num = len(self._places)
        entries = [  # tag, type, count, value
            (256, 4, 1, struct.pack("<I", self._width)),
            (257, 4, 1, struct.pack("<I", self._height)),
            (258, 3, 3, struct.pack("<HHH", 8, 8, 8)),
            (259, 3, 1, struct.pack("<H", 8)),  # deflate
            (262, 3, 1, struct.pack("<H", 2)),  # RGB
            (273, 16 if self._big else 4, num, struct.pack(f"<{num}{where}", *self._places)),
            (277, 3, 1, struct.pack("<H", 3)),
            (278, 4, 1, struct.pack("<I", STRIP)),
            (279, 16 if self._big else 4, num, struct.pack(f"<{num}{where}", *self._sizes)),
            (282, 5, 1, resolution),
            (283, 5, 1, resolution),
            (296, 3, 1, struct.pack("<H", 2)),  # by the inch
            (317, 3, 1, struct.pack("<H", 2)),  # horizontal differences
            (34675, 7, len(self._tags.icc), self._tags.icc),
        ]
        self._directory(entries)

    def _directory(self, entries: list[tuple[int, int, int, bytes]]) -> None:
        room = 8 if self._big else 4  # bytes of a value that stand in its entry; longer ones stand before
        lines: list[bytes] = []
        for tag, kind, count, value in entries:
            if len(value) > room:
                place = self._file.tell()
                self._file.write(value + b"\0" * (len(value) % 2))
                value = struct.pack("<Q" if self._big else "<I", place)
            lines.append(struct.pack("<HHQ" if self._big else "<HHI", tag, kind, count) + value.ljust(room, b"\0"))
        directory = self._file.tell()
        self._file.write(struct.pack("<Q" if self._big else "<H", len(lines)) + b"".join(lines) + b"\0" * room)
        self._file.seek(8 if self._big else 4)
        self._file.write(struct.pack("<Q" if self._big else "<I", directory))


class Jpeg(Strips):
    """JPEG: every strip is compressed by itself, and the scans are joined by restart markers (ISO 10918-1, B.2.4.4).

    The result decodes to what Pillow's file of the whole picture decodes to. Without chroma subsampling.
    """

    quality = 95

    def _begin(self) -> None:
        self._count = 0

    def _strip(self, rows: Pixels) -> None:
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
