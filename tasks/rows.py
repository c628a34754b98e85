"""The rows that pass from step to step, one JSON line each: what was scraped, what was decided, what a shard holds.

data/1-raw/SET/items        Scraped    one line a candidate, in ledger order (batch, then id); only grows
data/2-prepared/SET/items   Prepared   one line a crop that is kept, or a picture that is not, in ledger order
data/3-shards/SET/items     Packed     line i, counted through, tells of row i of the set's tensor

Each is a folder with a file a batch, 00001.jsonl and on: what a night brings costs a cache the night's rows, not all.
"""

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, TypeVar

from tasks.errors import BarenError
from tasks.files import read_json_lines, write_json_lines

Split = Literal["train", "held_out"]
T = TypeVar("T")
WHITE = "#ffffff"
ITEMS = "items"  # the folder of rows, in the folder of its set


@dataclass(frozen=True)
class Origin:
    """Where a picture came from; carried to the print."""

    source: str  # the source's name: "flickr"
    page: str  # where a person can look at it
    url: str  # what was fetched
    title: str = ""
    author: str = ""
    date: str = ""
    licence: str = "unknown"
    licence_url: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scraped:
    """One candidate picture: fetched and kept, refused for good, or failed and worth another try.

    `id` is "SOURCE:KEY" and never changes. `query` is the fingerprint of the query that found it; prepare takes only
    rows of the present query. `group` names the original that variants share (by default the id itself): whole groups
    are held out. `file` is relative to the set's folder, None unless kept.
    """

    id: str
    batch: int
    query: str
    outcome: Literal["kept", "refused", "failed"]
    reason: str  # "" for kept
    origin: Origin
    group: str
    file: str | None = None
    sha256: str = ""
    bytes: int = 0
    width: int = 0
    height: int = 0
    format: str = ""  # "jpeg", "png", ... by the bytes, not by the name
    bound: int = 0  # of a refusal for its size, how many bytes or pixels were allowed; raised, it is asked for again


@dataclass(frozen=True)
class Crop:
    """A square to cut: a box in pixels of the upright picture, resized to `side` where it is not that size already.

    The box may reach beyond the picture, which is mirrored there, and may be turned about its centre.
    """

    left: int
    top: int
    width: int
    height: int
    side: int
    turn: float = 0.0  # degrees clockwise
    matte: str = WHITE  # the colour that shows where the picture is transparent; one for all crops of a picture


@dataclass(frozen=True)
class Prepared:
    """What was decided on one crop of one picture; `id` is the picture's id, with "#n" where it gives several crops."""

    id: str
    picture: str  # the id of the Scraped row
    batch: int
    outcome: Literal["kept", "refused"]
    reason: str  # "" for kept
    origin: Origin
    group: str
    sha256: str  # of the original file
    file: str | None = None  # relative to data/1-raw/SET
    crop: Crop | None = None
    detail: str = ""  # what a person asks next: the size that was too small, the picture it is a copy of
    measures: Mapping[str, float] = dataclasses.field(default_factory=dict[str, float])


@dataclass(frozen=True)
class Packed:
    """What row i of a set's tensor shows."""

    id: str
    picture: str
    batch: int
    split: Split
    origin: Origin
    group: str
    sha256: str
    file: str  # relative to data/1-raw/SET
    crop: Crop


def as_json(row: Scraped | Prepared | Packed) -> dict[str, Any]:
    """The row as JSON can hold it."""
    # Not dataclasses.asdict: it copies every value, and ledgers have 100,000 rows.
    known = {**vars(row), "origin": vars(row.origin)}
    if not known.get("bound", True):
        del known["bound"]  # most rows have none, and read as they did before there was one
    crop = known.get("crop")
    return known if crop is None else {**known, "crop": vars(crop)}


def write_rows(items: Path, rows: Iterable[Scraped | Prepared | Packed]) -> None:
    """Write rows in ledger order into the folder `items`, a file a batch; files of other batches stay as they are."""
    last = 0
    for batch, part in groupby(rows, key=lambda row: row.batch):
        assert batch > last, "rows are written batch by batch"
        write_json_lines(items / f"{batch:05}.jsonl", (as_json(row) for row in part))
        last = batch


def row_files(items: Path) -> list[Path]:
    """The files of the folder `items` in the order of their rows; BarenError where there are none."""
    files = sorted(items.glob("[0-9]*.jsonl"))
    if not files:
        raise BarenError(f"{items} holds no rows; run the stage that makes it (dvc repro)")
    return files


def sha256_rows(items: Path) -> str:
    """The SHA-256, in hex, of all rows as they lie in the folder `items`, one file behind the other."""
    digest = hashlib.sha256()
    for path in row_files(items):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def read_scraped(path: Path) -> Iterator[Scraped]:
    """The rows of data/1-raw/SET/items, or of one of its files."""
    for row in _rows(path):
        yield _made(Scraped, path, {**row, "origin": _origin(row, path)})


def read_prepared(path: Path) -> Iterator[Prepared]:
    """The rows of data/2-prepared/SET/items."""
    for row in _rows(path):
        crop = None if row.get("crop") is None else _made(Crop, path, row["crop"])
        yield _made(Prepared, path, {**row, "origin": _origin(row, path), "crop": crop})


def read_packed(path: Path) -> Iterator[Packed]:
    """The rows of data/3-shards/SET/items."""
    for row in _rows(path):
        yield packed_from(row, path)


def packed_from(row: Mapping[str, Any], path: Path) -> Packed:
    """One packed row out of its JSON; `path` is where it stood."""
    return _made(Packed, path, {**row, "origin": _origin(row, path), "crop": _made(Crop, path, row["crop"])})


def in_ledger_order(rows: Iterable[Scraped]) -> list[Scraped]:
    """By batch, then id: the one order from which shards are cut, so that what is added later stands later."""
    return sorted(rows, key=lambda row: (row.batch, row.id))


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    for file in [path] if path.is_file() else row_files(path):
        yield from read_json_lines(file)


def _origin(row: Mapping[str, Any], path: Path) -> Origin:
    origin: dict[str, Any] = row.get("origin") or {}
    return _made(Origin, path, {**origin, "tags": tuple(origin.get("tags", ()))})


def _made(kind: "type[T]", path: Path, values: Mapping[str, Any]) -> T:
    try:
        return kind(**values)
    except TypeError as error:
        raise BarenError(
            f"{path} holds a row of another version ({error}); run the stage that makes it again"
        ) from error
