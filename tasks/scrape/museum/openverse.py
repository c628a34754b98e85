"""The museum's Openverse: its search with the anonymous limits, and a place where the pictures lie."""

import json
from collections.abc import Sequence
from typing import Any

from tasks.scrape.address import MUSEUM
from tasks.scrape.museum.server import NOT_FOUND, Answer, Asked
from tasks.scrape.museum.works import Work

MOST, DEPTH = 20, 20  # results of a page, and pages of a search, for who has no account
PER_DAY = 200  # requests likewise
CODES = {"CC0": ("cc0", "1.0"), "public domain": ("pdm", "1.0"), "CC BY 2.0": ("by", "2.0")}  # others are not there
PLACE = f"https://pictures.example{MUSEUM}"


class OpenverseSite:
    """Serves works of open licences; `overlap` pictures of each page come again on the next."""

    hosts: tuple[str, ...] = ("api.openverse.org", "pictures.example")

    def __init__(self, works: Sequence[Work], overlap: int = 0, per_day: int = PER_DAY) -> None:
        self._works = {work.name: work for work in works if work.licence in CODES}
        self._overlap, self._left = overlap, per_day

    def answer(self, asked: Asked) -> Answer:
        """The search, a picture, or nothing."""
        if asked.host == "pictures.example":
            work = self._works.get(asked.path.strip("/").removesuffix(".jpg"))
            return Answer(work.read(), "image/jpeg") if work else NOT_FOUND
        if asked.path != "/v1/images/":
            return NOT_FOUND
        self._left -= 1
        if self._left < 0:
            return _json({"detail": "Request was throttled. Expected available in 7200 seconds."}, 429, 7_200)
        answer = self._search(asked)
        headers = {"X-RateLimit-Limit-anon_sustained": f"{PER_DAY}/day", "X-RateLimit-Available-anon_sustained": ""}
        return Answer(
            answer.body, answer.kind, answer.status, {name: value or str(self._left) for name, value in headers.items()}
        )

    def _search(self, asked: Asked) -> Answer:
        page, size = int(asked.fields.get("page", 1)), int(asked.fields.get("page_size", MOST))
        if size > MOST:
            return _json({"detail": f"page_size must be at most {MOST} without an account"}, 401)
        if not 1 <= page <= DEPTH:
            return _json({"detail": {"page": [f"Ensure this value is less than or equal to {DEPTH}."]}}, 400)
        words, licences = asked.fields.get("q", "").lower().split(), asked.fields.get("license", "").split(",")
        found = [
            work
            for work in self._works.values()
            if all(word in f"{work.title} {work.original} {work.author} photograph".lower() for word in words)
            and ("" in licences or CODES[work.licence][0] in licences)
        ]
        start, pages = (page - 1) * size, min(DEPTH, -(-len(found) // size))
        results = [_result(work) for work in found[max(0, start - self._overlap) : start + size]]
        return _json(
            {"result_count": len(found), "page_count": pages, "page_size": size, "page": page, "results": results}
        )


def _result(work: Work) -> dict[str, Any]:
    code, version = CODES[work.licence]
    known = work.uploaded % 5  # of some pictures nobody measured the size
    return {
        "id": f"id-{work.name}", "title": work.title, "foreign_landing_url": f"{PLACE}/{work.name}",
        "url": f"{PLACE}/{work.name}.jpg", "creator": work.author, "license": code, "license_version": version,
        "license_url": "https://creativecommons.org/", "provider": "example", "source": "example",
        "tags": [{"name": work.original, "accuracy": None}, {"name": "guess", "accuracy": 0.91}],
        "width": work.width if known else None, "height": work.height if known else None, "mature": False,
        "thumbnail": None,
    }  # fmt: skip


def _json(value: Any, status: int = 200, retry_after: int | None = None) -> Answer:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Answer(json.dumps(value).encode(), "application/json", status, headers)
