"""TIFF and BigTIFF written row by row: 8 or 16 bits, transparency, resolution, profile and EXIF."""

import struct
import zlib
from collections.abc import Sequence
from typing import ClassVar

from tasks.infer.exif import Entry, entries_of
from tasks.infer.source import Samples
from tasks.infer.strips import STRIP, Strips

SHORT, LONG, RATIONAL, UNDEFINED, LONG8 = 3, 4, 5, 7, 16  # kinds of values


class Tiff(Strips):
    """TIFF 6.0, or BigTIFF where 4 GiB might not hold it: RGB strips, horizontal differences, deflate."""

    takes_all: ClassVar[bool] = True

    def _begin(self) -> None:
        size = self._height * self._width * self._tags.channels * self._tags.depth // 8
        self._big = size * 1.01 + 2**20 > 2**32
        self._places: list[int] = []
        self._sizes: list[int] = []
        # The first directory's place is filled in at the end.
        self._file.write(
            struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0) if self._big else struct.pack("<2sHI", b"II", 42, 0)
        )

    def _strip(self, rows: Samples) -> None:
        flat = rows.astype(rows.dtype.newbyteorder("<"))
        flat[:, 1:] -= rows[:, :-1]
        data = zlib.compress(flat.data, 1)
        self._places.append(self._file.tell())
        self._sizes.append(len(data))
        self._file.write(data + b"\0" * (len(data) % 2))

    def _end(self) -> None:
        tags, num = self._tags, len(self._places)
        resolution = struct.pack("<II", round(tags.dpi * 1000), 1000)
        entries = [
            Entry(256, LONG, 1, struct.pack("<I", self._width)),
            Entry(257, LONG, 1, struct.pack("<I", self._height)),
            Entry(258, SHORT, tags.channels, struct.pack("<H", tags.depth) * tags.channels),
            Entry(259, SHORT, 1, struct.pack("<H", 8)),  # deflate
            Entry(262, SHORT, 1, struct.pack("<H", 2)),  # RGB
            Entry(273, self._pointer, num, self._pointers(self._places)),
            Entry(277, SHORT, 1, struct.pack("<H", tags.channels)),
            Entry(278, LONG, 1, struct.pack("<I", STRIP)),
            Entry(279, self._pointer, num, self._pointers(self._sizes)),
            Entry(282, RATIONAL, 1, resolution),
            Entry(283, RATIONAL, 1, resolution),
            Entry(296, SHORT, 1, struct.pack("<H", 2)),  # by the inch
            Entry(317, SHORT, 1, struct.pack("<H", 2)),  # horizontal differences
            Entry(34675, UNDEFINED, len(tags.icc), tags.icc),
        ]
        if tags.alpha:
            entries.append(Entry(338, SHORT, 1, struct.pack("<H", 2)))  # colours are not multiplied by it
        directory = self._directory([*entries, *entries_of(tags.exif)])
        self._file.seek(8 if self._big else 4)
        self._file.write(self._pointers([directory]))

    @property
    def _pointer(self) -> int:
        return LONG8 if self._big else LONG

    def _pointers(self, places: Sequence[int]) -> bytes:
        return struct.pack(f"<{len(places)}{'Q' if self._big else 'I'}", *places)

    def _directory(self, entries: Sequence[Entry]) -> int:
        """Write a directory, those below it and long values before it; returns its place."""
        room = 8 if self._big else 4  # bytes of a value that stand in its entry; longer ones stand before
        lines: list[bytes] = []
        for entry in sorted(entries, key=lambda entry: entry.tag):
            kind, count, value = entry.kind, entry.count, entry.value
            if entry.below:
                kind, count, value = self._pointer, 1, self._pointers([self._directory(entry.below)])
            elif len(value) > room:
                place = self._file.tell()
                self._file.write(value + b"\0" * (len(value) % 2))
                value = self._pointers([place])
            head = struct.pack("<HHQ" if self._big else "<HHI", entry.tag, kind, count)
            lines.append(head + value.ljust(room, b"\0"))
        directory = self._file.tell()
        self._file.write(struct.pack("<Q" if self._big else "<H", len(lines)) + b"".join(lines) + b"\0" * room)
        return directory
