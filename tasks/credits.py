"""CREDITS.csv: every work a set, a model or a print owes something to, one line each."""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tasks.errors import BarenError
from tasks.files import write_text
from tasks.rows import Origin

NAME = "CREDITS.csv"
COLUMNS = ("title", "author", "date", "licence", "licence_url", "source", "page", "url")


def add_credits(folder: Path, origins: Iterable[Origin]) -> None:
    """The same beside works that CREDITS.csv in `folder` names already: prints of other models may lie there too."""
    write_credits(folder, [*read_credits(folder), *origins])


def read_credits(folder: Path) -> list[Origin]:
    """The works that CREDITS.csv in `folder` names, none where it is missing; BarenError where it is not as ours."""
    path = folder / NAME
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [_origin(row) for row in csv.DictReader(file, strict=True)]
    except FileNotFoundError:
        return []
    except (csv.Error, UnicodeDecodeError, KeyError, TypeError) as error:
        raise BarenError(
            f"{path} is no list of credits as written here, with commas, in UTF-8, under {', '.join(COLUMNS)}; save it "
            "so, move it away, or name another folder"
        ) from error


def _origin(row: Mapping[str, Any]) -> Origin:
    known = {column: row[column] for column in COLUMNS}
    if None in known.values():
        raise TypeError("a row is too short")
    return Origin(**known)


def write_credits(folder: Path, origins: Iterable[Origin]) -> None:
    """Write CREDITS.csv into `folder`: a header, then each work once, by source, author, title and page."""
    works = {(origin.source, origin.page or origin.url): origin for origin in origins}
    ordered = sorted(works.values(), key=lambda work: (work.source, work.author, work.title, work.page, work.url))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([getattr(work, column) for column in COLUMNS] for work in ordered)
    write_text(folder / NAME, text.getvalue())
