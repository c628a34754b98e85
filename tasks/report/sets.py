"""What the page tells of a picture set: where it is from, what became of every candidate, and what was kept."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.files import read_json
from tasks.report.album import Album, Document, Shown, spread
from tasks.report.described import Described, described
from tasks.report.settings import Report
from tasks.rows import ITEMS, Origin, Packed, Prepared, Scraped, read_packed, read_prepared, read_scraped

RAW, PREPARED, SHARDS = "1-raw", "2-prepared", "3-shards"


@dataclass(frozen=True)
class Sheet:
    """Pictures that share a fate."""

    title: str
    count: int
    pictures: tuple[Shown, ...]


@dataclass(frozen=True)
class Works:
    """How many works of a source stand under one licence, and some of their authors."""

    source: str
    licence: str
    count: int
    authors: tuple[str, ...]
    num_authors: int


@dataclass(frozen=True)
class PictureSet:
    """One set, from candidates to shards; a count is None where its stage has not run."""

    name: str
    candidates: int
    fetched: int
    kept: int | None  # crops
    train: int | None
    held_out: int | None
    side: int | None  # pixels
    sources: tuple[tuple[str, int], ...]
    works: tuple[Works, ...]
    accepted: Sheet | None
    refused: tuple[Sheet, ...]
    described: Described
    credits: Document | None
    originals: dict[str, Path]  # picture id -> file


def set_names(data: Path) -> set[str]:
    """The picture sets that any stage knows."""
    places = [data / RAW, data / PREPARED, data / SHARDS]
    return {path.name for place in places for path in folders(place)}


def folders(place: Path) -> list[Path]:
    """The folders in `place`, which need not exist; hidden ones are work in progress."""
    return [path for path in place.glob("[!.]*") if path.is_dir()] if place.is_dir() else []


def gather_set(data: Path, name: str, album: Album, settings: Report) -> PictureSet:
    """All that is known of picture set `name`; its pictures are saved in `album`."""
    raw = data / RAW / name
    scraped, prepared, packed = _scraped(raw), _prepared(data / PREPARED / name), _packed(data / SHARDS / name)
    splits = Counter(row.split for row in packed)
    return PictureSet(
        name=name,
        candidates=len(scraped),
        fetched=sum(row.outcome == "kept" for row in scraped),
        kept=sum(row.outcome == "kept" for row in prepared) if prepared else None,
        train=splits["train"] if packed else None,
        held_out=splits["held_out"] if packed else None,
        side=packed[0].crop.side if packed else None,
        sources=tuple(Counter(row.origin.source for row in scraped).most_common()),
        works=_works([row.origin for row in scraped if row.outcome == "kept"]),
        accepted=_accepted(raw, prepared, album, settings, name),
        refused=_refused(raw, scraped, prepared, album, settings, name),
        described=described(data / PREPARED / name / "report.json"),
        credits=album.credits(name, (row.origin for row in prepared if row.outcome == "kept")),
        originals={row.id: raw / row.file for row in scraped if row.file},
    )


def words(origin: Origin) -> str:
    """The caption of a picture: what is known of title, author, date and licence."""
    known = (origin.title, origin.author, origin.date, origin.licence if origin.licence != "unknown" else "")
    return " · ".join(word for word in known if word)


def _scraped(raw: Path) -> list[Scraped]:
    """The candidates of the present query, each with the last word on it."""
    if not (raw / ITEMS).exists():
        return []
    rows = list(read_scraped(raw / ITEMS))
    query = read_json(raw / "query.json")["query"] if (raw / "query.json").exists() else None
    return list({row.id: row for row in rows if query is None or row.query == query}.values())


def _prepared(folder: Path) -> list[Prepared]:
    path = folder / ITEMS
    return list(read_prepared(path)) if path.exists() else []


def _packed(folder: Path) -> list[Packed]:
    path = folder / ITEMS
    return list(read_packed(path)) if path.exists() else []


def _works(origins: Sequence[Origin]) -> tuple[Works, ...]:
    found: dict[tuple[str, str], Counter[str]] = {}
    for origin in origins:
        found.setdefault((origin.source, origin.licence), Counter())[origin.author] += 1
    return tuple(
        Works(
            source, licence, authors.total(), tuple(name for name, _ in authors.most_common(12) if name),
            sum(bool(name) for name in authors),
        )
        for (source, licence), authors in sorted(found.items())
    )  # fmt: skip


def _accepted(raw: Path, prepared: Sequence[Prepared], album: Album, settings: Report, name: str) -> Sheet | None:
    kept = [row for row in prepared if row.outcome == "kept"]
    if not kept:
        return None
    shown = [
        album.crop(raw / row.file, row.crop, words(row.origin))
        for row in album.track(spread(kept, settings.sheet), f"{name}: kept")
        if row.file and row.crop
    ]
    return Sheet("kept", len(kept), tuple(picture for picture in shown if picture))


def _refused(
    raw: Path, scraped: Sequence[Scraped], prepared: Sequence[Prepared], album: Album, settings: Report, name: str
) -> tuple[Sheet, ...]:
    """By reason, the commonest first; the prepared rows speak for all candidates where they exist."""
    lost: dict[str, list[Scraped | Prepared]] = {}
    for row in prepared or scraped:
        if row.outcome != "kept":
            lost.setdefault(row.reason or row.outcome, []).append(row)
    sheets: list[Sheet] = []
    for reason, rows in sorted(lost.items(), key=lambda item: (-len(item[1]), item[0])):
        there = [row for row in rows if row.file]
        shown = [
            album.whole(raw / row.file, words(row.origin))
            for row in album.track(spread(there, settings.refused), f"{name}: {reason}")
            if row.file
        ]
        sheets.append(Sheet(reason, len(rows), tuple(picture for picture in shown if picture)))
    return tuple(sheets)
