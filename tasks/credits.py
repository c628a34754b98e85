"""CREDITS.csv: every work a set, a model or a print owes something to, one line each."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from tasks.files import write_text
from tasks.rows import Origin

NAME = "CREDITS.csv"
COLUMNS = ("title", "author", "date", "licence", "licence_url", "source", "page", "url")


def write_credits(folder: Path, origins: Iterable[Origin]) -> None:
    """Write CREDITS.csv into `folder`: a header, then each work once, by source, author, title and page."""
    works = {(origin.source, origin.page or origin.url): origin for origin in origins}
    ordered = sorted(works.values(), key=lambda work: (work.source, work.author, work.title, work.page, work.url))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([getattr(work, column) for column in COLUMNS] for work in ordered)
    write_text(folder / NAME, text.getvalue())
