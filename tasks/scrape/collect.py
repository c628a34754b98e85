"""One run of a source: discover, skip what is settled, fetch the rest, and close the batch."""

import errno
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from tasks.errors import BarenError, NoRoom, PictureRefused, SourceError
from tasks.files import fingerprint, scratch_folder
from tasks.progress import Progress
from tasks.rows import Origin
from tasks.scrape.ledger import Ledger
from tasks.scrape.registry import find
from tasks.scrape.settings import Scrape
from tasks.scrape.source import Item, Mark, Source
from tasks.settings import Settings

IN_VAIN = 1_000  # candidates in a row, none of them kept, after which something is wrong


def collect(picture_set: str, settings: Scrape, out: Path, progress: Progress, now: Callable[[], datetime]) -> None:
    """What tasks.scrape.run promises."""
    source = find(settings.use)
    query = source.Query.read(settings.query, f"pictures.{picture_set}.scrape.query")
    ledger = Ledger(out, scratch_folder("scrape", picture_set, "open"), query_fingerprint(source, query), now())
    kept = ledger.kept()
    new = _new_pictures(source, query, ledger, settings)
    for _ in progress.track(new, f"scrape {picture_set} from {source.name}", settings.limit, start=kept):
        pass
    if ledger.kept() == 0:
        raise BarenError(_nothing(picture_set, source, ledger))
    told = {"query": ledger.query, "use": settings.use, "asked": query.model_dump(mode="json"), "limit": settings.limit}
    ledger.close(told)
    _tell(picture_set, ledger, settings.limit, progress)


def query_fingerprint(source: Source[Any], query: Settings) -> str:
    """What stands for a query; a default that is spelled out, or added later, makes no other query of it."""
    return fingerprint(source.name, query.model_dump(mode="json", exclude_defaults=True))


def _new_pictures(source: Source[Any], query: Settings, ledger: Ledger, settings: Scrape) -> Iterator[str]:
    """Settle one candidate after the other until the limit is kept; yields the id of each picture newly kept."""
    kept, in_vain = ledger.kept(), 0
    if kept >= settings.limit:
        return
    for found in source.discover(query, _NoWeb(), ledger.cursor):
        if isinstance(found, Mark):
            ledger.mark(found.cursor)
            continue
        id = f"{source.name}:{found.key}"
        if ledger.settled(id):
            continue
        if not ledger.adopt(id):
            _settle(id, found, source, ledger, settings)
        in_vain += 1
        if in_vain > IN_VAIN:
            raise SourceError(
                f"{source.name} gave {IN_VAIN:,} candidates in a row of which none could be kept "
                f"({_refusals(ledger)}); what was collected stays, change the query"
            )
        if ledger.has(id):
            kept, in_vain = kept + 1, 0
            yield id
            if kept >= settings.limit:
                return


def _settle(id: str, item: Item, source: Source[Any], ledger: Ledger, settings: Scrape) -> None:
    origin, group = _origin(source, item), f"{source.name}:{item.group or item.key}"
    try:
        path = ledger.place()
        _write_local(item, path, settings.max_bytes)
        ledger.keep(id, origin, group, path, settings.max_pixels)
    except PictureRefused as refused:
        ledger.refuse(id, origin, group, refused)


def _write_local(item: Item, path: Path, max_bytes: int) -> None:
    assert item.bytes_of is not None, "this source needs the web"
    data = item.bytes_of()
    if len(data) > max_bytes:
        raise PictureRefused("too many bytes", f"{len(data):,}")
    try:
        path.write_bytes(data)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoRoom(
                f"the disk filled up while pictures were collected into {path.parent}; make room and run it again, "
                "it goes on where it stood"
            ) from error
        raise


def _origin(source: Source[Any], item: Item) -> Origin:
    return Origin(
        source=source.name, page=item.page, url=item.shots[0].url, title=item.title, author=item.author,
        date=item.date, licence=item.licence, licence_url=item.licence_url, tags=item.tags,
    )  # fmt: skip


def _nothing(picture_set: str, source: Source[Any], ledger: Ledger) -> str:
    refused = _refusals(ledger)
    why = f"none of its candidates could be kept ({refused})" if refused else "it has none for this query"
    return f"no pictures for {picture_set}: {source.name} was asked and {why}; change pictures.{picture_set}.scrape"


def _refusals(ledger: Ledger) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in sorted(ledger.counts().items()) if reason != "kept")


def _tell(picture_set: str, ledger: Ledger, limit: int, progress: Progress) -> None:
    kept, others = ledger.kept(), _refusals(ledger)
    others = f"; {others}" if others else ""
    wanted = "" if kept >= limit else f" of the {limit:,} wanted, there are no more"
    progress.say(f"scrape {picture_set}: {kept:,} pictures kept{wanted}{others}")


class _NoWeb:
    """Sources that make or read their pictures here ask for nothing."""

    def text(self, url: str, **params: str | int) -> str:
        raise AssertionError(url)

    def json(self, url: str, **params: str | int) -> Any:
        raise AssertionError(url)
