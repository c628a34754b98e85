"""CREDITS.csv: every work a set, a model or a print owes something to, one line each."""

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tasks.files import write_text
from tasks.rows import Origin

NAME = "CREDITS.csv"
COLUMNS = ("title", "author", "date", "licence", "licence_url", "source", "page", "url")


def add_credits(folder: Path, origins: Iterable[Origin]) -> None:
    """The same beside works that CREDITS.csv in `folder` names already: prints of other models may lie there too."""
    write_credits(folder, [*_read(folder / NAME), *origins])


def _read(path: Path) -> Iterator[Origin]:
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                known: dict[str, Any] = {column: row[column] for column in COLUMNS}
                yield Origin(**known)


def write_credits(folder: Path, origins: Iterable[Origin]) -> None:
    """Write CREDITS.csv into `folder`: a header, then each work once, by source, author, title and page."""
    works = {(origin.source, origin.page or origin.url): origin for origin in origins}
    ordered = sorted(works.values(), key=lambda work: (work.source, work.author, work.title, work.page, work.url))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([getattr(work, column) for column in COLUMNS] for work in ordered)
    write_text(folder / NAME, text.getvalue())
