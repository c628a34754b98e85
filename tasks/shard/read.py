"""Pictures out of shards, by row, as uint8; everything that can be wrong with the files is found before training.

Reads are positional reads into memory of ours, never a memory map: a file that shrinks under a map kills the process
without a word, and under a read it is a sentence.
"""

import os
import resource
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from tasks.errors import BarenError, ShardError
from tasks.files import SCRATCH, fingerprint, read_json, write_json
from tasks.progress import Progress
from tasks.rows import ITEMS, Split
from tasks.shard.items import Items
from tasks.shard.layout import (
    CHANNELS,
    CURE,
    PAGE,
    Index,
    ShardFile,
    check_hash,
    check_header,
    open_to_read,
    read_index,
)

SPARE = 512  # files that a training may open beside a set's
Verify = Literal["remembered", "always", "header"]


class ShardSet:
    """The pictures of one picture set: uint8 [side, side, 3], RGB, in rows 0 to num_items - 1.

    `verify` says how far the files are trusted. Sizes, headers, dtype and shape are always checked. "remembered" hashes
    each file once and not again while its size, time and inode stay the same; "always" hashes it now; "header" never.
    Raises ShardError, naming the file and the cure.
    """

    def __init__(self, folder: Path, *, verify: Verify = "remembered", progress: Progress | None = None) -> None:
        self.folder = folder
        self.index = read_index(folder)
        self.items = Items(folder / ITEMS, self.index)
        self._descriptors: list[int] = []
        self._close = weakref.finalize(self, _close_all, self._descriptors)
        _allow(len(self.index.shards))
        for shard in self.index.shards:
            self._descriptors.append(open_to_read(folder / shard.file))
            check_header(folder / shard.file, self._descriptors[-1], shard, self.index.side)
        if verify != "header":
            _verify(folder, self.index, again=verify == "always", progress=progress or Progress())

    @property
    def name(self) -> str:
        """The picture set's name."""
        return self.index.picture_set

    @property
    def side(self) -> int:
        """The pictures' height and width in pixels."""
        return self.index.side

    @property
    def num_items(self) -> int:
        """How many rows there are, dropped ones included."""
        return self.index.num_items

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change when a pixel, a row or its split changes."""
        return self.index.fingerprint

    def rows(self, split: Split) -> NDArray[np.int64]:
        """The rows of a split in ledger order, without the dropped ones, int64."""
        chosen = self.items.held_out == (split == "held_out")
        chosen[list(self.index.dropped)] = False
        return np.flatnonzero(chosen)

    def read(self, rows: Sequence[int] | NDArray[np.int64]) -> NDArray[np.uint8]:
        """The pictures of `rows`, uint8 [n, side, side, 3], in a new array; ShardError where a file ends too soon."""
        pictures = np.empty((len(rows), self.side, self.side, CHANNELS), dtype=np.uint8)
        self.read_into(rows, slots(pictures))
        return pictures

    def read_into(self, rows: Sequence[int] | NDArray[np.int64], into: Sequence[memoryview]) -> None:
        """Read the pictures of `rows` into buffers of side * side * 3 bytes each, as `slots` gives them."""
        wanted = self.index.item_bytes
        for descriptor, offset, slot in zip(*self._found(rows), into, strict=True):
            if os.preadv(descriptor, (slot,), offset) != wanted:
                self._read_slowly(descriptor, offset, slot)

    def expect(self, rows: Sequence[int] | NDArray[np.int64]) -> None:
        """Tell the kernel which rows are read next, so that it can fetch them from a slow disk meanwhile."""
        length = self.index.item_bytes
        for descriptor, offset in zip(*self._found(rows), strict=True):
            os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_WILLNEED)

    def close(self) -> None:
        """Close the files; the set cannot be read afterwards."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _found(self, rows: Sequence[int] | NDArray[np.int64]) -> tuple[list[int], list[int]]:
        """The open file of each row, and where in it the row's pixels begin."""
        asked = np.asarray(rows, dtype=np.int64)
        if len(asked) and not (asked.min() >= 0 and asked.max() < self.num_items):
            raise IndexError(f"{self.folder} has rows 0 to {self.num_items - 1}; asked for {asked.min()}-{asked.max()}")
        shards, places = np.divmod(asked, self.index.per_shard)
        offsets = places * self.index.item_bytes + PAGE
        return [self._descriptors[shard] for shard in shards.tolist()], offsets.tolist()

    def _read_slowly(self, descriptor: int, offset: int, slot: memoryview) -> None:
        """A read that came back short may go on where it stopped, unless the file ends there."""
        done = 0
        while done < len(slot):
            got = os.preadv(descriptor, (slot[done:],), offset + done)
            if got == 0:
                path = self.folder / self.index.shards[self._descriptors.index(descriptor)].file
                raise ShardError(f"{path} has become shorter while it was being read; {CURE}")
            done += got


def slots(pictures: NDArray[np.uint8]) -> list[memoryview]:
    """One writable buffer for each picture of a contiguous uint8 [n, side, side, 3]."""
    return [memoryview(picture).cast("B") for picture in pictures]


def _allow(num_files: int) -> None:
    """Have the system let this process open so many files more, as far as it will; of itself it allows 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = sum(1 for _ in Path("/proc/self/fd").iterdir()) + num_files + SPARE
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _close_all(descriptors: list[int]) -> None:
    while descriptors:
        os.close(descriptors.pop())


def _verify(folder: Path, index: Index, *, again: bool, progress: Progress) -> None:
    """Compare each file's SHA-256 with the index, and remember the files found sound outside the set's folder."""
    note = SCRATCH / "verified" / f"{index.picture_set}-{fingerprint(str(folder.absolute()))}.json"
    known = {} if again else _remembered(note)
    stamps = {shard.file: _stamp(folder / shard.file, shard) for shard in index.shards}
    doubtful = [shard for shard in index.shards if known.get(shard.file) != stamps[shard.file]]
    for shard in progress.track(doubtful, f"verifying {folder}", unit="shards"):
        check_hash(folder / shard.file, shard)
    if doubtful:
        write_json(note, stamps)


def _remembered(note: Path) -> dict[str, list[int | str]]:
    try:
        known = read_json(note)
    except BarenError:
        return {}
    return known if isinstance(known, dict) else {}


def _stamp(path: Path, shard: ShardFile) -> list[int | str]:
    """What changes when a file is written again: size, time, inode, and the hash it is to have."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ino, shard.sha256]
