"""The museum's searches: Google's Custom Search API with its caps and its quota, a SearXNG, and hosts of pictures."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.scrape.address import MUSEUM
from tasks.scrape.museum.server import NOT_FOUND, Answer, Asked
from tasks.scrape.museum.works import Work

HOSTS = ("www.gallery-one.example", "cdn.gallery-two.example", "pictures.gallery-three.example")
SIDES: Mapping[str, tuple[str, ...]] = {  # what each picture has exactly one of
    "imgDominantColor": ("black", "blue", "brown", "gray", "green", "orange", "pink", "purple", "red", "teal", "white",
                         "yellow"),
    "imgSize": ("icon", "small", "medium", "large", "xlarge", "xxlarge", "huge"),
    "imgType": ("clipart", "face", "lineart", "stock", "photo", "animated"),
    "fileType": ("jpg",),
}  # fmt: skip


class GoogleSite:
    """Serves works as pictures on three hosts, found by Custom Search (`per_day` calls) and by SearXNG.

    `overlap` works of each page come again; `kept_out` are engines that SearXNG could not ask.
    """

    hosts: tuple[str, ...] = ("customsearch.googleapis.com", "searx.example", *HOSTS)

    def __init__(
        self, works: Sequence[Work], overlap: int = 0, per_day: int = 10_000, kept_out: Sequence[Sequence[str]] = ()
    ) -> None:
        self._works = {work.name: work for work in works}
        self._overlap, self._kept_out = overlap, kept_out
        self.left = per_day

    def answer(self, asked: Asked) -> Answer:
        """An answer of one of the two searches, a picture, or nothing."""
        match asked.host, asked.path:
            case "customsearch.googleapis.com", "/customsearch/v1":
                return self._search(asked.fields)
            case "searx.example", "/search":
                return self._searx(asked.fields)
            case _, "/robots.txt":
                return Answer(b"User-agent: *\nDisallow: /search\nDisallow: /admin\n", "text/plain")
            case host, path if host in HOSTS and path.startswith("/full/"):
                work = self._works.get(path.removeprefix("/full/").removesuffix(".jpg"))
                return NOT_FOUND if work is None else Answer(work.read(), work.kind)
            case _:
                return NOT_FOUND

    def _search(self, fields: Mapping[str, str]) -> Answer:
        start, number = int(fields.get("start", 1)), int(fields.get("num", 10))
        if not fields.get("key") or fields["key"] == "wrong":
            return _error(400, "API key not valid. Please pass a valid API key.", "badRequest", "INVALID_ARGUMENT")
        if not fields.get("cx") or not 1 <= number <= 10 or start + number > 100:
            return _error(400, "Request contains an invalid argument.", "badRequest", "INVALID_ARGUMENT")
        if self.left <= 0:
            limit = "Quota exceeded for quota metric 'Queries' and limit 'Queries per day' of service 'customsearch'."
            return _error(429, limit, "rateLimitExceeded", "RESOURCE_EXHAUSTED")
        self.left -= 1
        found = [
            (n, work)
            for n, work in enumerate(self._works.values())
            if _fits(work, fields.get("q", "")) and all(fields.get(side) in (None, _side(n, side)) for side in SIDES)
        ]
        shown = found[max(0, start - 1 - self._overlap) : start - 1 + number]
        asked = {"totalResults": str(len(found)), "searchTerms": fields.get("q", ""), "cx": fields["cx"]}
        queries = {"request": [{**asked, "count": len(shown), "startIndex": start}]}
        if start - 1 + number < min(len(found), 99):
            queries["nextPage"] = [{**asked, "count": 10, "startIndex": start + 10}]
        answer: dict[str, Any] = {
            "kind": "customsearch#search", "queries": queries, "context": {"title": "Museum"},
            "searchInformation": {"searchTime": 0.31, "totalResults": str(len(found))},
        }  # fmt: skip
        if shown:  # without results the key is not there
            answer["items"] = [_item(n, work) for n, work in shown]
        return _json(answer)

    def _searx(self, fields: Mapping[str, str]) -> Answer:
        if fields.get("format") != "json":
            return Answer(b"<html><body>the page for people</body></html>")
        first = 20 * (int(fields.get("pageno", 1)) - 1)
        found = [(n, work) for n, work in enumerate(self._works.values()) if _fits(work, fields.get("q", ""))]
        results = (
            [] if self._kept_out else found[max(0, first - self._overlap) : first + 20] if first < len(found) else []
        )
        rows = [
            {
                "url": f"https://{HOSTS[n % 3]}{MUSEUM}/page/{n}", "title": work.title, "engine": "google images",
                "img_src": _address(n, work), "resolution": f"{work.width} x {work.height}" if n % 2 else "",
                "thumbnail_src": "https://thumbnails.example/1", "category": "images",
            }
            for n, work in results
        ]  # fmt: skip
        return _json({"query": fields.get("q"), "results": rows, "unresponsive_engines": self._kept_out})


def _fits(work: Work, words: str) -> bool:
    return all(word in f"{work.title} {work.author} photograph".lower() for word in words.lower().split())


def _side(number: int, side: str) -> str:
    """What picture `number` is on one side; all combinations come about equally often."""
    for name, values in SIDES.items():
        if name == side:
            return values[number % len(values)]
        number //= len(values)
    raise KeyError(side)


def _address(number: int, work: Work) -> str:
    return f"https://{HOSTS[number % 3]}{MUSEUM}/full/{work.name}.jpg?x=1&y={number}"


def _item(number: int, work: Work) -> dict[str, Any]:
    return {
        "kind": "customsearch#result", "title": work.title, "htmlTitle": f"<b>{work.title}</b>",
        "link": _address(number, work), "displayLink": HOSTS[number % 3], "snippet": "", "mime": "image/jpeg",
        "fileFormat": "image/jpeg",
        "image": {
            "contextLink": f"https://{HOSTS[number % 3]}{MUSEUM}/page/{number}", "height": work.height,
            "width": work.width, "byteSize": 1_234, "thumbnailLink": "https://thumbnails.example/1",
        },
    }  # fmt: skip


def _json(value: Any) -> Answer:
    return Answer(json.dumps(value).encode(), "application/json; charset=UTF-8")


def _error(code: int, message: str, reason: str, status: str) -> Answer:
    error = {"message": message, "domain": "global", "reason": reason}
    body = json.dumps({"error": {"code": code, "message": message, "errors": [error], "status": status}})
    return Answer(body.encode(), "application/json; charset=UTF-8", code)
