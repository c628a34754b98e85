"""Google Images, by the ways that are open: its search API, result pages a person saved, or one's own SearXNG.

Google gives its result pages to no program that says what it is, and nothing here pretends to be something else. What
is found lies on other hosts; each is asked as it wants to be. The licence of a picture found this way is not known.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from tasks.errors import Blocked, ParamsError, SourceError
from tasks.scrape.google_pages import read_saved
from tasks.scrape.google_search import API, END, KEYS, SPLITS, by_cse, by_searxng, explain_cse
from tasks.scrape.source import Item, Manners, Mark, Source, Web
from tasks.settings import Settings

PAGES = {".html", ".htm", ".mhtml", ".mht", ".xml", ".wml", ".txt", ".json"}  # what a saved page is called
MAX_PAGE = 50_000_000  # bytes; a page with its pictures inside stays below it

Right = Literal["cc_publicdomain", "cc_attribute", "cc_sharealike", "cc_noncommercial", "cc_nonderived"]
Side = Literal["colour", "size", "type", "file"]


class GoogleImagesQuery(Settings):
    """By which way, and what for; each way has its own words."""

    backend: Literal["cse", "saved", "searxng"]  # Google's API, saved result pages, a SearXNG of one's own
    text: str = ""  # cse, searxng: what is searched for
    rights: tuple[Right, ...] = ()  # cse: only what Google takes to be under one of these; all where empty
    split_by: tuple[Side, ...] = (
        "colour",
        "size",
        "type",
    )  # cse: a search that fills its 99 results is parted by these
    calls_a_day: int = Field(default=100, ge=1, le=10_000)  # cse: each gives 10 results; 100 are free
    pages: str = ""  # saved: a result page, or the folder that holds them
    instance: str = ""  # searxng: its address; it must give JSON (search.formats in its settings.yml)
    engines: tuple[str, ...] = ("google images",)  # searxng: which of its engines are asked

    @model_validator(mode="after")
    def _fits(self) -> "GoogleImagesQuery":
        needed = {"cse": ("text",), "saved": ("pages",), "searxng": ("text", "instance")}[self.backend]
        if missing := [name for name in needed if not getattr(self, name)]:
            raise ValueError(f"backend {self.backend} needs {' and '.join(missing)}")
        if self.instance and urlsplit(self.instance).scheme not in ("http", "https"):
            raise ValueError(f"instance {self.instance!r} is no address; give one as https://searx.example.org")
        if len(set(self.split_by)) < len(self.split_by):
            raise ValueError(f"split_by names a side twice; name each of {', '.join(SPLITS)} once at most")
        return self


class GoogleImages(Source[GoogleImagesQuery]):
    """Google Images by `cse` (keys, until the end of 2026), by pages a person `saved`, or by one's own `searxng`."""

    name = "google_images"
    Query = GoogleImagesQuery
    # Google's API and one's own SearXNG have terms of their own instead of a robots.txt; the pictures' hosts do not.
    manners = Manners(hosts=(str(urlsplit(API).hostname),), anywhere=True, pause=1.0, connections=8, robots=False)
    example: ClassVar[Mapping[str, Any]] = {"backend": "cse", "text": "photograph"}
    secrets = KEYS
    pacing = ("calls_a_day",)

    def discover(self, query: GoogleImagesQuery, web: Web, cursor: Mapping[str, Any] | None) -> Iterator[Item | Mark]:
        """What the backend finds, each picture once."""
        match query.backend:
            case "cse":
                sides = [SPLITS[side] for side in query.split_by]
                yield from by_cse(web, query.text, "|".join(query.rights), sides, query.calls_a_day, cursor)
            case "searxng":
                yield from by_searxng(web, query.instance.rstrip("/"), query.text, ",".join(query.engines), cursor)
            case "saved":
                yield from _saved(Path(query.pages).expanduser(), cursor["page"] if cursor else 0)

    def manners_for(self, query: GoogleImagesQuery) -> Manners:
        """The host that is searched is the backend's; saved pages are searched on none."""
        match query.backend:
            case "cse":
                return self.manners
            case "searxng":
                return replace(self.manners, hosts=(str(urlsplit(query.instance).hostname),))
            case "saved":
                return replace(self.manners, hosts=())

    def secrets_for(self, query: GoogleImagesQuery) -> tuple[str, ...]:
        """Google's API alone wants keys."""
        return KEYS if query.backend == "cse" else ()

    def notice(self, query: GoogleImagesQuery) -> str:
        """The end of Google's API."""
        if query.backend != "cse":
            return ""
        return (
            f"Google's Custom Search API takes no new customers and ends on {END.day} {END:%B %Y}; "
            "its successors here are the sources openverse and commons"
        )

    def explain(self, url: str, status: int, body: str) -> SourceError | None:
        """Google says in words what is wrong; a SearXNG that gives no JSON answers 403."""
        if "/customsearch/" in url:
            return explain_cse(status, body)
        if url.endswith("/search") and status == 403:
            return Blocked(f"{url} gives no JSON; add json to search.formats in the instance's settings.yml")
        return None


def _saved(place: Path, first: int) -> Iterator[Item | Mark]:
    """The pictures of every saved page, in the order of names; what a browser saved beside a page is passed over."""
    if not place.exists():
        raise ParamsError(
            f"google_images: {place} is not there; give a saved result page or a folder of them as `pages`"
        )
    files = [place] if place.is_file() else sorted(path for path in place.iterdir() if path.suffix.lower() in PAGES)
    if not files:
        raise ParamsError(f"google_images: {place} holds no saved page ({', '.join(sorted(PAGES))}); save some there")
    seen: set[str] = set()
    for number, path in enumerate(files):
        if number < first:
            continue
        if (size := path.stat().st_size) > MAX_PAGE:
            raise ParamsError(
                f"google_images: {path} has {size:,} bytes, no page has more than {MAX_PAGE:,}; remove it"
            )
        for item in read_saved(path.read_bytes(), str(path)):
            if item.key not in seen:
                seen.add(item.key)
                yield item
        yield Mark({"page": number + 1})
