"""Out to other tools and back: WebDataset tars and ImageFolder trees, as lossless PNGs with their provenance beside.

    webdataset     TARGET/SET-SPLIT-00000.tar, in it ROW.png and ROW.json (https://github.com/webdataset/webdataset)
    imagefolder    TARGET/SPLIT/SET/ROW.png and ROW.json (torchvision.datasets.ImageFolder reads TARGET/train)

A set that goes out and comes back has the same pictures, provenance and splits in the same order.
"""

import io
import json
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, Literal

from PIL import Image

from tasks import picture
from tasks.errors import PictureRefused, ShardError
from tasks.files import SCRATCH, canonical_json, no_half_folder, sha256_file
from tasks.progress import Progress
from tasks.rows import Crop, Origin, Packed, Split, as_json, packed_from
from tasks.shard.layout import Index, default_per_shard
from tasks.shard.plan import Plan, split_of
from tasks.shard.read import ShardSet
from tasks.shard.settings import Shard
from tasks.shard.write import ANY, Pixels, write
from tasks.tars import DAMAGE, open_tar

Kind = Literal["webdataset", "imagefolder"]
SPLITS: tuple[Split, ...] = ("train", "held_out")
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm")
TRAIN_NAMES = {"train", "training"}  # folders in which other tools keep the two splits
HELD_OUT_NAMES = {"held_out", "val", "valid", "validation", "test"}

Put = Callable[[str, bytes], None]  # writes some bytes under a name


@dataclass(frozen=True)
class Found:
    """A picture that is to be packed."""

    name: PurePosixPath  # where it lay, in a tree or in a tar
    path: Path  # where it lies now
    note: Path | None  # what is said beside it


def export_to(shard_set: ShardSet, target: Path, kind: Kind, progress: Progress) -> int:
    """Write every row that is not dropped to the new folder `target`; gives how many.

    Raises ShardError where `target` is there already, NoRoom.
    """
    if target.exists():
        raise ShardError(f"{target} is there already; name a folder that is not")
    count = 0
    with no_half_folder(target) as folder:
        for split in SPLITS:
            rows: list[int] = shard_set.rows(split).tolist()
            for number, start in enumerate(range(0, len(rows), shard_set.index.per_shard)):
                part = rows[start : start + shard_set.index.per_shard]
                with ExitStack() as stack:
                    if kind == "webdataset":
                        name = f"{shard_set.name}-{split}-{number:05}.tar"
                        put = _into_tar(stack.enter_context(tarfile.open(folder / name, "w")))
                    else:
                        put = _into_folder(folder / split / shard_set.name)
                    for row in progress.track(part, f"exporting {shard_set.name}, {split}, part {number}"):
                        _put_row(shard_set, row, put)
                count += len(part)
    return count


def import_from(source: Path, out: Path, settings: Shard, progress: Progress) -> Index:
    """Pack the pictures of an ImageFolder tree, of a WebDataset tar or of a folder of tars into the new set `out`.

    Pictures must be squares of one size. Where no provenance of ours stands beside a picture, its file is its group,
    and folders named train, val, test and the like decide its split, or else `settings`.
    Raises ShardError for what cannot be packed as it is, NoRoom.
    """
    if out.exists():
        raise ShardError(f"{out} is there already; remove it or choose another name for the set")
    if not source.exists():
        raise ShardError(f"{source} is not there; name a folder of pictures, a .tar, or a folder of .tar files")
    tars = [source] if source.is_file() else sorted(source.rglob("*.tar"))
    if not tars:
        return _pack(list(_in_tree(source)), source, out, settings, progress)
    SCRATCH.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH, prefix="import-") as unpacked:
        found: list[Found] = []
        for number, tar in enumerate(progress.track(tars, f"unpacking {source}", unit="tars")):
            place = tar.stem if tar == source else tar.relative_to(source).with_suffix("")  # its folder tells the split
            found += _unpacked(tar, PurePosixPath(place), Path(unpacked) / str(number))
        return _pack(found, source, out, settings, progress)


def _put_row(shard_set: ShardSet, row: int, put: Put) -> None:
    data = io.BytesIO()
    Image.fromarray(shard_set.read([row])[0]).save(data, "PNG", compress_level=1)
    put(f"{row:08}.png", data.getvalue())
    put(f"{row:08}.json", canonical_json(as_json(shard_set.items[row])).encode())


def _into_tar(tar: tarfile.TarFile) -> Put:
    def put(name: str, data: bytes) -> None:
        member = tarfile.TarInfo(name)  # no time, no owner: equal sets give equal tars
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))

    return put


def _into_folder(folder: Path) -> Put:
    folder.mkdir(parents=True, exist_ok=True)

    def put(name: str, data: bytes) -> None:
        (folder / name).write_bytes(data)

    return put


def _in_tree(folder: Path) -> Iterator[Found]:
    for path in folder.rglob("*"):
        if path.suffix.lower() in PICTURES and path.is_file():
            note = path.with_name(f"{_key(path)}.json")
            yield Found(PurePosixPath(path.relative_to(folder)), path, note if note.exists() else None)


def _unpacked(tar: Path, place: PurePosixPath, folder: Path) -> Iterator[Found]:
    """The pictures of a tar and what is said beside them, in numbered files: no name in a tar is trusted with a place.

    Each is found below `place` where it lies in the tar, whose folders may tell the split.
    """
    folder.mkdir()
    files: list[tuple[PurePosixPath, Path]] = []
    for number, (name, data) in enumerate(_in_tar(tar)):
        inside = [part for part in PurePosixPath(name).parts if part not in ("/", "..")]
        files.append((place.joinpath(*inside), folder / str(number)))
        files[-1][1].write_bytes(data)
    notes = dict(files)
    for name, path in files:
        if name.suffix.lower() in PICTURES:
            yield Found(name, path, notes.get(name.with_name(f"{_key(name)}.json")))


def _in_tar(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with open_tar(path) as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isfile() else None
                if content and member.name.lower().endswith((*PICTURES, ".json")):
                    yield member.name, content.read()
    except DAMAGE as error:
        raise ShardError(f"{path} is no tar that can be read ({error}); fetch it again") from error


def _pack(found: Sequence[Found], source: Path, out: Path, settings: Shard, progress: Progress) -> Index:
    found = sorted(found, key=lambda one: (_key(one.name), one.name))
    if not found:
        raise ShardError(f"{source} holds no pictures ({', '.join(PICTURES)}); name a folder or a tar that does")
    side = len(_open(found[0]))
    described = progress.track(found, f"reading {source}")
    read = sorted(((_row(one, side, settings), one) for one in described), key=lambda both: both[0].batch)
    rows = {row.id: (row, one) for row, one in read}
    if len(rows) < len(found):
        raise ShardError(f"{source} holds {len(found)} pictures under {len(rows)} ids; remove those that repeat")

    def load(part: Sequence[Packed]) -> Iterator[Pixels]:
        for row in part:
            one = rows[row.id][1]
            pixels = _open(one)
            if pixels.shape[:2] != (side, side):
                raise ShardError(
                    f"{one.name} of {source} is {pixels.shape[1]} x {pixels.shape[0]} px and {found[0].name} calls for "
                    f"squares of {side} px; collect and prepare such a folder instead (source: folder)"
                )
            yield pixels

    planned = Plan(tuple(row for row, _ in rows.values()), (), side)
    per_shard = settings.per_shard or default_per_shard(side)
    return write(out, out.name, planned, per_shard, "imported", load, progress)


def _row(found: Found, side: int, settings: Shard) -> Packed:
    """What stands beside the picture, or else what its place tells."""
    if found.note is not None and (told := _told(found.note)) is not None and told.crop.side == side:
        return told
    name = f"imported:{found.name}"
    return Packed(
        id=name,
        picture=name,
        batch=1,
        split=_split(found.name, name, settings),
        origin=Origin(source="imported", page="", url="", title=found.name.stem),
        group=name,
        sha256=sha256_file(found.path),
        file=str(found.name),
        crop=Crop(0, 0, side, side, side),
    )


def _told(sidecar: Path) -> Packed | None:
    """The row an export of ours put there; None for what other tools keep in such files."""
    try:
        row: Any = json.loads(sidecar.read_bytes())
    except (ValueError, RecursionError):
        return None
    ours = isinstance(row, dict) and {"id", "group", "split", "origin", "crop"} <= row.keys()
    return packed_from(row, sidecar) if ours else None


def _split(path: PurePosixPath, group: str, settings: Shard) -> Split:
    if HELD_OUT_NAMES & set(path.parts):
        return "held_out"
    return "train" if TRAIN_NAMES & set(path.parts) else split_of(group, settings.seed, settings.held_out)


def _key(path: PurePath) -> str:
    """What WebDataset takes for a sample's key: the name up to its first dot."""
    return path.name.split(".")[0]


def _open(found: Found) -> Pixels:
    try:
        return picture.open_picture(found.path, ANY)
    except PictureRefused as error:
        raise ShardError(f"{found.name} cannot be opened ({error}); remove it") from error
