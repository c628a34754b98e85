"""WikiArt's catalogue, by the site's own JSON or by API v2: listings, artists, and what is said of one work.

Every reader raises ShapeChanged, with the page and what it lacks, where something that was always there is missing.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import parse_qsl, quote, unquote

from bs4 import BeautifulSoup, Tag

from tasks.errors import Blocked, Gone, ShapeChanged
from tasks.scrape.address import joined, shown
from tasks.scrape.shape import taken_apart
from tasks.scrape.source import Item, Shot, Web

SITE = "https://www.wikiart.org"
API = f"{SITE}/en/api/2"
KEYS = ("WIKIART_ACCESS_CODE", "WIKIART_SECRET_CODE")
PAGES = 60  # of a listing, with 60 works each; behind the last of them WikiArt gives nothing
CAP = 60 * PAGES
MUST = "WikiArt changed, tasks/scrape/wikiart_catalogue.py must follow"

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Page:
    """One page of a listing."""

    items: list[Item]
    further: int | str | None  # what asks for the next one
    count: int = 0  # works in the whole listing, where it says so


class Catalogue(Protocol):
    """WikiArt's works by the site or by the API."""

    told: Set[str]  # of genre and style: what is known of a work because it stands in the listing

    def listing(self) -> str | None:
        """The listing that comes nearest to what is asked; None: there is none but the artists'."""
        ...

    def artists(self) -> Iterator[str]:
        """The listings of the artists whose works may be among those asked for."""
        ...

    def page(self, listing: str, further: Any) -> Page:
        """One page of a listing, the first where `further` is None."""
        ...

    def kinds(self, item: Item) -> Mapping[str, Set[str]]:
        """A work's genres and styles, as they stand in addresses."""
        ...


def pages(catalogue: Catalogue, listing: str, further: int | str | None = None) -> Iterator[Page]:
    """The pages of a listing; one that brings nothing new is its end, whatever it says."""
    seen: set[str] = set()
    while True:
        page = catalogue.page(listing, further)
        keys = {item.key for item in page.items}
        further = page.further if keys - seen else None
        yield replace(page, further=further)
        if further is None:
            return
        seen |= keys


class BySite:
    """As the site's own pages ask: listings by genre, style, search and artist."""

    def __init__(self, web: Web, kinds: Mapping[str, str], artists: tuple[str, ...], search: str) -> None:
        self._web, self._kinds, self._artists, self._search = web, kinds, artists, search
        web.session.headers["X-Requested-With"] = "XMLHttpRequest"  # else the answer is a page for people
        self.told: Set[str] = set() if artists or search else {next(iter(kinds))}

    def listing(self) -> str | None:
        """The search, or the listing of the genre, or else of the style."""
        if self._search:
            return f"Search/{quote(self._search, safe='')}"
        return next((f"paintings-by-{kind}/{self._kinds[kind]}" for kind in self.told), None)

    def artists(self) -> Iterator[str]:
        """Those that are asked for, or all of the genre or style."""
        if self._artists:
            yield from (f"{artist}/mode/all-paintings" for artist in self._artists)
            return
        kind = next(iter(self.told))
        address = f"App/Search/Artists-by-{'art-movement' if kind == 'style' else kind}"
        seen: set[str] = set()
        for number in range(1, PAGES + 1):
            rows = self._ask(address, json=3, searchterm=self._kinds[kind], page=number)
            found = read_artists(rows, f"{SITE}/en/{address}")
            if seen.issuperset(found):
                return
            yield from (f"{artist}/mode/all-paintings" for artist in found if artist not in seen)
            seen.update(found)

    def page(self, listing: str, further: Any) -> Page:
        """Sixty works, and how many the listing has."""
        number = int(further or 1)
        address = f"{SITE}/en/{listing}"
        answer = self._ask(listing, json=2, page=number)
        with taken_apart(address, MUST):
            rows, count = _need(answer, "Paintings", address) or [], int(_need(answer, "AllPaintingsCount", address))
            if number == 1 and count and not rows:
                raise ShapeChanged(f"{address} counts {count:,} works and shows none in Paintings; {MUST}")
            items = [read_site_work(row, address, self._web.at(SITE)) for row in rows]
        return Page(items, number + 1 if items and number < PAGES else None, count)

    def kinds(self, item: Item) -> Mapping[str, Set[str]]:
        """As the work's page links to them."""
        return read_kinds(self._web.text(item.page), item.page)

    def _ask(self, address: str, **params: str | int) -> Any:
        return self._web.json(self._web.at(f"{SITE}/en/{address}"), layout="new", resultType="masonry", **params)


class ByApi:
    """API v2: a session of one's own keys, lists with a token for what follows, a record for each work."""

    def __init__(self, web: Web, kinds: Mapping[str, str], artists: tuple[str, ...], search: str) -> None:
        self._web, self._artists, self._search = web, artists, search
        self._session = ""
        self.told: Set[str] = set()

    def listing(self) -> str | None:
        """The search; the API lists no genre and no style."""
        return f"PaintingSearch?term={quote(self._search, safe='')}" if self._search else None

    def artists(self) -> Iterator[str]:
        """Those that are asked for, or all there are."""
        missing, seen, token = set(self._artists), set[str](), ""
        while missing or not self._artists:
            answer = self._ask("UpdatedArtists", {"paginationToken": token} if token else {})
            rows = _need(answer, "data", f"{API}/UpdatedArtists")
            for row in rows:
                id, name = (str(_need(row, key, f"{API}/UpdatedArtists")) for key in ("id", "url"))
                if id not in seen and (not self._artists or name in missing):
                    yield f"PaintingsByArtist?id={id}"
                seen.add(id)
                missing.discard(name)
            token = unquote(str(answer.get("paginationToken") or ""))
            if not (rows and token and answer.get("hasMore")):
                break
        if missing:
            raise Gone(f"WikiArt knows no artist {sorted(missing)[0]!r}; see how it is spelt in the site's addresses")

    def page(self, listing: str, further: Any) -> Page:
        """A list; its token comes percent-encoded, and is not to be encoded again."""
        where, _, asked = listing.partition("?")
        address = f"{API}/{listing}"
        answer = self._ask(where, dict(parse_qsl(asked)) | ({"paginationToken": further} if further else {}))
        with taken_apart(address, MUST):
            items = [read_api_work(row, address, self._web.at(SITE)) for row in _need(answer, "data", address) or []]
        token = unquote(str(_need(answer, "paginationToken", address) or ""))
        return Page(items, token if _need(answer, "hasMore", address) and token else None)

    def kinds(self, item: Item) -> Mapping[str, Set[str]]:
        """As the work's record names them."""
        address, record = f"{API}/Painting?id={item.key}", self._ask("Painting", {"id": item.key})
        return {
            kind: {_slug(str(name)) for name in _need(record, key, address) or []}
            for kind, key in (("genre", "genres"), ("style", "styles"))
        }

    def _ask(self, what: str, params: Mapping[str, str]) -> Any:
        began = bool(self._session)
        try:
            return self._web.json(self._web.at(f"{API}/{what}"), **params, authSessionKey=self._key())
        except Blocked:
            if not began:
                raise
            self._session = ""  # a session ends some time; one new one is tried
            return self._web.json(self._web.at(f"{API}/{what}"), **params, authSessionKey=self._key())

    def _key(self) -> str:
        if not self._session:
            codes = {"accessCode": self._web.secret(KEYS[0]), "secretCode": self._web.secret(KEYS[1])}
            answer = self._web.session.get(self._web.at(f"{SITE}/en/Api/2/login"), params=codes).json()  # kept nowhere
            if not (isinstance(answer, dict) and answer.get("SessionKey")):
                raise Blocked(f"WikiArt opens no session for {' and '.join(KEYS)}; correct them, or use `access: site`")
            self._session = str(answer["SessionKey"])
        return self._session


def read_site_work(row: Row, address: str, site: str) -> Item:
    """One work of a listing of the site's."""
    return _work(row, address, joined(site, str(_need(row, "paintingUrl", address))))


def read_api_work(row: Row, address: str, site: str) -> Item:
    """One work of a list of the API's; some have no page, and are found at their artist's."""
    artist, work = _need(row, "artistUrl", address), _need(row, "url", address)
    return _work(row, address, "/".join(part for part in (site, "en", str(artist), str(work or "")) if part))


def _work(row: Row, address: str, page: str) -> Item:
    """The picture as it was uploaded comes first, then a smaller one of it."""
    original = str(_need(row, "image", address)).partition("!")[0]
    return Item(
        key=str(_need(row, "id", address)),
        page=page,
        shots=(
            Shot(original, int(row.get("width") or 0), int(row.get("height") or 0)),
            Shot(f"{original}!Large.jpg"),
        ),
        title=str(row.get("title") or ""),
        author=str(row.get("artistName") or ""),
        date=str(row.get("year") or row.get("completitionYear") or ""),
    )


def read_artists(answer: Any, address: str) -> list[str]:
    """The artists of one page, as they stand in addresses."""
    with taken_apart(address, MUST):
        rows = [*(_need(answer, "Artists", address) or [])]
    return [str(_need(row, "artistUrl", address)).rpartition("/")[2] for row in rows]


def read_kinds(html: str, address: str) -> dict[str, set[str]]:
    """The genres and styles that a work's page links to."""
    article = _part(BeautifulSoup(html, "html.parser"), ".wiki-layout-artwork-info", address)
    found: dict[str, set[str]] = {}
    for kind in ("genre", "style"):
        links = article.select(f'a[href*="/paintings-by-{kind}/"]')
        found[kind] = {str(link["href"]).rstrip("/").rpartition("/")[2] for link in links}
        if not links and f"{kind}:" in article.get_text().lower():
            raise ShapeChanged(f"{shown(address)} names a {kind} and links to no /paintings-by-{kind}/; {MUST}")
    return found


def read_rights(html: str, address: str) -> str:
    """What a work's page says of its rights: "public domain", "Fair Use" and the like."""
    label = _part(BeautifulSoup(html, "html.parser"), ".copyright-wrapper .copyright", address)
    text = label.get_text(" ", strip=True)
    return "public domain" if label.select_one(".copyright-icon-public-domain") else text.lower() or "unknown"


def _part(page: BeautifulSoup, selector: str, address: str) -> Tag:
    part = page.select_one(selector)
    if part is None:
        raise ShapeChanged(f"{shown(address)} has no {selector}; {MUST}")
    return part


def _need(row: Any, key: str, address: str) -> Any:
    if not isinstance(row, Mapping) or key not in row:
        raise ShapeChanged(f"{shown(address)} lacks {key!r}; {MUST}")
    return row[key]  # pyright: ignore[reportUnknownVariableType]


def _slug(name: str) -> str:
    return "-".join(name.lower().split())
