"""The format of a picture set's shards: safetensors files of uint8 [n, side, side, 3], and the index that names them.

    data/3-shards/SET/
      index.json                what there is, with the SHA-256 of everything else
      items/                    line i tells of row i: provenance, crop, split (tasks/rows.py)
      SET-00000.safetensors     one tensor "image"; the header is padded so that pixels start on a page boundary

A safetensors file carries no checksum, so a flipped bit passes for a pixel there; the index holds what is missing.
Rows are cut into files in ledger order and a full file never changes again, so new pictures cost new files only.
"""

import errno
import json
import os
import struct
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from tasks.errors import BarenError, ShardError
from tasks.files import canonical_json, fingerprint, read_json, sha256_file
from tasks.rows import Packed, Prepared

FORMAT = "baren-shards/1"
INDEX = "index.json"
TENSOR = "image"
CHANNELS = 3
PAGE = 4096  # bytes
TARGET = 64 * 2**20  # bytes a file should not exceed
FEWEST = 64  # pictures a file should hold, however large they are
TOO_MANY = (errno.EMFILE, errno.ENFILE)  # open files, of this process or of the machine
CURE = "restore it (dvc checkout), or remove it and run the shard stage again (dvc repro)"


@dataclass(frozen=True)
class ShardFile:
    """One file of a set: rows `per_shard * k` and on."""

    file: str
    num_items: int
    bytes: int
    data_offset: int  # where the first pixel stands
    contents: str  # SHA-256 of what the pixels are made from: ids, originals, crops
    sha256: str  # of the whole file


@dataclass(frozen=True)
class Index:
    """What index.json says."""

    picture_set: str
    side: int  # pixels
    per_shard: int
    num_items: int
    dropped: tuple[int, ...]  # rows no longer wanted, whose pixels stay until the set is compacted
    items_sha256: str  # of all rows
    decoder: str  # stands for the code that made pixels of the originals
    shards: tuple[ShardFile, ...]

    @property
    def item_bytes(self) -> int:
        """The bytes of one picture."""
        return item_bytes(self.side)

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change when a pixel, a row, its split or its being dropped changes."""
        return fingerprint(self.items_sha256, list(self.dropped), [shard.sha256 for shard in self.shards])

    def as_json(self) -> dict[str, Any]:
        """The index as JSON can hold it."""
        return {
            "format": FORMAT,
            "dtype": "uint8",
            "layout": "NHWC",
            "item_shape": [self.side, self.side, CHANNELS],
            "picture_set": self.picture_set,
            "per_shard": self.per_shard,
            "num_items": self.num_items,
            "dropped": list(self.dropped),
            "items_sha256": self.items_sha256,
            "decoder": self.decoder,
            "shards": [asdict(shard) for shard in self.shards],
        }


def item_bytes(side: int) -> int:
    """The bytes of one picture of `side` pixels."""
    return side * side * CHANNELS


def default_per_shard(side: int) -> int:
    """The largest power of two of pictures that fits the target size: 256 at 256 px, 4,096 at 64 px."""
    return max(FEWEST, 1 << max(0, (TARGET // item_bytes(side)).bit_length() - 1))


def shard_name(picture_set: str, number: int) -> str:
    """The file that holds rows `per_shard * number` and on."""
    return f"{picture_set}-{number:05}.safetensors"


def contents_digest(rows: Iterable[Prepared | Packed]) -> str:
    """SHA-256 of what a shard's pixels are made from; equal digests mean equal pixels, given the same decoder."""
    digest = sha256()
    for row in rows:
        assert row.crop is not None
        digest.update(canonical_json([row.id, row.sha256, list(asdict(row.crop).values())]).encode() + b"\n")
    return digest.hexdigest()


def header(num_items: int, side: int, contents: str) -> bytes:
    """The first bytes of a shard file, a whole page: everything before the pixels."""
    text = canonical_json(
        {
            "__metadata__": {"format": FORMAT, "layout": "NHWC", "contents": contents},
            TENSOR: {
                "dtype": "U8",
                "shape": [num_items, side, side, CHANNELS],
                "data_offsets": [0, num_items * item_bytes(side)],
            },
        }
    ).encode()
    assert len(text) <= PAGE - 8
    return struct.pack("<Q", PAGE - 8) + text.ljust(PAGE - 8)


def open_to_read(path: Path) -> int:
    """A descriptor for positional reads; ShardError where the file cannot be opened."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        cure = "let a process open more at once (ulimit -n)" if error.errno in TOO_MANY else CURE
        raise ShardError(f"{path} cannot be opened ({error.strerror}); {cure}") from error


def check_header(path: Path, descriptor: int, shard: ShardFile, side: int) -> None:
    """Raise ShardError unless an open file has the size, header, dtype and shape its index gives it."""
    size = os.fstat(descriptor).st_size
    if size != shard.bytes:
        raise ShardError(f"{path} has {size:,} bytes and its index says {shard.bytes:,}; {CURE}")
    found = os.pread(descriptor, shard.data_offset, 0)
    if found != header(shard.num_items, side, shard.contents):
        raise ShardError(
            f"{path} has not the header its index calls for ({_told(found)}, wanted {shard.num_items} pictures of "
            f"{side} px); {CURE}"
        )


def check_file(path: Path, shard: ShardFile, side: int) -> None:
    """Raise ShardError unless the file is there and every byte of it is what its index says."""
    descriptor = open_to_read(path)
    try:
        check_header(path, descriptor, shard, side)
    finally:
        os.close(descriptor)
    check_hash(path, shard)


def check_hash(path: Path, shard: ShardFile) -> None:
    """Raise ShardError unless the file has the SHA-256 its index gives it."""
    if sha256_file(path) != shard.sha256:
        raise ShardError(f"{path} is damaged: its SHA-256 is not the one its index gives; {CURE}")


def read_index(folder: Path) -> Index:
    """The index of the shards in `folder`.

    Raises ShardError where it is missing, damaged, contradicts itself, or is of another format.
    """
    path = folder / INDEX
    try:
        raw = read_json(path)
    except BarenError as error:
        raise ShardError(str(error)) from error
    if not isinstance(raw, dict):
        raise ShardError(f"{path} holds no index of shards; {CURE}")
    _require(path, "format", raw.get("format"), FORMAT)
    _require(path, "layout", raw.get("layout"), "NHWC")
    _require(path, "dtype", raw.get("dtype"), "uint8")
    try:
        side = int(raw["item_shape"][0])
        index = Index(
            picture_set=str(raw["picture_set"]),
            side=side,
            per_shard=int(raw["per_shard"]),
            num_items=int(raw["num_items"]),
            dropped=tuple(int(row) for row in raw["dropped"]),
            items_sha256=str(raw["items_sha256"]),
            decoder=str(raw["decoder"]),
            shards=tuple(ShardFile(**shard) for shard in raw["shards"]),
        )
        consistent = raw["item_shape"] == [side, side, CHANNELS] and _consistent(index)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ShardError(f"{path} is damaged ({type(error).__name__}: {error}); {CURE}") from error
    if not consistent:
        raise ShardError(f"{path} contradicts itself: its files, sizes and {index.num_items} rows do not agree; {CURE}")
    return index


def _consistent(index: Index) -> bool:
    if index.side < 1 or index.per_shard < 1 or index.num_items != sum(shard.num_items for shard in index.shards):
        return False
    full = all(shard.num_items == index.per_shard for shard in index.shards[:-1])
    fits = all(
        shard.data_offset == PAGE
        and 0 < shard.num_items <= index.per_shard
        and shard.bytes == PAGE + shard.num_items * index.item_bytes
        and shard.file == shard_name(index.picture_set, number)
        for number, shard in enumerate(index.shards)
    )
    return full and fits and all(0 <= row < index.num_items for row in index.dropped)


def _require(path: Path, key: str, found: object, wanted: str) -> None:
    if found != wanted:
        raise ShardError(
            f"{path} has {key} {found!r} and this version reads {wanted!r}; run the shard stage again (dvc repro)"
        )


def _told(found: bytes) -> str:
    try:
        tensor = json.loads(found[8:])[TENSOR]
        return f"found dtype {tensor['dtype']}, shape {tensor['shape']}"
    except (ValueError, KeyError, TypeError):
        return "found none that can be read"
