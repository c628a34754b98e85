"""What is said of pictures beside them: a table with a row a file, or a .json by each, as gallery-dl writes them."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tasks.errors import ParamsError
from tasks.scrape.table import is_table, read_table

FILE = ("file", "file_name")  # the columns that name the picture; the second is that of Hugging Face's ImageFolder
NAMES = {  # where each thing may stand, best first: in our own tables, in others', in what gallery-dl writes
    "title": ("title", "caption", "text"),
    "author": ("author", "artist", "artistName", "creator", "ownername", "uploader", "username", "user", "owner"),
    "date": ("date", "year"),
    "licence": ("licence", "license_name", "license"),
    "licence_url": ("licence_url", "license_url"),
    "page": ("page", "post_url", "webpage_url", "permalink", "url"),
    "group": ("group",),
}
WITHIN = ("name", "realname", "username", "nick", "title", "nsid", "id")  # of a person or a work that is an object


@dataclass(frozen=True)
class About:
    """What is known of one picture; "" is nothing."""

    title: str = ""
    author: str = ""
    date: str = ""
    licence: str = ""
    licence_url: str = ""
    page: str = ""
    group: str = ""
    tags: tuple[str, ...] = ()

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        """What a row of a table, or an object, says under whatever name; what it says besides is left alone."""
        try:
            said = {
                key: next((words for name in names if (words := _words(row.get(name)))), "")
                for key, names in NAMES.items()
            }
            return cls(**said, tags=tuple(tag for tag in _tags(row.get("tags")) if tag))
        except RecursionError:  # lists in lists without end
            return cls()


@dataclass(frozen=True)
class Sidecar:
    """The rows by file name, relative to the folder of pictures."""

    rows: Mapping[str, About]

    @classmethod
    def read(cls, path: Path, root: Path, encoding: str = "utf-8") -> Self:
        """The table in `path`. Its column `file` (or `file_name`) is relative to `root`, a directory or an archive, or
        where it is a directory to the table's own folder.

        Columns it does not know are left alone; ParamsError where it has no such column.
        """
        if not is_table(path):
            raise ParamsError(f"metadata {path} must be a .csv, .tsv, .json, .jsonl or .parquet")
        rows: dict[str, About] = {}
        for row in read_table(path, encoding):
            file = next((str(row[name]) for name in FILE if row.get(name)), "")
            if not file:
                raise ParamsError(f"{path} has a row without `file`; every row needs the name of its picture there")
            rows[_relative(file, path, root)] = About.read(row)
        return cls(rows)

    def about(self, name: str) -> About:
        """What is known of the picture `name`."""
        return self.rows.get(name, About())


def _relative(file: str, table: Path, root: Path) -> str:
    file = file.replace("\\", "/")  # as tables of Windows have it
    beside = table.parent / file
    with suppress(OSError, ValueError):  # a name that is too long to be one, or a file outside
        if root.is_dir() and not (root / file).exists() and beside.is_file():
            file = beside.resolve().relative_to(root.resolve()).as_posix()
    return Path(file).as_posix()


def _tags(value: Any) -> Iterable[str]:
    match value:
        case str():
            return value.replace(",", " ").split()
        case Mapping() | list() | tuple():
            return map(_words, value)
        case _:
            return (_words(value),)


def _words(value: Any) -> str:
    """A value as text: of a list its parts, of an object its name."""
    match value:
        case None | False | True:
            return ""
        case Mapping():
            return next((words for name in WITHIN if (words := _words(value.get(name)))), "")
        case list() | tuple():
            return ", ".join(words for part in value if (words := _words(part)))
        case _:
            return str(value).strip()
