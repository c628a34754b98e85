"""What each row of a set shows, read when it is asked for: a long set costs little memory and opens at once."""

import json
import os
import weakref
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from tasks.errors import ShardError
from tasks.rows import Packed, packed_from
from tasks.shard.layout import CURE, Index, open_to_read

# A line is canonical JSON with sorted keys, so it ends with the row's split; the hash says that the line is ours.
HELD_OUT = b'"split":"held_out"}\n'


class Items(Sequence[Packed]):
    """The rows of the items.jsonl at `path`; `held_out` is bool [num_items].

    Raises ShardError where the file is missing or is not the one its index was written with.
    """

    def __init__(self, path: Path, index: Index) -> None:
        self._path = path
        self._descriptor = open_to_read(path)
        weakref.finalize(self, os.close, self._descriptor)
        digest = sha256()
        lengths: list[int] = []
        held_out: list[bool] = []
        with path.open("rb") as file:
            for line in file:
                digest.update(line)
                lengths.append(len(line))
                held_out.append(line.endswith(HELD_OUT))
        if digest.hexdigest() != index.items_sha256:
            raise ShardError(f"{path} is not the file its index was written with; {CURE}")
        if len(lengths) != index.num_items:
            raise ShardError(f"{path} has {len(lengths)} rows and its index says {index.num_items}; {CURE}")
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
        line = os.pread(self._descriptor, end - start, start)
        if len(line) < end - start:
            raise ShardError(f"{self._path} has become shorter while it was being read; {CURE}")
        return packed_from(json.loads(line), self._path)
