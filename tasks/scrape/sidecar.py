"""What a table beside a folder of pictures says of them: one row a file, as .csv or .jsonl."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tasks.errors import ParamsError
from tasks.files import read_json_lines

KNOWN = ("title", "author", "date", "licence", "licence_url", "page", "group")


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


@dataclass(frozen=True)
class Sidecar:
    """The rows by file name, relative to the folder of pictures."""

    rows: Mapping[str, About]

    @classmethod
    def read(cls, path: Path, root: Path) -> Self:
        """The table in `path`. Its `file` column is relative to `root`, or to the table's own folder.

        Columns it does not know are left alone; ParamsError where it has no column `file`.
        """
        rows: dict[str, About] = {}
        for row in _table(path):
            if not row.get("file"):
                raise ParamsError(f"{path} has a row without `file`; every row needs the name of its picture there")
            rows[_relative(str(row["file"]), path, root)] = _about(row)
        return cls(rows)

    def about(self, name: str) -> About:
        """What is known of the picture `name`."""
        return self.rows.get(name, About())


def _table(path: Path) -> Iterable[Mapping[str, Any]]:
    if path.suffix == ".jsonl":
        return list(read_json_lines(path))
    if path.suffix != ".csv":
        raise ParamsError(f"metadata {path} must be a .csv or a .jsonl")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ParamsError(f"metadata {path} cannot be read as CSV in UTF-8 ({error})") from error


def _relative(file: str, table: Path, root: Path) -> str:
    beside = table.parent / file
    if not (root / file).exists() and beside.is_file() and beside.resolve().is_relative_to(root.resolve()):
        return beside.resolve().relative_to(root.resolve()).as_posix()
    return Path(file).as_posix()


def _about(row: Mapping[str, Any]) -> About:
    tags = row.get("tags") or ()
    tags = tuple(tags.replace(",", " ").split()) if isinstance(tags, str) else tuple(str(tag) for tag in tags)
    return About(**{key: str(row.get(key) or "") for key in KNOWN}, tags=tags)
