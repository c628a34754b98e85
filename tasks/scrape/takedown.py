"""Taking a picture down: out of the raw data for good, remembered so that it never comes back, and traced onwards."""

import csv
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.errors import ParamsError
from tasks.files import SCRATCH, write_json_lines
from tasks.rows import ITEMS, Scraped, as_json, read_scraped, row_files
from tasks.scrape.registry import known
from tasks.scrape.source import Source

TAKEN_DOWN = "taken down"  # why such a picture is refused
IN_MUSEUM = ".museum"  # behind the name of a source, where its pictures came from the replica
CREDITS = "CREDITS.csv"


def take_down(raw: Path, ids: Sequence[str]) -> list[Scraped]:
    """Remove the pictures `ids` from the set in `raw`, and what else it has of the same works; gives their rows.

    They are given as they were, and stay in their places as refusals, so no later run asks for them; every file that no
    row names any more is deleted. Taking down twice is harmless. Raises ParamsError for an id the set does not have,
    and while a batch of the set is open, since that would bring it back.
    """
    items = raw / ITEMS
    rows = list(read_scraped(items))
    if unknown := set(ids) - {row.id for row in rows}:
        raise ParamsError(f"{items} has no {sorted(unknown)[0]!r}; ids are those of its lines, such as {rows[0].id!r}")
    if (SCRATCH / f"scrape-{raw.name}" / "open" / "rows.jsonl").exists():
        raise ParamsError(f"a batch of {raw.name} is still open; finish it first (dvc repro scrape@{raw.name})")
    sources = {name: kind() for name, kind in known().items()}
    works = {_work(row, sources) for row in rows if row.id in ids}
    doomed = [row for row in rows if _work(row, sources) in works]
    gone = {row.id for row in doomed}
    for file in row_files(items):
        told = list(read_scraped(file))
        if any(row.id in gone for row in told):
            write_json_lines(file, (as_json(_without(row) if row.id in gone else row) for row in told))
    named = {row.file for row in rows if row.file and row.id not in gone}
    for path in (raw / "pictures").rglob("*"):
        if path.is_file() and path.relative_to(raw).as_posix() not in named:
            path.unlink()
    return doomed


def owing(data: Path, rows: Sequence[Scraped]) -> list[Path]:
    """The folders of models' metrics and of prints whose CREDITS.csv names one of the pictures."""
    pages = {row.origin.page for row in rows} - {""}
    found: list[Path] = []
    for path in sorted([*data.glob(f"5-metrics/*/{CREDITS}"), *data.glob(f"6-prints/*/{CREDITS}")]):
        with path.open(encoding="utf-8", newline="") as file:
            if any(row.get("page") in pages for row in csv.DictReader(file)):
                found.append(path.parent)
    return found


def _work(row: Scraped, sources: Mapping[str, Source[Any]]) -> str:
    """The work that a row shows; of a source that is not here, the picture itself."""
    place, _, key = row.id.partition(":")
    source = sources.get(place.removesuffix(IN_MUSEUM))
    return row.id if source is None else f"{place}:{source.work(key)}"


def _without(row: Scraped) -> Scraped:
    return dataclasses.replace(
        row, outcome="refused", reason=TAKEN_DOWN, file=None, sha256="", bytes=0, width=0, height=0, format=""
    )
