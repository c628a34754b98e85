"""What the tests of sources share: a small museum, how each source is asked, a run, and a visit."""

import io
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image

from tasks import scrape
from tasks.progress import Progress
from tasks.rows import Scraped, read_scraped
from tasks.scrape import collect as collecting
from tasks.scrape.museum import server
from tasks.scrape.museum.commons import CommonsSite
from tasks.scrape.museum.flickr import FlickrSite
from tasks.scrape.museum.google import GoogleSite
from tasks.scrape.museum.met import MetSite
from tasks.scrape.museum.openverse import OpenverseSite
from tasks.scrape.museum.server import Museum
from tasks.scrape.museum.ukiyoe import UkiyoeSite
from tasks.scrape.museum.wikiart import WikiArtSite
from tasks.scrape.museum.works import Work
from tasks.scrape.registry import find
from tasks.scrape.source import Item, Mark, Source
from tasks.scrape.web import PoliteWeb
from tasks.settings import Settings
from tests.test_polite_web import FakeClock

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
BEGIN = 1_600_000_000


def picture(number: int) -> bytes:
    file = io.BytesIO()
    colour = (number % 256, number // 256 % 256, 90)
    Image.new("RGB", (24 + number % 5, 20), colour).save(file, "JPEG", quality=95)
    return file.getvalue()


def works(count: int, step: int = 1_800) -> list[Work]:
    return [
        Work(
            name=f"work-{n:05}", original=f"original{n % 7}", title=f"Wörk \"{n}\" & more", author=f"Änne {n % 7}",
            licence="CC0", uploaded=BEGIN + n * step, width=24 + n % 5, height=20, read=lambda n=n: picture(n),
        )
        for n in range(count)
    ]  # fmt: skip


class Elsewhere:
    """A host of nobody's: pictures, an archive of them, and pages under the names of pictures."""

    hosts: tuple[str, ...] = ("elsewhere.example",)

    def answer(self, asked: server.Asked) -> server.Answer:
        name, _, suffix = asked.path.strip("/").partition(".")
        match suffix:
            case "jpg" if name.isdigit():
                return server.Answer(picture(int(name)), "image/jpeg")
            case "zip":
                return server.Answer(zipped({f"faces/{n}.jpg": picture(n) for n in range(12)}), "application/zip")
            case "jpg" | "html":
                return server.Answer(b"<html><body>Please log in</body></html>")
            case _:
                return server.NOT_FOUND


def zipped(members: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def lay_out() -> None:
    """What the sources read that ask nobody for their list: twelve pictures, and as many addresses."""
    Path("mine").mkdir(exist_ok=True)
    for n in range(12):
        Path(f"mine/{n}.jpg").write_bytes(picture(n))
    Path("mine.txt").write_text("".join(f"https://elsewhere.example/{n}.jpg\n" for n in range(12)))


def museum_of(count: int, overlap: int = 0, **kwargs: Any) -> Museum:
    """Every site of the museum, each with as many works."""
    return Museum(
        [
            FlickrSite(works(count), overlap, **kwargs), UkiyoeSite(works(count), overlap),
            OpenverseSite(works(count), overlap, per_day=10_000), CommonsSite(works(count), overlap),
            MetSite(works(count)), WikiArtSite(works(count), overlap=overlap),
            GoogleSite(works(count), overlap), Elsewhere(),
        ]
    )  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """How a source is asked by the tests: a query that finds every work of the museum."""

    query: Mapping[str, Any]
    listings: str = ""  # fits the addresses of its pages, not of its pictures
    many: int = 0  # works that fill more than two of its pages; 0: it asks nobody


SOURCES = {
    "archive": Asked({"url": "https://elsewhere.example/faces.zip"}),
    "commons": Asked({"search": "photograph"}, r"api\.php", 120),
    "drawn": Asked({"side": 32}),
    "flickr": Asked({"text": "photograph"}, "rest/", 620),
    "folder": Asked({"path": "mine"}),
    "google_images": Asked({"backend": "cse", "text": "photograph"}, "/customsearch/", 25),
    "met": Asked({"search": "photograph"}, "/search|/objects", 45),
    "openverse": Asked({"searches": [f"Änne {n}" for n in range(7)]}, "/v1/images", 150),
    "sample": Asked({"photographs": ["coffee"]}),
    "sitters": Asked({"sittings": 3}),
    "ukiyoe": Asked({"search": "w"}, "/search", 230),
    "url_list": Asked({"path": "mine.txt"}),
    "wikiart": Asked({"genre": "portrait"}, "/paintings-by", 130),
}
ON_THE_WEB = [name for name, asked in SOURCES.items() if asked.many]


def collect(
    out: Path, museum: Museum, use: str, limit: int = 1_000, *, days_later: int = 0, **query: Any
) -> list[Scraped]:
    clock = FakeClock()
    clock.time = 86400.0 * days_later
    settings = scrape.Scrape(use=use, limit=limit, site="museum", query={**SOURCES[use].query, **query})
    with museum:
        collecting.collect(
            "test", settings, out, Progress(io.StringIO()), lambda: NOON, clock=clock, museum=lambda: Open(museum)
        )
    return list(read_scraped(out / "items"))


class Open:
    """A museum that is open already."""

    def __init__(self, museum: Museum) -> None:
        self.museum = museum

    def __enter__(self) -> Museum:
        return self.museum

    def __exit__(self, *_: object) -> None:
        pass


def visiting(
    name: str, museum: Museum, pages: Path, stack: ExitStack
) -> tuple[Source[Any], Settings, PoliteWeb, Museum]:
    """A source, its query, its web and the museum behind it."""
    source = find(name)
    query = source.Query.read(SOURCES[name].query, "query")
    museum = stack.enter_context(museum)
    settings = scrape.Scrape(use=name, limit=1, site="museum")
    web = collecting.open_web(source, query, settings, pages, NOON, FakeClock(), stack, lambda: Open(museum))
    return source, query, web, museum


def items_of(found: Iterator[Item | Mark], limit: int = 700) -> list[Item]:
    return [item for item in islice(found, limit) if isinstance(item, Item)]
