"""Pictures a person already has: any directory, .zip or .tar, with or without a sidecar that says whose they are.

Nothing is ever unpacked onto the disk: archive members are read one by one, under a limit, whatever they are called.
"""

import hashlib
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from tasks.errors import ParamsError, PictureRefused
from tasks.scrape.sidecar import Sidecar
from tasks.scrape.source import Item, Mark, Shot, Source, Web
from tasks.settings import Settings

SUFFIXES = {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"}
MAX_BYTES = 256_000_000  # of one member, unpacked; what is larger is refused before it fills the memory

Found = tuple[str, Callable[[], bytes]]  # a name with forward slashes, and what reads it (PictureRefused)


class FolderQuery(Settings):
    """Where the pictures lie."""

    path: str  # a directory, .zip or .tar (also packed); $NAMES of the environment are filled in
    metadata: str = ""  # a .csv or .jsonl with a column `file` and any of: title author date licence page tags group
    licence: str = "unknown"  # of every picture the metadata says nothing of


class Folder(Source[FolderQuery]):
    """Any directory or archive of pictures; the folders they lie in become their tags."""

    name = "folder"
    Query = FolderQuery

    def discover(self, query: FolderQuery, web: Web, cursor: Mapping[str, Any] | None) -> Iterator[Item | Mark]:
        """Every picture, in the order of names (of a .tar: in its own order)."""
        place = _place(query.path)
        sidecar = Sidecar.read(_place(query.metadata), _base(place)) if query.metadata else Sidecar({})
        for name, read in _pictures(place):
            try:
                data = read()
            except PictureRefused as refused:
                yield _refused(name, query, refused)
                continue
            about = sidecar.about(name)
            shown = f"{query.path.rstrip('/')}/{name}"
            yield Item(
                key=f"{name}@{hashlib.sha256(data).hexdigest()[:12]}",
                page=about.page or shown,
                shots=(Shot(shown),),
                title=about.title or PurePosixPath(name).stem,
                author=about.author,
                date=about.date,
                licence=about.licence or query.licence,
                licence_url=about.licence_url,
                tags=tuple(dict.fromkeys((*PurePosixPath(name).parts[:-1], *about.tags))),
                group=about.group,
                bytes_of=lambda data=data: data,
            )


def _place(text: str) -> Path:
    filled = os.path.expandvars(text)
    if "$" in filled:
        raise ParamsError(f"folder: {text} names an environment variable that is not set; set it and run again")
    place = Path(filled).expanduser()
    if not place.exists():
        raise ParamsError(f"folder: {filled} is not there; correct pictures.SET.scrape.query in params.yaml")
    return place


def _base(place: Path) -> Path:
    return place if place.is_dir() else Path()


def _pictures(place: Path) -> Iterator[Found]:
    if place.is_dir():
        return _in_directory(place)
    if zipfile.is_zipfile(place):
        return _in_zip(place)
    if tarfile.is_tarfile(place):
        return _in_tar(place)
    raise ParamsError(f"folder: {place} is neither a directory nor a .zip or .tar that can be read")


def _in_directory(root: Path) -> Iterator[Found]:
    inside = root.resolve()
    for path in sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES):
        name = _readable(path.relative_to(root).as_posix())
        if not path.resolve().is_relative_to(inside):
            yield name, _refuse("path leads outside")
        elif path.is_file():
            yield name, lambda path=path: _limited(path.open("rb"), path.stat().st_size)


def _in_zip(place: Path) -> Iterator[Found]:
    with zipfile.ZipFile(place) as archive:
        for info in sorted(archive.infolist(), key=lambda info: info.filename):
            if info.is_dir() or PurePosixPath(info.filename).suffix.lower() not in SUFFIXES:
                continue
            name = _readable(info.filename)
            if _leads_outside(info.filename):
                yield name, _refuse("path leads outside")
            elif info.flag_bits & 1:
                yield name, _refuse("encrypted")
            else:
                yield name, lambda info=info: _limited(archive.open(info), info.file_size)


def _in_tar(place: Path) -> Iterator[Found]:
    with tarfile.open(place, "r:*") as archive:
        try:
            for member in archive:
                if member.isdir() or PurePosixPath(member.name).suffix.lower() not in SUFFIXES:
                    continue
                name, file = _readable(member.name), archive.extractfile(member) if member.isreg() else None
                if _leads_outside(member.name) or file is None:
                    yield name, _refuse("path leads outside")
                else:
                    yield name, lambda member=member, file=file: _limited(file, member.size)
        except (tarfile.TarError, EOFError, OSError) as error:
            yield _readable(place.name), _refuse("damaged archive", str(error))


def _limited(file: Any, told: int) -> bytes:
    """The bytes of an opened file, whose length is not what it was told to be where somebody lies."""
    with file:
        if told > MAX_BYTES:
            raise PictureRefused("too many bytes", f"{told:,}")
        try:
            data = _read(file)
        except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, NotImplementedError) as error:
            raise PictureRefused("damaged", str(error)) from error
    if len(data) > MAX_BYTES:
        raise PictureRefused("too many bytes", f"more than {MAX_BYTES:,}")
    return data


def _read(file: BinaryIO) -> bytes:
    return file.read(MAX_BYTES + 1)


def _refuse(reason: str, detail: str = "") -> Callable[[], bytes]:
    def refuse() -> bytes:
        raise PictureRefused(reason, detail)

    return refuse


def _refused(name: str, query: FolderQuery, refused: PictureRefused) -> Item:
    shown = f"{query.path.rstrip('/')}/{name}"
    return Item(key=name, page=shown, shots=(Shot(shown),), bytes_of=_refuse(refused.reason, refused.detail))


def _leads_outside(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return ".." in parts or name.startswith(("/", "\\")) or ":" in parts[0]


def _readable(name: str) -> str:
    """The name as text that every file can hold, also where the disk's name is no text."""
    return name.replace("\\", "/").encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
