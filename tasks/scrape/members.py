"""Pictures where they lie: in a directory, a .zip, a .tar, or inside Parquet files, one after the other, under limits.

Nothing is ever unpacked onto the disk: members of an archive are read one by one, whatever they are called.
"""

import json
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from tasks.errors import ParamsError, PictureRefused
from tasks.scrape.sidecar import About
from tasks.scrape.table import features, read_table
from tasks.tars import DAMAGE, open_tar

SUFFIXES = {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"}
MAX_BYTES = 256_000_000  # of one member, unpacked; what is larger is refused before it fills the memory
MAX_RATIO = 200  # times its packed size; more, in what is large, is no picture but a bomb
LARGE = 16_000_000  # bytes; a smaller member may be packed as tightly as it likes
MAX_NOTE = 1_000_000  # bytes of what is noted beside one picture
NOTHING = About()
UNKNOWN = "unknown"  # how the names of labels begin that say nothing
BROKEN = (*DAMAGE, zipfile.BadZipFile)


@dataclass(frozen=True)
class Member:
    """One picture: its name with forward slashes, what reads it (PictureRefused), and what is said beside it."""

    name: str
    read: Callable[[], bytes]
    about: About = NOTHING


def place(text: str, source: str) -> Path:
    """Where `text` leads, with $NAMES of the environment filled in; ParamsError where nothing is there."""
    filled = os.path.expandvars(text)
    if "$" in filled:
        raise ParamsError(f"{source}: {text} names an environment variable that is not set; set it and run again")
    path = Path(filled).expanduser()
    if not path.exists():
        raise ParamsError(f"{source}: {filled} is not there; correct pictures.SET.scrape.query in params.yaml")
    return path


def members(root: Path) -> Iterator[Member]:
    """Every picture in the order of names (of a .tar: in its own order), those in Parquet files last.

    Raises ParamsError where `root` is none of what can be read.
    """
    if root.is_dir():
        alone = True
        for member in _in_directory(root):
            alone = False
            yield member
        for path in sorted(root.rglob("*.parquet")):
            if alone or features(path).pictures:  # beside pictures, a table may be one of anything
                yield from _in_parquet(path, path.relative_to(root).with_suffix("").as_posix())
    elif _is_parquet(root):
        yield from _in_parquet(root, root.stem)
    elif zipfile.is_zipfile(root):
        yield from _in_zip(root)
    elif _is_tar(root):
        yield from _in_tar(root)
    else:
        raise ParamsError(f"folder: {root} is neither a directory nor a .zip, .tar or .parquet that can be read")


def is_readable(root: Path) -> bool:
    """Whether `root` is an archive or a Parquet file, by its bytes."""
    return _is_parquet(root) or zipfile.is_zipfile(root) or _is_tar(root)


def refused(name: str, reason: str, detail: str = "") -> Member:
    """A picture that is not to be had, for `reason`."""
    return Member(name, refusal(reason, detail))


def refusal(reason: str, detail: str = "") -> Callable[[], bytes]:
    """What stands in the place of bytes, and says why there are none."""

    def refuse() -> bytes:
        raise PictureRefused(reason, detail)

    return refuse


def _in_directory(root: Path) -> Iterator[Member]:
    inside = root.resolve()
    for path in sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES):
        name = _readable(path.relative_to(root).as_posix())
        try:
            leads_to = path.resolve(strict=True)
        except (OSError, RuntimeError):  # the second where links lead to each other, before Python 3.13
            yield refused(name, "link leads nowhere")
            continue
        if not leads_to.is_relative_to(inside):
            yield refused(name, "path leads outside")
        elif path.is_file():
            note = next((note for note in map(path.with_name, _notes(path.name)) if note.is_file()), None)
            yield Member(
                name,
                lambda path=path: _limited(lambda: path.open("rb"), path.stat().st_size),
                _noted(lambda note=note: note.open("rb")) if note is not None else NOTHING,
            )


def _in_zip(root: Path) -> Iterator[Member]:
    try:
        with zipfile.ZipFile(root) as archive:
            named = {info.filename: info for info in archive.infolist()}
            for info in sorted(archive.infolist(), key=lambda info: info.filename):
                if not info.is_dir() and PurePosixPath(info.filename).suffix.lower() in SUFFIXES:
                    note = next((named[note] for note in _notes(info.filename) if note in named), None)
                    yield _zipped(archive, info, note)
    except BROKEN as error:
        yield refused(_readable(root.name), "damaged archive", str(error))


def _zipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo, note: zipfile.ZipInfo | None) -> Member:
    name = _readable(info.filename)
    if _leads_outside(info.filename):
        return refused(name, "path leads outside")
    if info.flag_bits & 1:
        return refused(name, "encrypted")
    if info.file_size > max(LARGE, MAX_RATIO * info.compress_size):
        return refused(name, "too many bytes", f"{info.compress_size:,} packed make {info.file_size:,}")
    return Member(
        name,
        lambda: _limited(lambda: archive.open(info), info.file_size),
        _noted(lambda: archive.open(note)) if note is not None and note.file_size <= MAX_NOTE else NOTHING,
    )


def _in_tar(root: Path) -> Iterator[Member]:
    most = max(LARGE, MAX_RATIO * root.stat().st_size)
    with open_tar(root) as archive:
        try:
            for member in archive:
                name = _readable(member.name)
                if member.offset_data + member.size > most:
                    yield refused(name, "too many bytes", f"{root.name} holds more than {most:,}; the rest is left")
                    return
                if member.isdir() or PurePosixPath(member.name).suffix.lower() not in SUFFIXES:
                    continue
                file = archive.extractfile(member) if member.isreg() else None
                if _leads_outside(member.name) or file is None:
                    yield refused(name, "path leads outside")
                else:
                    yield Member(name, lambda member=member, file=file: _limited(lambda: file, member.size))
        except BROKEN as error:
            yield refused(_readable(root.name), "damaged archive", str(error))


def _in_parquet(path: Path, stem: str) -> Iterator[Member]:
    """The pictures of a Hugging Face data set: a column with their bytes, and labels, which become tags."""
    told = features(path)
    if not told.pictures:
        raise ParamsError(
            f"{path} has no column 'image' with pictures in it; it has: {', '.join(told.columns)}; "
            "if it is a list of addresses, say `use: url_list`"
        )
    for number, row in enumerate(read_table(path, at_once=50)):
        image, said = row[told.pictures], {**row}
        data = image.get("bytes") if isinstance(image, dict) else image
        for column, names in told.labels.items():
            said[column] = _label(row.get(column), names)
        tags = tuple(str(said[column]) for column in told.labels if said[column] and column != "artist")
        about, name = About.read(said), f"{stem}/{number:07}"
        if isinstance(data, bytes):
            yield Member(name, lambda data=data: data, replace(about, tags=(*tags, *about.tags)))
        else:
            yield refused(name, "not a picture", f"no bytes in the column {told.pictures}")


def _label(number: Any, names: Sequence[str]) -> str:
    if not isinstance(number, int) or not 0 <= number < len(names) or names[number].lower().startswith(UNKNOWN):
        return ""
    return names[number]


def _limited(opened: Callable[[], Any], told: int) -> bytes:
    """The bytes of what `opened` gives, whose length is not what it was told to be where somebody lies."""
    if told > MAX_BYTES:
        raise PictureRefused("too many bytes", f"{told:,}")
    try:
        with opened() as file:
            data = _read(file)
    except BROKEN as error:
        raise PictureRefused("damaged", str(error)) from error
    if len(data) > MAX_BYTES:
        raise PictureRefused("too many bytes", f"more than {MAX_BYTES:,}")
    return data


def _read(file: BinaryIO) -> bytes:
    return file.read(MAX_BYTES + 1)


def _is_parquet(root: Path) -> bool:
    with root.open("rb") as file:
        return file.read(4) == b"PAR1"


def _is_tar(root: Path) -> bool:
    with suppress(*BROKEN), open_tar(root):
        return True
    return False


def _notes(name: str) -> tuple[str, str]:
    """What a note beside the picture may be called: by gallery-dl, and by img2dataset."""
    return f"{name}.json", str(PurePosixPath(name).with_suffix(".json"))


def _noted(opened: Callable[[], Any]) -> About:
    """What was noted beside a picture; nothing where it is no such note."""
    with suppress(*BROKEN), opened() as file:
        said = json.loads(file.read(MAX_NOTE))
        if isinstance(said, dict):
            return About.read(said)
    return NOTHING


def _leads_outside(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return ".." in parts or name.startswith(("/", "\\")) or ":" in parts[0]


def _readable(name: str) -> str:
    """The name as text that every file can hold, also where the disk's name is no text."""
    return name.replace("\\", "/").encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
