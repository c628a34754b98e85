"""A painting under way: raw rows in a file, filled tile by tile, that survive a kill and are read as they appear."""

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from tasks.errors import BarenError
from tasks.files import read_json, write_json
from tasks.infer.source import Samples


class Canvas:
    """height x width px of RGB, `depth` (8 or 16) bits a sample, in `folder`. `key` stands for all that decides them.

    Rows are finished in any order; those from the top down to the first gap are `rows_done` and are kept for a later
    run with the same key. Several threads may put tiles and read rows.
    """

    def __init__(self, folder: Path, height: int, width: int, key: str, depth: int = 8) -> None:
        self.height, self.width, self.depth = height, width, depth
        self._dtype = np.dtype(np.uint8 if depth == 8 else np.uint16)
        self._pixel = 3 * self._dtype.itemsize  # bytes
        self.folder, self._key = folder, key
        self._changed = threading.Condition()
        self._finished: dict[int, int] = {}  # start -> stop of bands beyond the first gap
        self._error: BaseException | None = None
        self._path, self._state = folder / "painting.rgb", folder / "state.json"
        self._cut, self.rows_done = self._read_state()

    @property
    def room(self) -> int:
        """The bytes it may yet take on the disk."""
        return self.height * self.width * self._pixel - (self._path.stat().st_size if self.rows_done else 0)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def put(self, top: int, left: int, pixels: Samples) -> None:
        """Lay `pixels` [h, w, 3] with their corner at (top, left); what lies beyond the canvas is dropped."""
        pixels = pixels[: max(self.height - top, 0), : max(self.width - left, 0)]
        if not pixels.size:
            return
        if pixels.shape[1] == self.width:
            _write(self._file, np.ascontiguousarray(pixels), top * self.width * self._pixel)
            return
        for number, line in enumerate(np.ascontiguousarray(pixels), top):
            _write(self._file, line, (number * self.width + left) * self._pixel)

    def finish(self, start: int, stop: int) -> None:
        """Rows [start, stop) are painted; what is contiguous from the top is saved and shown to readers."""
        with self._changed:
            self._finished[start] = stop
            rows = self.rows_done
            # A plan begun anew with other tiles may overlap what is done; each band may reach the next one.
            while reached := [begin for begin in self._finished if begin <= rows]:
                rows = max(rows, *(self._finished.pop(begin) for begin in reached))
            if rows > self.rows_done:
                os.fdatasync(self._file)
                self.rows_done = rows
                write_json(self._state, {"key": self._key, "cut": self._cut, "rows": rows})
                self._changed.notify_all()

    def keep_only(self, cut: str) -> None:
        """Forget what an earlier run painted unless it was cut likewise; of exact cuts any may go on from any."""
        with self._changed:
            if cut != self._cut:
                self.rows_done = 0
                self._state.unlink(missing_ok=True)
            self._cut = cut

    def _read_state(self) -> tuple[str, int]:
        try:
            found = read_json(self._state)
            if self._path.exists() and found["key"] == self._key:
                return str(found["cut"]), int(found["rows"])
        except (BarenError, KeyError):  # nothing was begun, or it was torn
            pass
        return "", 0

    def fail(self, error: BaseException) -> None:
        """Wake those who wait for rows that will not come; they raise `error`."""
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def rows(self, start: int, stop: int) -> Samples:
        """Rows [start, stop) as [h, width, 3], once they are painted."""
        with self._changed:
            self._changed.wait_for(lambda: self._error or self.rows_done >= min(stop, self.height))
            if self._error and self.rows_done < min(stop, self.height):
                raise self._error
        size = self.width * self._pixel
        data = os.pread(self._file, (stop - start) * size, start * size)
        return np.frombuffer(data, self._dtype).reshape(stop - start, self.width, 3)

    def area(self, rows: tuple[int, int], columns: tuple[int, int]) -> Samples:
        """The part [h, w, 3] of the painting between rows and columns [start, stop), once all of it is there."""
        whole = np.memmap(self._path, self._dtype, "r", shape=(self.height, self.width, 3))
        return np.array(whole[slice(*rows), slice(*columns)])


def _write(file: int, data: Samples, place: int) -> None:
    view = memoryview(data.data).cast("B")
    while view:
        written = os.pwrite(file, view, place)
        view, place = view[written:], place + written
