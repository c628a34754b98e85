"""What every source must keep, as checks that run against the museum, or gently against the site itself.

The tests run them over every registered source; `python -m pipelines sources check NAME` runs them over one.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from tasks.errors import ParamsError
from tasks.scrape.source import Item, Mark, Source
from tasks.scrape.web import PoliteWeb
from tasks.settings import Settings

ENOUGH = 1_100  # items and marks looked at: more than two pages of any site


@dataclass
class Visit:
    """A source, a query it understands, and the web it is given."""

    source: Source[Any]
    query: Settings
    web: PoliteWeb

    @cached_property
    def found(self) -> list[Item | Mark]:
        """The first items and marks of the query, asked for once."""
        return self.again()

    @property
    def items(self) -> list[Item]:
        """The items among them."""
        return _items(self.found)

    def again(self, cursor: Any = None) -> list[Item | Mark]:
        """The first items and marks from the start or a cursor, asked for anew."""
        return list(islice(self.source.discover(self.query, self.web, cursor), ENOUGH))


class Broken(Exception):
    """A check that is not kept; the text says how."""


Check = Callable[[Visit], None]


def check(visit: Visit) -> Iterator[tuple[str, str]]:
    """Each check by what it asserts, with "" where it is kept and else how it is not."""
    for kept in CHECKS:
        what = (kept.__doc__ or "").rstrip(".")
        try:
            kept(visit)
            yield what, ""
        except Broken as broken:
            yield what, str(broken)


def _lazy(visit: Visit) -> None:
    """The first item costs at most two requests besides robots.txt."""
    before = visit.web.session.num_requests
    next((found for found in visit.source.discover(visit.query, visit.web, None) if isinstance(found, Item)), None)
    manners = visit.source.manners_for(visit.query)
    robots = 1 if manners.robots and manners.on_the_web else 0
    if (asked := visit.web.session.num_requests - before) > 2 + robots:
        raise Broken(f"it took {asked} requests; yield items as soon as a page is read")


def _sound(visit: Visit) -> None:
    """Every item has a key, a page and something to fetch."""
    items = visit.items
    if not items:
        raise Broken("nothing was found; give a query that finds something, as `example` or with --query")
    for item in items:
        if not (item.key and item.page and item.shots and all(shot.url for shot in item.shots)):
            raise Broken(f"{item!r} lacks one of key, page, shots")
        if visit.source.manners_for(visit.query).on_the_web and not all(
            url.startswith(("http://", "https://")) for url in (item.page, *(shot.url for shot in item.shots))
        ):
            raise Broken(f"{item.key} has an address that is not absolute")


def _best_first(visit: Visit) -> None:
    """The renditions of an item stand best first, where their sizes are known."""
    for item in visit.items:
        areas = [shot.width * shot.height for shot in item.shots if shot.width and shot.height]
        if areas != sorted(areas, reverse=True):
            raise Broken(f"{item.key} has renditions of {areas} pixels in this order")


def _texts(visit: Visit) -> None:
    """Items and cursors are what JSON can hold."""
    for found in visit.found:
        try:
            json.dumps(dict(found.cursor) if isinstance(found, Mark) else [found.key, found.title, found.tags])
        except (TypeError, ValueError) as error:
            raise Broken(f"{found!r}: {error}") from error


def _stable(visit: Visit) -> None:
    """Asked again, the same items come under the same keys."""
    if visit.items != _items(visit.again()):
        raise Broken("they did not; a key must come from the site, not from a counter or a clock")


def _resumes(visit: Visit) -> None:
    """From a mark on, what came after it comes again, and what came before it does not."""
    found = visit.found
    at = next((n for n, mark in enumerate(found) if isinstance(mark, Mark)), None)
    if at is None:
        return
    mark = found[at]
    assert isinstance(mark, Mark)
    before = {item.key for item in found[:at] if isinstance(item, Item)}
    after = [item.key for item in found[at:] if isinstance(item, Item)]
    again = [item.key for item in _items(visit.again(json.loads(json.dumps(dict(mark.cursor)))))]
    if after and not set(after) <= set(again) | before:
        raise Broken(f"{next(key for key in after if key not in again)} came only without the mark")
    if before and set(again) >= before:
        raise Broken("the cursor was not looked at: everything came again")


def _closed(visit: Visit) -> None:
    """A query with a word it does not know is refused."""
    try:
        visit.source.Query.read({**visit.query.model_dump(exclude_defaults=True), "no_such_word": 1}, "query")
    except ParamsError:
        return
    raise Broken("it was taken; derive Query from tasks.settings.Settings")


def _takes_its_own(visit: Visit) -> None:
    """Most of what it offers it does not itself refuse."""
    urls = [item.shots[0].url for item in visit.items if item.shots]
    refused = [url for url in urls if visit.source.refuse(url)]
    if 2 * len(refused) > len(urls):
        raise Broken(f"{refused[0]} is refused as {visit.source.refuse(refused[0])}, and so are most")


def _items(found: list[Item | Mark]) -> list[Item]:
    return [item for item in found if isinstance(item, Item)]


CHECKS: tuple[Check, ...] = (_lazy, _sound, _best_first, _texts, _stable, _resumes, _closed, _takes_its_own)
