"""What each row of a set shows, read when it is asked for: a long set costs little memory and opens at once."""

import json
import os
from bisect import bisect_right
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, overload

import numpy as np
from numpy.typing import NDArray

from tasks.errors import BarenError, ShardError
from tasks.rows import Packed, packed_from, row_files
from tasks.shard.layout import CURE, Index

# A line is canonical JSON with sorted keys, so it ends with the row's split; the hash says that the line is ours.
HELD_OUT = b'"split":"held_out"}\n'


class Items(Sequence[Packed]):
    """The rows in the folder `items`; `held_out` is bool [num_items].

    Raises ShardError where they are missing or are not the ones their index was written with.
    """

    def __init__(self, items: Path, index: Index) -> None:
        try:
            self._files = row_files(items)
        except BarenError as error:
            raise ShardError(f"{items} holds no rows; {CURE}") from error
        digest = sha256()
        lengths: list[int] = []
        held_out: list[bool] = []
        self._stamps: list[tuple[int, int, int]] = []  # of each file, when it was read
        begins: list[int] = []  # of each file, the bytes before it
        for path in self._files:
            begins.append(sum(stamp[0] for stamp in self._stamps))
            with path.open("rb") as file:
                self._stamps.append(_stamp(file))
                for line in file:
                    digest.update(line)
                    lengths.append(len(line))
                    held_out.append(line.endswith(HELD_OUT))
        if digest.hexdigest() != index.items_sha256:
            raise ShardError(f"{items} are not the rows their index was written with; {CURE}")
        if len(lengths) != index.num_items:
            raise ShardError(f"{items} has {len(lengths)} rows and its index says {index.num_items}; {CURE}")
        self._begins = begins
        self._ends: NDArray[np.int64] = np.cumsum([0, *lengths], dtype=np.int64)
        self.held_out: NDArray[np.bool_] = np.asarray(held_out, dtype=np.bool_)

    def __len__(self) -> int:
        return len(self.held_out)

    @overload
    def __getitem__(self, row: int) -> Packed: ...
    @overload
    def __getitem__(self, row: slice) -> list[Packed]: ...
    def __getitem__(self, row: int | slice) -> Packed | list[Packed]:
        if isinstance(row, slice):
            return [self[one] for one in range(*row.indices(len(self)))]
        row = range(len(self))[row]  # negative ones count from the end, as in a list
        start, end = self._ends[row : row + 2].tolist()
        number = bisect_right(self._begins, start) - 1
        path = self._files[number]
        try:  # no file is held open: a set that grew for years has more than a process may open
            with path.open("rb") as file:
                changed = _stamp(file) != self._stamps[number]
                file.seek(start - self._begins[number])
                line = file.read(end - start)
        except OSError:
            changed, line = True, b""
        if changed:
            raise ShardError(f"{path} has changed since its set was opened; run the stage again")
        return packed_from(json.loads(line), path)


def _stamp(file: BinaryIO) -> tuple[int, int, int]:
    """What changes when a file is written again: size, time, inode."""
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns, status.st_ino
