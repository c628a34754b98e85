"""One run of a source: discover, skip what is settled, fetch the rest side by side, and close the batch."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from tasks.errors import (
    BarenError,
    Blocked,
    Exhausted,
    NoRoom,
    ParamsError,
    PictureRefused,
    SourceError,
    Transient,
)
from tasks.files import SCRATCH, fingerprint, scratch_folder
from tasks.progress import Progress
from tasks.rows import Origin
from tasks.scrape.alone import alone
from tasks.scrape.clock import Clock
from tasks.scrape.fetch import Fetched, fetch
from tasks.scrape.ledger import Ledger
from tasks.scrape.registry import find
from tasks.scrape.settings import Scrape
from tasks.scrape.source import Item, Manners, Mark, Source
from tasks.scrape.takedown import IN_MUSEUM, TAKEN_DOWN
from tasks.scrape.waits import waits_kept
from tasks.scrape.web import PoliteWeb
from tasks.settings import Settings

if TYPE_CHECKING:
    from tasks.scrape.museum.server import Museum

IN_VAIN = 1_000  # candidates in a row, none of them kept, after which something is wrong
HERE = Manners(pause=0.0, connections=8)  # how the museum is asked, and the disk

OpenMuseum = Callable[[], AbstractContextManager["Museum"]]
Flying = dict[Future[Fetched], tuple[str, Item]]


def collect(
    picture_set: str, settings: Scrape, out: Path, progress: Progress, now: Callable[[], datetime],
    clock: Clock | None = None, museum: OpenMuseum | None = None,
) -> None:  # fmt: skip
    """What tasks.scrape.run promises; `clock` and `museum` take the place of the real ones."""
    source = find(settings.use)
    where = f"pictures.{picture_set}.scrape"
    query = source.Query.read(settings.query, f"{where}.query")
    require_means(source, query, settings, f"params.yaml: {where}.contact")
    if notice := source.notice(query):
        progress.say(f"scrape {picture_set}: {notice}")
    journal = scratch_folder("scrape", picture_set, "open")
    bounds = {"too many bytes": settings.max_bytes, "too many pixels": settings.max_pixels}
    ledger = Ledger(out, journal, query_fingerprint(source, query, settings), now(), bounds)
    with ExitStack() as stack:
        clock = clock or Clock(progress.check)
        web = open_web(source, query, settings, journal / "pages", ledger.opened(), clock, stack, museum, progress.say)
        run = _Run(source, query, web, ledger, settings)
        started = ledger.kept()
        asking = started < settings.limit
        if asking and settings.site == "web" and web.session.manners.on_the_web:
            stack.enter_context(_held(source, picture_set, clock, progress))
        stack.enter_context(waits_kept(SCRATCH / "waits.json", web.session, clock, asking=asking))
        for _ in progress.track(run.newly_kept(), f"scrape {picture_set}", settings.limit, start=started):
            pass
    if ledger.kept() == 0:
        ledger.abandon()
        raise BarenError(_nothing(picture_set, source, ledger))
    told = {"query": ledger.query, "use": settings.use, "asked": query.model_dump(mode="json"), "limit": settings.limit}
    ledger.close(told)
    _tell(picture_set, ledger, settings.limit, progress)


def _held(
    source: Source[Any], picture_set: str, clock: Clock, progress: Progress
) -> AbstractContextManager[None]:  # fmt: skip
    """Hold the source for this set: two that ask it at once would ask its hosts at twice the pace it wants."""
    who = f"scrape {picture_set}, which asks {source.name} too"
    lock = SCRATCH / "asking" / f"{source.name}.lock"
    return alone(lock, clock, who, lambda waiting: progress.say(f"scrape {picture_set}: {waiting}"))


def query_fingerprint(source: Source[Any], query: Settings, settings: Scrape) -> str:
    """What stands for a query; another pace makes no other of it, nor does a default, spelled out or added later."""
    asked = query.model_dump(mode="json", exclude_defaults=True, exclude=set(source.pacing))
    return fingerprint(source.name, asked, *([] if settings.site == "web" else [settings.site]))


def require_means(source: Source[Any], query: Settings, settings: Scrape, where: str) -> None:
    """Raise ParamsError, before anything is asked, where the contact (it stands at `where`) or a secret is missing."""
    if not source.manners_for(query).on_the_web or settings.site == "museum":
        return
    if not settings.contact:
        raise ParamsError(
            f"{where} is missing; give an address or page of yours, which every site that is asked is told"
        )
    if missing := [name for name in source.secrets_for(query) if not os.environ.get(name)]:
        raise ParamsError(
            f"{source.name} cannot be asked without {' and '.join(missing)} in the environment; set what is missing, "
            "or use `site: museum` to try it without"
        )


def open_web(
    source: Source[Any], query: Settings, settings: Scrape, pages: Path, opened: datetime, clock: Clock,
    stack: ExitStack, museum: OpenMuseum | None = None, say: Callable[[str], None] = lambda sentence: None,
) -> PoliteWeb:  # fmt: skip
    """The web for one run, or the museum, which lives as long as `stack`."""
    manners, port = source.manners_for(query), None
    if settings.site == "museum":
        from tasks.scrape.museum import open_museum

        port = stack.enter_context((museum or open_museum)()).port
        manners = replace(HERE, hosts=manners.hosts, anywhere=manners.anywhere, robots=manners.robots)
    web = PoliteWeb(
        manners,
        contact=settings.contact,
        pages=pages,
        opened=opened,
        clock=clock,
        museum_port=port,
        private=settings.private_hosts,
        explain=source.explain,
        files=SCRATCH / "fetched",
        say=say,
    )
    stack.callback(web.close)
    return web


class _Run:
    """The candidates of one run, each settled in the ledger."""

    def __init__(self, source: Source[Any], query: Settings, web: PoliteWeb, ledger: Ledger, settings: Scrape) -> None:
        self._source, self._query, self._web, self._ledger, self._settings = source, query, web, ledger, settings
        self._place = source.name + (IN_MUSEUM if settings.site == "museum" else "")  # never taken for the real site
        self._flying: Flying = {}
        self._landed: SimpleQueue[Future[Fetched]] = SimpleQueue()
        self._in_vain = 0
        ours = f"{self._place}:"
        keys = (id.removeprefix(ours) for id in ledger.taken_down() if id.startswith(ours))
        self._taken_down = {source.work(key) for key in keys}

    def newly_kept(self) -> Iterator[str]:
        """Settle candidates until the limit is kept; yields the id of each picture newly kept.

        No more are under way than are still wanted, so which candidates are asked for depends on no race.
        """
        ledger, limit = self._ledger, self._settings.limit
        if ledger.kept() >= limit:
            return
        manners = self._web.session.manners
        workers = manners.connections if manners.on_the_web else 1
        with ThreadPoolExecutor(workers) as pool:
            try:
                for found in self._found():
                    if isinstance(found, Mark):
                        yield from self._settle(until=0)
                        ledger.mark(found)
                        continue
                    id = f"{self._place}:{found.key}"
                    if ledger.settled(id) or id in {flying for flying, _ in self._flying.values()}:
                        continue
                    if self._source.work(found.key) in self._taken_down:
                        taken = PictureRefused(TAKEN_DOWN)
                        ledger.refuse(id, _origin(self._place, found), _group(self._place, found), taken)
                        yield from self._note(id)
                    elif ledger.adopt(id):
                        yield from self._note(id)
                    else:
                        path = ledger.place(id)
                        job = pool.submit(fetch, found, self._source, self._web, path, self._settings)
                        self._flying[job] = (id, found)
                        job.add_done_callback(self._landed.put)
                    while self._flying and len(self._flying) >= min(2 * workers, limit - ledger.kept()):
                        yield from self._settle(until=len(self._flying) - 1)
                    if ledger.kept() >= limit:
                        return
                yield from self._settle(until=0)
            finally:
                self._land()

    def _found(self) -> Iterator[Item | Mark]:
        """What the source finds; an answer it can do nothing with is no page to keep, the next run asks anew."""
        try:
            yield from self._source.discover(self._query, self._web, self._ledger.cursor)
        except SourceError:  # a refusal may come with status 200
            self._web.forget()
            raise

    def _settle(self, until: int) -> Iterator[str]:
        """Wait until at most `until` are under way."""
        while len(self._flying) > until:
            job = self._landed.get()
            id, item = self._flying.pop(job)
            self._enter(job, id, item)
            yield from self._note(id)

    def _note(self, id: str) -> Iterator[str]:
        self._in_vain = 0 if self._ledger.has(id) else self._in_vain + 1
        if self._in_vain >= IN_VAIN:
            raise SourceError(
                f"{self._source.name} gave {IN_VAIN:,} candidates in a row of which none could be kept "
                f"({_refusals(self._ledger)}); what was collected stays, change the query"
            )
        if self._ledger.has(id):
            yield id

    def _enter(self, job: Future[Fetched], id: str, item: Item) -> None:
        origin, group = _origin(self._place, item), _group(self._place, item)
        try:
            fetched = job.result()
            self._ledger.keep(id, replace(origin, url=fetched.url), group, fetched)
        except PictureRefused as refused:
            self._ledger.refuse(id, origin, group, refused)
        except NoRoom:
            raise
        except SourceError as error:
            self._ledger.fail(id, origin, group, _reason(error))
            if (broken := self._web.session.broken()) is not None:
                raise broken from error
            if isinstance(error, Exhausted) and not self._web.session.manners.anywhere:
                raise  # of a source that looks anywhere, this is one strange host among hundreds

    def _land(self) -> None:
        """On the way out: what was fetched meanwhile is kept, what had not begun is not begun."""
        for job, (id, item) in self._flying.items():
            if not job.cancel() and job.exception() is None and self._ledger.sound():
                self._enter(job, id, item)
        self._flying.clear()


def _origin(place: str, item: Item) -> Origin:
    return Origin(
        source=place, page=item.page, url=item.shots[0].url, title=item.title, author=item.author,
        date=item.date, licence=item.licence, licence_url=item.licence_url, tags=item.tags,
    )  # fmt: skip


def _group(place: str, item: Item) -> str:
    return f"{place}:{item.group or item.key}"


def _reason(error: SourceError) -> str:
    match error:
        case Transient():
            return "no answer"
        case Blocked():
            return "not given to us"
        case Exhausted():
            return "told to come later"
        case _:
            return str(error)


def _nothing(picture_set: str, source: Source[Any], ledger: Ledger) -> str:
    refused = _refusals(ledger)
    why = f"none of its candidates could be kept ({refused})" if refused else "it has none for this query"
    again = "run it again later, or " if any(reason.startswith("failed") for reason in ledger.counts()) else ""
    return (
        f"no pictures for {picture_set}: {source.name} was asked and {why}; {again}change pictures.{picture_set}.scrape"
    )


def _refusals(ledger: Ledger) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in sorted(ledger.counts().items()) if reason != "kept")


def _tell(picture_set: str, ledger: Ledger, limit: int, progress: Progress) -> None:
    kept, others = ledger.kept(), _refusals(ledger)
    others = f"; {others}" if others else ""
    wanted = "" if kept >= limit else f" of the {limit:,} wanted, there are no more"
    progress.say(f"scrape {picture_set}: {kept:,} pictures kept{wanted}{others}")
