"""Cut the pictures of a ledger and pack them into shards; only files whose contents changed are written.

The same ledger and originals give the same bytes. A run that is stopped keeps its finished files in .scratch, and the
next one goes on from there; the set's folder changes its contents at the end, at once.
"""

import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
import PIL
from numpy.typing import NDArray

from tasks import picture
from tasks.errors import BarenError, PictureRefused, ShardError
from tasks.files import (
    bring_back,
    fingerprint,
    no_half_file,
    no_half_folder,
    read_json,
    require_room,
    scratch_folder,
    sha256_file,
    write_json,
)
from tasks.limits import MOST_PIXELS, Limits
from tasks.progress import Progress
from tasks.rows import ITEMS, Crop, Packed, read_packed, read_prepared, sha256_rows, write_rows
from tasks.shard.layout import (
    INDEX,
    PAGE,
    Index,
    ShardFile,
    check_file,
    contents_digest,
    default_per_shard,
    header,
    item_bytes,
    read_index,
    shard_name,
)
from tasks.shard.plan import Plan, plan
from tasks.shard.settings import Shard

# Which files are fit is prepare's decision, and it stands in the ledger: nothing is refused here a second time.
ANY = Limits(max_bytes=2**40, max_pixels=MOST_PIXELS, min_side=1, max_aspect=MOST_PIXELS)
WRITE_AT_ONCE = 2**22  # bytes; what is written in large pieces lies in large pages, and is read back a fifth faster
AHEAD = 8  # originals being decoded while one is packed

Pixels = NDArray[np.uint8]
Load = Callable[[Sequence[Packed]], Iterator[Pixels]]  # rows to their pictures, uint8 [side, side, 3], in order


@dataclass(frozen=True)
class Standing:
    """The set as an earlier run left it, every file found intact."""

    index: Index
    rows: tuple[Packed, ...]


def build(
    *,
    picture_set: str,
    raw: Path,
    prepared: Path,
    out: Path,
    settings: Shard,
    executor: Executor,
    progress: Progress,
) -> Index:
    """Pack the ledger's kept crops of the originals in `raw` into `out`; `executor` decodes.

    Raises ShardError where there is nothing to pack or an original is not what the ledger says, NoRoom, Stopped.
    """
    ledger = prepared / ITEMS
    decoder = _decoder()
    standing = _standing(out, picture_set, decoder, progress)
    rows = list(read_prepared(ledger))
    anew = plan(rows, (), None, settings, ledger)
    per_shard = settings.per_shard or default_per_shard(anew.side)
    keeps = standing is not None and (standing.index.side, standing.index.per_shard) == (anew.side, per_shard)
    planned = plan(rows, standing.rows, per_shard, settings, ledger) if standing and keeps else anew

    def load(rows: Sequence[Packed]) -> Iterator[Pixels]:
        return _cut_in_order(executor, raw, rows)

    return write(out, picture_set, planned, per_shard, decoder, load, progress, standing.index if standing else None)


def write(
    out: Path,
    picture_set: str,
    planned: Plan,
    per_shard: int,
    decoder: str,
    load: Load,
    progress: Progress,
    standing: Index | None = None,
) -> Index:
    """Make `out` hold the planned rows; equal files of `standing`, the intact set now in `out`, are taken over."""
    finished = scratch_folder("shard", picture_set, decoder)
    parts = [planned.rows[start : start + per_shard] for start in range(0, len(planned.rows), per_shard)]
    digests = [contents_digest(part) for part in parts]
    old = {shard.file: shard for shard in standing.shards} if standing and standing.decoder == decoder else {}
    names = [shard_name(picture_set, number) for number in range(len(parts))]
    taken = {name: old[name] for name, digest in zip(names, digests, strict=True) if _holds(old.get(name), digest)}

    new = [(name, part, digest) for name, part, digest in zip(names, parts, digests, strict=True) if name not in taken]
    require_room(finished, sum(len(part) for _, part, _ in new) * item_bytes(planned.side), "packing the pictures")
    written = {name: _finish(finished, name, part, digest, planned.side, load, progress) for name, part, digest in new}
    with no_half_folder(out) as temporary:
        for name in names:
            _place(out / name if name in taken else finished / name, temporary / name)
        write_rows(temporary / ITEMS, planned.rows)
        index = Index(
            picture_set=picture_set,
            side=planned.side,
            per_shard=per_shard,
            num_items=len(planned.rows),
            dropped=planned.dropped,
            items_sha256=sha256_rows(temporary / ITEMS),
            decoder=decoder,
            shards=tuple(taken.get(name) or written[name] for name in names),
        )
        write_json(temporary / INDEX, index.as_json())
    shutil.rmtree(finished)
    progress.say(
        f"{picture_set}: {index.num_items - len(index.dropped):,} pictures of {index.side} px in {len(names)} shards, "
        f"{len(written)} of them written, {len(index.dropped)} rows dropped"
    )
    return index


def _holds(shard: ShardFile | None, digest: str) -> bool:
    return shard is not None and shard.contents == digest


def _finish(
    finished: Path, name: str, rows: Sequence[Packed], contents: str, side: int, load: Load, progress: Progress
) -> ShardFile:
    """Write one file to the scratch folder, unless a stopped run has left it there whole."""
    note = finished / f"{name}.json"
    if (found := _left_by_a_stopped_run(note, contents)) is not None:
        return found
    digest = sha256(first := header(len(rows), side, contents))
    with no_half_file(finished / name) as temporary, temporary.open("wb", WRITE_AT_ONCE) as file:
        file.write(first)
        for pixels in progress.track(load(rows), f"packing {name}", total=len(rows)):
            assert pixels.shape == (side, side, 3)
            assert pixels.dtype == np.uint8
            data = np.ascontiguousarray(pixels).data.cast("B")
            digest.update(data)
            file.write(data)
    shard = ShardFile(name, len(rows), PAGE + len(rows) * item_bytes(side), PAGE, contents, digest.hexdigest())
    write_json(note, asdict(shard))
    return shard


def _left_by_a_stopped_run(note: Path, contents: str) -> ShardFile | None:
    try:
        shard = ShardFile(**read_json(note))
    except (BarenError, TypeError):
        return None
    path = note.with_suffix("")
    whole = shard.contents == contents and path.exists() and sha256_file(path) == shard.sha256
    return shard if whole else None


def _place(source: Path, target: Path) -> None:
    """Give a finished file a second name, or copy it where the two folders lie on different disks."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _standing(out: Path, picture_set: str, decoder: str, progress: Progress) -> Standing | None:
    """The set in `out`, if an earlier run left one made by the same decoder and every byte of it is intact."""
    bring_back(out)
    if not (out / INDEX).exists():
        return None
    try:
        index = read_index(out)
        if index.picture_set != picture_set or index.decoder != decoder:
            return None
        for shard in progress.track(index.shards, f"checking {out}", unit="shards"):
            check_file(out / shard.file, shard, index.side)
        rows = tuple(read_packed(out / ITEMS))
    except BarenError as error:
        progress.say(f"{picture_set} is packed anew: {error}")
        return None
    intact = sha256_rows(out / ITEMS) == index.items_sha256 and len(rows) == index.num_items
    return Standing(index, rows) if intact else None


def _decoder() -> str:
    """Stands for the code that turns an original into pixels; shards made by other code are not taken over."""
    return fingerprint([sha256_file(path) for path in picture.CODE], PIL.__version__, cv2.__version__)


def _cut_in_order(executor: Executor, raw: Path, rows: Sequence[Packed]) -> Iterator[Pixels]:
    """The rows' pictures in order; an original is opened once for all crops of it that follow one another."""
    waiting: deque[Future[list[Pixels]]] = deque()
    try:
        for (file, digest), crops in groupby(rows, key=lambda row: (row.file, row.sha256)):
            waiting.append(executor.submit(cut_all, raw / file, digest, [row.crop for row in crops]))
            if len(waiting) > AHEAD:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def cut_all(path: Path, digest: str, crops: Sequence[Crop]) -> list[Pixels]:
    """The crops of one original, uint8 [side, side, 3] each.

    Raises ShardError where the file is missing, changed, or not a picture.
    """
    if not path.exists():
        raise ShardError(f"{path} is missing, and the ledger has crops of it; restore it (dvc checkout)")
    if sha256_file(path) != digest:
        raise ShardError(f"{path} is not the file the ledger was made from; restore it (dvc checkout)")
    try:
        return picture.cut_all(path, crops, ANY)
    except PictureRefused as error:
        raise ShardError(f"{path} cannot be cut ({error}); run the prepare stage again (dvc repro)") from error
