"""The museum's ukiyo-e.org: search, artist and source listings, a page for each print, and the picture host."""

import io
import re
from collections.abc import Callable, Sequence
from html import escape

from tasks.scrape.address import MUSEUM
from tasks.scrape.museum.server import NOT_FOUND, Answer, Asked
from tasks.scrape.museum.works import Work

PER_PAGE = 100
THUMB = 220  # pixels; the side of a padded thumbnail
HOLDINGS = ("demo", "metro")
SITE, DATA = f"https://ukiyo-e.org{MUSEUM}", f"https://data.ukiyo-e.org{MUSEUM}"
ROBOTS = b"User-agent: *\nDisallow: /upload/\n"


class UkiyoeSite:
    """Serves works as prints of two holdings; `overlap` prints of each page come again on the next."""

    hosts: tuple[str, ...] = ("ukiyo-e.org", "data.ukiyo-e.org")

    def __init__(self, works: Sequence[Work], overlap: int = 0) -> None:
        self._works = {f"{HOLDINGS[n % 3 == 2]}/{work.name}": work for n, work in enumerate(works)}
        self._overlap = overlap

    def answer(self, asked: Asked) -> Answer:
        """A listing, a print, a picture, or nothing."""
        if asked.path == "/robots.txt":
            return Answer(ROBOTS, "text/plain")
        if asked.host == "data.ukiyo-e.org":
            return self._picture(asked.path)
        what, _, which = asked.path.strip("/").partition("/")
        start = int(asked.fields.get("start", 0))
        match what:
            case "search":
                words = asked.fields.get("q", "").lower().split()
                return self._listing(
                    lambda key, work: all(w in f"{work.title} {work.author}".lower() for w in words),
                    asked.fields.get("q", ""),
                    start,
                )
            case "artist":
                return self._listing(lambda key, work: slug(work.author) == which, which, start)
            case "source":
                return self._listing(lambda key, work: key.startswith(which + "/"), which, start)
            case "image" if which in self._works:
                return _page("Print", self._print(which, self._works[which]))
            case _:
                return NOT_FOUND

    def _listing(self, wanted: Callable[[str, Work], bool], what: str, start: int) -> Answer:
        found = [(key, work) for key, work in self._works.items() if wanted(key, work)]
        shown = found[max(0, start - self._overlap) : start + PER_PAGE]
        cards = "\n".join(_card(key, work, n) for n, (key, work) in enumerate(shown))
        last = start + len(found[start : start + PER_PAGE]) if shown else 0
        further = f'<span class="next"><a href="?start={start + PER_PAGE}" class="btn" rel="next">Next</a></span>'
        return _page(
            f"Results for '{what}'",
            f'<div id="results"><div class="state row"><span class="total"><strong>{len(found):,}</strong> prints '
            f'found.</span> <span class="page">Viewing prints {start + 1} to {last}.</span></div>'
            f'<div class="row">{cards}</div>'
            f'<div class="search-nav row">{further if start + PER_PAGE < len(found) else ""}</div></div>',
        )

    def _print(self, key: str, work: Work) -> str:
        holding, _, name = key.partition("/")
        return (
            f'<div id="result" class="row"><div class="imageholder"><a href="{DATA}/{holding}/images/{name}.jpg">'
            f'<img src="{DATA}/{holding}/scaled/{name}.jpg" alt="{_alt(work)}"/></a></div><div class="details">'
            f'<p class="row artist"><strong>Artist:</strong><span><a href="/artist/{slug(work.author)}">'
            f"{escape(work.author)}</a></span></p>"
            f'<p class="row title"><strong>Title:</strong><span>{escape(work.title)}</span></p>'
            f'<p class="row date"><strong>Date:</strong><span>2026</span></p></div></div>'
            f'<h2>Similar Prints</h2><div class="img"><a href="/image/demo/other" class="img"><img '
            f'src="{DATA}/demo/thumbs/other.jpg" alt="Japanese Print"/></a></div>'
        )

    def _picture(self, path: str) -> Answer:
        match = re.fullmatch(r"/(\w+)/(images|scaled|thumbs)/(.+)\.jpg", path)
        work = self._works.get(f"{match[1]}/{match[3]}") if match else None
        if match is None or work is None:
            return NOT_FOUND
        data = work.read()
        return Answer(_padded(data) if match[2] == "thumbs" else data, "image/jpeg")


def slug(text: str) -> str:
    """The text as it stands in an address."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _card(key: str, work: Work, number: int) -> str:
    base = SITE if number % 3 == 2 else ""  # some pages give whole addresses, most do not
    holding, _, name = key.partition("/")
    return (
        f'<div class="img col-xs-6"><a href="{base}/image/{key}" class="img" title="{_alt(work)}"><img '
        f'src="{DATA}/{holding}/thumbs/{name}.jpg" alt="{_alt(work)}"/></a><div class="details"><div class="wrap">'
        f'<a title="{escape(work.author)}" href="{base}/artist/{slug(work.author)}" class="artist">Artist</a>'
        f'<a title="Holding" href="{base}/source/{holding}" class="source">{holding.upper()}</a></div></div></div>'
    )


def _alt(work: Work) -> str:
    return escape(f'Japanese Print "{work.title}" by {work.author}')


def _page(title: str, body: str) -> Answer:
    html = f'<!DOCTYPE html>\n<html lang="en-US"><head><meta charset="utf-8"/><title>{escape(title)}</title></head>'
    return Answer(f'{html}<body><div class="container">{body}</div></body></html>'.encode())


def _padded(data: bytes) -> bytes:
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(data)) as picture:
        file = io.BytesIO()
        ImageOps.pad(picture, (THUMB, THUMB), color="white").save(file, "JPEG")
    return file.getvalue()
