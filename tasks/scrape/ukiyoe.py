"""ukiyo-e.org, by its listings: a search, an artist or a holding, a hundred prints a page.

A listing already says where the full picture lies; a print's own page is asked only for its date and museum record.
The thumbnails are padded to squares and are never taken.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar
from urllib.parse import urljoin, urlsplit

from bs4 import BeautifulSoup, Tag
from pydantic import model_validator

from tasks.errors import Gone, ShapeChanged
from tasks.scrape.address import joined
from tasks.scrape.source import Item, Manners, Mark, Shot, Source, Web
from tasks.settings import Settings

SITE = "https://ukiyo-e.org"
PER_PAGE = 100  # fixed by the site
MUST = "its pages changed, tasks/scrape/ukiyoe.py must follow"


class UkiyoeQuery(Settings):
    """One listing, and what of it is wanted."""

    search: str = ""  # words; give this, or artist, or source
    artist: str = ""  # as in the address: "utagawa-hiroshige"
    source: str = ""  # likewise: "mfa"
    holdings: tuple[str, ...] = ()  # only prints of these museums and dealers; all where empty
    details: bool = False  # ask each print's own page for its date and museum record: one request more a print

    @model_validator(mode="after")
    def _one(self) -> "UkiyoeQuery":
        if sum(map(bool, (self.search, self.artist, self.source))) != 1:
            raise ValueError("give exactly one of search, artist and source")
        return self


class Ukiyoe(Source[UkiyoeQuery]):
    """Japanese prints of ukiyo-e.org, from many holdings, which alone know whose each picture is."""

    name = "ukiyoe"
    Query = UkiyoeQuery
    manners = Manners(hosts=("ukiyo-e.org",), pause=1.0)
    example: ClassVar[Mapping[str, Any]] = {"search": "a"}

    def discover(self, query: UkiyoeQuery, web: Web, cursor: Mapping[str, Any] | None) -> Iterator[Item | Mark]:
        """The prints of the listing in the site's order; a mark after each page."""
        start: int = cursor["start"] if cursor else 0
        seen: set[str] = set()
        while True:
            address, params = _listing(query)
            listing = read_listing(web.text(web.at(address), start=start, **params), web.at(address))
            if cursor and listing.total != cursor["total"]:  # prints came or went, and others moved up or down
                start, cursor = 0, None
                continue
            fresh = [item for item in listing.items if item.key not in seen]
            seen.update(item.key for item in listing.items)
            for item in fresh:
                if not query.holdings or item.key.partition("/")[0] in query.holdings:
                    yield _with_details(item, web) if query.details else item
            ended = not listing.further or not fresh
            start += 0 if ended else PER_PAGE
            yield Mark({"start": start, "total": listing.total}, lasting=True)
            if ended:
                return


@dataclass(frozen=True)
class Listing:
    """One page of a listing; `total` counts the prints on all its pages."""

    items: list[Item]
    total: int
    further: bool  # whether another page follows


def read_listing(html: str, address: str) -> Listing:
    """What one page says; ShapeChanged where it is no listing as we know it."""
    page = BeautifulSoup(html, "html.parser")
    total = page.select_one(".total strong")
    if total is None:
        raise ShapeChanged(f"a listing of ukiyo-e.org does not say how many prints it has (.total strong); {MUST}")
    cards = page.select("div.img")
    items = [item for card in cards if (item := _card(card, address)) is not None]
    counted = int(re.sub(r"\D", "", total.get_text()) or 0)
    if counted and not cards and not _past(page):
        raise ShapeChanged(f"a listing of ukiyo-e.org counts {counted:,} prints and shows none (div.img); {MUST}")
    if len(items) * 2 < len(cards):
        raise ShapeChanged(f"{len(cards) - len(items)} of {len(cards)} prints of ukiyo-e.org cannot be read; {MUST}")
    return Listing(items, counted, page.select_one('.search-nav a[rel="next"]') is not None)


def read_print(html: str, item: Item) -> Item:
    """The item with what its own page adds: date, the museum's record, and the picture the page links to."""
    result = BeautifulSoup(html, "html.parser").select_one("#result")
    if result is None:
        raise ShapeChanged(f"the page of {item.key} on ukiyo-e.org has no #result; {MUST}")
    date = result.select_one("p.row.date span")
    title = result.select_one("p.row.title span")
    full = result.select_one(".imageholder a[href]")
    shots = (Shot(joined(item.page, str(full["href"]))), *item.shots) if full else item.shots
    return replace(
        item,
        date=date.get_text(strip=True) if date else "",
        title=title.get_text(strip=True) if title else item.title,
        shots=tuple(dict.fromkeys(shots)),
    )


def _listing(query: UkiyoeQuery) -> tuple[str, dict[str, str | int]]:
    if query.search:
        return f"{SITE}/search", {"q": query.search}
    return (f"{SITE}/artist/{query.artist}" if query.artist else f"{SITE}/source/{query.source}"), {}


def _past(page: BeautifulSoup) -> bool:
    """Whether the listing says itself that this page lies behind its end."""
    shown = page.select_one(".state .page")
    return shown is not None and re.search(r"prints ([\d,]+) to 0\b", shown.get_text()) is not None


def _card(card: Tag, address: str) -> Item | None:
    link, picture = card.select_one('a.img[href*="/image/"]'), card.select_one("a.img img[src]")
    if link is None or picture is None:
        return None
    try:
        page = urljoin(address, str(link["href"]))
        thumb = urljoin(page, str(picture["src"]))
        key = urlsplit(page).path.partition("/image/")[2]
    except ValueError:  # no address
        return None
    if "/thumbs/" not in thumb or not key:
        return None
    artist = card.select_one(".details a.artist")
    author = str(artist.get("title") or "") if artist else ""
    title = _title(str(picture.get("alt") or ""))
    return Item(
        key=key,
        page=page,
        shots=(Shot(thumb.replace("/thumbs/", "/images/")), Shot(thumb.replace("/thumbs/", "/scaled/"))),
        title=title,
        author=author,
        tags=(key.partition("/")[0],),
        group=f"{author} | {title}" if author and title else "",  # other impressions of the same design
    )


def _title(alt: str) -> str:
    match = re.match(r'Japanese Print "(.*)" by ', alt)
    return match[1] if match else alt


def _with_details(item: Item, web: Web) -> Item:
    try:
        return read_print(web.text(item.page), item)
    except Gone:
        return item
