"""WikiArt, by the JSON of its listings or by its API: complete past the 3,600 works that a listing shows.

Where a listing counts more works than it shows, the artists it belongs to are walked, and each further work's own
record says whether it is one of those asked for. Restricted works come as a picture of a frame, which is refused.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import replace
from typing import Any, ClassVar, Literal

from pydantic import model_validator

from tasks.errors import Blocked, Gone, SourceError
from tasks.scrape.source import Item, Manners, Mark, Source, Web
from tasks.scrape.wikiart_catalogue import CAP, KEYS, ByApi, BySite, Catalogue, pages, read_rights
from tasks.settings import Settings

SEVERAL = 10  # artists in a row who are gone: then the site has moved, and nobody is passed over
ENOUGH = 0.9  # of what a listing under the cap counts; it counts some works that it does not show


class WikiArtQuery(Settings):
    """Which works, how they are asked for, and what is asked of each."""

    genre: str = ""  # as in the site's addresses: "portrait"
    style: str = ""  # likewise: "impressionism"
    artists: tuple[str, ...] = ()  # likewise: ("berthe-morisot",); whoever they are by where empty
    search: str = ""  # words; no more is found than the 3,600 works that a search shows
    rights: Literal["unasked", "asked", "public domain"] = "unasked"  # one request more a work, unless unasked
    access: Literal["site", "api"] = "site"  # api: needs keys, 400 calls an hour, one more a work for genre and style
    group: Literal["work", "artist"] = "work"  # what is held out together

    @model_validator(mode="after")
    def _something(self) -> "WikiArtQuery":
        if not (self.genre or self.style or self.artists or self.search):
            raise ValueError("give one of genre, style, artists and search; all of WikiArt is too much")
        if self.search and self.artists:
            raise ValueError("give search or artists, not both; a search is not told apart by artist")
        return self

    @property
    def kinds(self) -> dict[str, str]:
        """What a work must be, besides standing in a listing."""
        return {kind: value for kind, value in (("genre", self.genre), ("style", self.style)) if value}


class WikiArt(Source[WikiArtQuery]):
    """Paintings by genre, style, artist or words, and on demand their rights; `access: api` alone wants the keys."""

    name = "wikiart"
    Query = WikiArtQuery
    manners = Manners(hosts=("wikiart.org",), pause=1.5)
    example: ClassVar[Mapping[str, Any]] = {"genre": "portrait"}
    secrets = KEYS

    def discover(self, query: WikiArtQuery, web: Web, cursor: Mapping[str, Any] | None) -> Iterator[Item | Mark]:
        """The works of the listing, then, where it shows too few, those of its artists; a mark after each page."""
        kind = ByApi if query.access == "api" else BySite
        catalogue: Catalogue = kind(web, query.kinds, query.artists, query.search)
        at: Mapping[str, Any] = cursor or {}
        seen: set[str] = set()
        listing = catalogue.listing()
        if listing is not None and at:
            count = catalogue.page(listing, at.get("further")).count
            if count != at["count"]:  # works came or went, and others moved up or down
                at = {}
            elif "ended" in at:
                yield Mark(at, lasting=bool(count))
                return
        if listing is not None and "artists" not in at:
            shown, count = at.get("shown", 0), at.get("count", 0)
            for page in pages(catalogue, listing, at.get("further")):
                fresh = [item for item in page.items if item.key not in seen]
                seen.update(item.key for item in fresh)
                shown, count = shown + len(fresh), page.count
                yield from _wanted(fresh, catalogue, query, web, told=catalogue.told)
                if page.further is not None:
                    yield Mark({"further": page.further, "shown": shown, "count": count}, lasting=bool(count))
            if query.search or shown >= (count if count > CAP else ENOUGH * count):
                yield Mark({"ended": True, "count": count}, lasting=bool(count))
                return
            at = {"artists": 0, "count": count}
            yield Mark(at, lasting=True)
        if listing is not None and cursor is not None:  # what the listing showed is not asked for again by artist
            seen.update(item.key for page in pages(catalogue, listing) for item in page.items)
        begun, counted = at.get("artists", 0), {"count": at["count"]} if listing is not None else {}
        gone = 0
        for number, artist in enumerate(catalogue.artists()):
            if number < begun:
                continue
            try:
                for page in pages(catalogue, artist):
                    fresh = [item for item in page.items if item.key not in seen]
                    seen.update(item.key for item in fresh)
                    yield from _wanted(fresh, catalogue, query, web, told=frozenset())
            except Gone as error:
                gone += 1
                if query.artists or gone == SEVERAL:
                    raise
                web.say(f"wikiart: passing over an artist whom WikiArt names and does not show ({error})")
                continue
            gone = 0
            yield Mark({"artists": number + 1, **counted}, lasting=bool(counted))
        if counted:
            yield Mark({"ended": True, **counted}, lasting=True)

    def secrets_for(self, query: WikiArtQuery) -> tuple[str, ...]:
        """The API alone wants keys."""
        return KEYS if query.access == "api" else ()

    def manners_for(self, query: WikiArtQuery) -> Manners:
        """The API has terms of its own, under the keys: 10 calls in 2.5 seconds, 400 an hour."""
        if query.access == "site":
            return self.manners
        return replace(self.manners, pause=0.25, per_hour=400, robots=False)

    def explain(self, url: str, status: int, body: str) -> SourceError | None:
        """A login that is refused means the keys."""
        if "/Api/2/login" in url and status in (400, 401, 403):
            return Blocked(
                f"WikiArt does not take {' and '.join(KEYS)} (status {status}); correct them, or use `access: site`"
            )
        return None

    def refuse(self, url: str) -> str | None:
        """Where WikiArt may not show a work, it shows a frame of its own."""
        return "restricted work" if "/Content/" in url else None


def _wanted(items: list[Item], catalogue: Catalogue, query: WikiArtQuery, web: Web, told: Set[str]) -> Iterator[Item]:
    """Those of the works that answer the query; what standing in the listing does not tell of them is asked for."""
    untold = query.kinds.keys() - told
    for item in items:
        try:
            found = catalogue.kinds(item) if untold else {}
            if any(query.kinds[kind] not in found[kind] for kind in untold):
                continue
            if query.rights != "unasked":
                item = replace(item, licence=read_rights(web.text(item.page), item.page))
        except Gone:  # listed still, but its record is there no more
            continue
        if query.rights == "public domain" and item.licence != "public domain":
            continue
        yield replace(item, tags=tuple(query.kinds.values()), group=item.author if query.group == "artist" else "")
