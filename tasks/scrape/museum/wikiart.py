"""The museum's WikiArt: listings that end too early, artists, works' own pages, API v2, and the picture hosts."""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from html import escape
from typing import Any
from urllib.parse import quote, unquote

from tasks.scrape.address import MUSEUM
from tasks.scrape.museum.server import NOT_FOUND, Answer, Asked
from tasks.scrape.museum.ukiyoe import slug
from tasks.scrape.museum.works import Work

PER_PAGE = 60
SITE = f"https://www.wikiart.org{MUSEUM}"
FRAME = f"https://uploads.wikiart.org{MUSEUM}/Content/images/FRAME-600x480.jpg"

Kind = Callable[[int], str]


class WikiArtSite:
    """Serves works; `genre` and `style` say what work n is, `restricted` which are shown as a frame.

    A listing ends behind `pages` pages, however many works it counts; `overlap` works of each page come again.
    """

    hosts: tuple[str, ...] = ("www.wikiart.org", "uploads.wikiart.org", *(f"uploads{n}.wikiart.org" for n in range(8)))

    def __init__(
        self, works: Sequence[Work], *, genre: Kind = lambda n: "portrait", style: Kind = lambda n: "realism",
        restricted: Callable[[int], bool] = lambda n: False, pages: int = 60, overlap: int = 0,
    ) -> None:  # fmt: skip
        self._works, self._pages, self._overlap, self._restricted = works, pages, overlap, restricted
        self._kinds = {"genre": genre, "style": style}
        self._by: dict[str, list[int]] = defaultdict(list)  # listing -> numbers of its works
        self._artists: dict[str, list[str]] = defaultdict(list)  # genre or style -> its artists, in order
        self._session = "0123456789ab"
        self._numbers = {work.name: number for number, work in enumerate(works)}
        self._ids = {work_id(work): number for number, work in enumerate(works)}
        for number, work in enumerate(works):
            artist = slug(work.author)
            self._by[f"{artist}/mode/all-paintings"].append(number)
            for kind, of in self._kinds.items():
                self._by[f"paintings-by-{kind}/{of(number)}"].append(number)
                group = f"Artists-by-{'art-movement' if kind == 'style' else kind}/{of(number)}"
                for listing in (group, "all"):
                    if artist not in self._artists[listing]:
                        self._artists[listing].append(artist)
        self._names = {slug(work.author): work.author for work in works}

    def answer(self, asked: Asked) -> Answer:
        """JSON where JSON is asked for, a work's page, a picture, or nothing."""
        if asked.path == "/robots.txt":
            return Answer(b"User-agent: *\nDisallow: /login\n", "text/plain")
        if asked.host != "www.wikiart.org":
            return self._picture(asked.path)
        path = unquote(asked.path).removeprefix("/en/")
        if path.lower().startswith("api/2/"):
            return self._api(path[6:], asked)
        if asked.fields.get("json") and asked.headers.get("X-Requested-With") == "XMLHttpRequest":
            return self._listing(path, asked)
        number = self._numbers.get(path.rpartition("/")[2])
        return NOT_FOUND if number is None else self._page(number)

    def _listing(self, path: str, asked: Asked) -> Answer:
        page = int(asked.fields.get("page", 1))
        first = (page - 1) * PER_PAGE
        envelope = {"ArtistsHtml": None, "CanLoadMoreArtists": False, "PaintingsHtml": None, "PageSize": PER_PAGE}
        if path.startswith("App/Search/Artists-by-"):
            names = self._artists[f"{path.removeprefix('App/Search/')}/{asked.fields.get('searchterm', '')}"]
            rows = [{"title": self._names[name], "artistUrl": f"/en/{name}"} for name in names[first:][:PER_PAGE]]
            return _json({**envelope, "Paintings": None, "Artists": rows or None, "AllArtistsCount": len(names)})
        if path.startswith("Search/"):
            found = self._search(path.removeprefix("Search/"))
        elif (listed := self._by.get(path)) is not None:
            found = listed
        else:
            return NOT_FOUND
        shown = found[max(0, first - self._overlap) : first + PER_PAGE] if page <= self._pages else None
        rows = None if shown is None or first >= len(found) else [self._row(n) for n in shown]
        if shown is not None and rows is None:
            rows = []
        return _json({**envelope, "Paintings": rows, "Artists": None, "AllPaintingsCount": len(found)})

    def _search(self, words: str) -> list[int]:
        return [n for n, work in enumerate(self._works) if words.lower() in f"{work.title} {work.author}".lower()]

    def _row(self, number: int) -> dict[str, Any]:
        work = self._works[number]
        return {
            "id": work_id(work), "title": work.title, "year": "" if number % 5 == 1 else f"c.{1800 + number % 99}",
            "width": work.width, "height": work.height, "artistName": work.author, "image": self._image(number),
            "map": "0123**67*", "paintingUrl": f"/en/{slug(work.author)}/{work.name}",
            "artistUrl": f"/en/{slug(work.author)}", "albums": None, "flags": 2, "images": None,
        }  # fmt: skip

    def _image(self, number: int) -> str:
        if self._restricted(number):
            return FRAME
        variant = "!Large.jpg" if number % 3 == 1 else ""  # some listings name a smaller one
        return f"https://uploads{number % 8}.wikiart.org{MUSEUM}/images/étude({self._works[number].name}).jpg{variant}"

    def _page(self, number: int) -> Answer:
        work = self._works[number]
        kinds = "".join(
            f'<li class="dictionary-values"><s>{kind.title()}:</s><a href="/en/paintings-by-{kind}/{of(number)}">'
            f"{of(number)}</a></li>"
            for kind, of in self._kinds.items()
        )
        free = work.licence in ("CC0", "public domain")
        said = "" if work.licence == "unknown" else escape(work.licence)
        rights = '<i class="copyright-icon-public-domain"></i> Public domain' if free else said
        return Answer(
            f"<!DOCTYPE html><html><head><title>{escape(work.title)}</title></head><body>"
            f'<div class="wiki-layout-artwork-info"><article><h3>{escape(work.title)}</h3><ul>{kinds}</ul>'
            f'<div class="copyright-wrapper"><span class="copyright">{rights}</span></div></article></div>'
            f'<img itemprop="image" src="{self._image(number)}"/></body></html>'.encode()
        )

    def _api(self, what: str, asked: Asked) -> Answer:
        fields = asked.fields
        if what == "login":
            right = fields.get("accessCode") and fields.get("secretCode")
            return _json({"SessionKey": self._session}) if right else Answer(b"", status=403)
        if fields.get("authSessionKey") != self._session:
            return Answer(b'{"message": "session"}', "application/json", 401)
        match what:
            case "UpdatedArtists":
                return self._list([{"id": f"a{n}", "url": name} for n, name in enumerate(self._artists["all"])], fields)
            case "PaintingSearch":
                return self._list([self._record(n) for n in self._search(fields.get("term", ""))], fields)
            case "PaintingsByArtist":
                name = self._artists["all"][int(fields["id"][1:])]
                return self._list([self._record(n) for n in self._by[f"{name}/mode/all-paintings"]], fields)
            case "Painting":
                number = self._ids[fields["id"]]
                kinds = {f"{kind}s": [of(number).title()] for kind, of in self._kinds.items()}
                return _json({**self._record(number), **kinds})
            case _:
                return NOT_FOUND

    def _record(self, number: int) -> dict[str, Any]:
        work = self._works[number]
        return {
            "id": work_id(work), "title": work.title, "url": work.name, "artistUrl": slug(work.author),
            "artistName": work.author, "completitionYear": None if number % 5 == 1 else 1800 + number % 99,
            "width": work.width, "height": work.height, "image": self._image(number),
        }  # fmt: skip

    def _list(self, rows: list[dict[str, Any]], fields: Any) -> Answer:
        """Rows from where the token says; the next token comes percent-encoded, and one encoded twice is unknown."""
        token = fields.get("paginationToken", "0=")
        if not re.fullmatch(r"\d+=", token):
            return Answer(b'{"message": "token"}', "application/json", 400)
        first = int(token[:-1])
        more = first + PER_PAGE < len(rows)
        following = quote(f"{first + PER_PAGE}=") if more else None
        return _json({"data": rows[first : first + PER_PAGE], "paginationToken": following, "hasMore": more})

    def end_session(self) -> None:
        """Take no more calls under the session that is open; the next login opens another."""
        self._session += "x"

    def _picture(self, path: str) -> Answer:
        match = re.fullmatch(r"/images/étude\((.+?)\)\.jpg(!Large\.jpg)?", unquote(path))
        if match is None or match[1] not in self._numbers:
            return NOT_FOUND
        work = self._works[self._numbers[match[1]]]
        return Answer(work.read(), work.kind)


def work_id(work: Work) -> str:
    """A work's id: 24 hexadecimal digits, the same whatever hangs beside it."""
    return hashlib.sha256(work.name.encode()).hexdigest()[:24]


def _json(value: Any) -> Answer:
    return Answer(json.dumps(value).encode(), "application/json")
