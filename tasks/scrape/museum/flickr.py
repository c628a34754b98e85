"""The museum's Flickr: flickr.photos.search with its cap, its overlap and its wobbling types, and the static host."""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any
from zlib import crc32

from tasks.scrape.address import MUSEUM
from tasks.scrape.museum.server import NOT_FOUND, Answer, Asked
from tasks.scrape.museum.works import Work

CAP = 4_000
FIRST_ID = 50_000_000_000
LICENCE_IDS = {"CC BY 2.0": "4", "no known copyright restrictions": "7", "CC0": "9", "public domain": "10"}
RESERVED = "0"  # Flickr's number for all rights, also where nobody says anything


class FlickrSite:
    """Serves works; `overlap` photos of each page come again on the next, `beyond` says what happens past the cap."""

    hosts: tuple[str, ...] = ("api.flickr.com", "live.staticflickr.com", "www.flickr.com")

    def __init__(self, works: Sequence[Work], overlap: int = 0, beyond: str = "repeat") -> None:
        self._works = sorted(works, key=lambda work: work.uploaded)
        self._dates = [work.uploaded for work in self._works]
        self._overlap, self._beyond = overlap, beyond

    def answer(self, asked: Asked) -> Answer:
        """The API, a picture, or nothing."""
        if asked.host == "api.flickr.com":
            return self._api(asked)
        if asked.host == "live.staticflickr.com":
            return self._picture(asked.path)
        return NOT_FOUND

    def _api(self, asked: Asked) -> Answer:
        if asked.method != "POST" or "oauth_consumer_key" not in asked.headers.get("Authorization", ""):
            return _fail(100, "Invalid API Key (Key has invalid format)")
        if asked.fields.get("format") != "json":
            return _fail(111, "Format not found")
        if asked.fields.get("method") != "flickr.photos.search":
            return _fail(112, "Method not found")
        return self._search(asked)

    def _search(self, asked: Asked) -> Answer:
        fields = asked.fields
        words = (fields.get("text", "") + " " + fields.get("tags", "").replace(",", " ")).lower().split()
        if not words:
            return _fail(3, "Parameterless searches have been disabled.")
        first = bisect_left(self._dates, int(fields.get("min_upload_date", 0)))
        last = bisect_right(self._dates, int(fields.get("max_upload_date", 2**40)))
        licences = set(fields.get("license", "").split(",")) - {""}
        found = [n for n in range(last - 1, first - 1, -1) if self._fits(self._works[n], words, licences)]
        size, page = min(int(fields.get("per_page", 100)), 500), int(fields.get("page", 1))
        start = (page - 1) * size
        if start >= CAP:
            if self._beyond == "error":
                return _fail(20, "Excessive photo offset in search")
            start %= CAP
        shown = found[max(0, start - self._overlap) : start + size]
        total: int | str = len(found) if page % 2 else str(len(found))
        photos = {
            "page": page, "pages": -(-len(found) // size), "perpage": size, "total": total,
            "photo": [self._photo(n) for n in shown],
        }  # fmt: skip
        return _json({"photos": photos, "stat": "ok"})

    def _fits(self, work: Work, words: Sequence[str], licences: set[str]) -> bool:
        text = f"{work.title} {work.original} photograph".lower()
        return all(word in text for word in words) and (
            not licences or LICENCE_IDS.get(work.licence, RESERVED) in licences
        )

    def _photo(self, number: int) -> dict[str, Any]:
        work, id = self._works[number], str(FIRST_ID + number)
        size = "o" if number % 7 != 3 else "z"  # not every owner gives the original away
        width, height = (work.width, work.height) if number % 2 else (str(work.width), str(work.height))
        return {
            "id": id, "owner": f"{crc32(work.author.encode())}@N07", "secret": f"abc{number:07}", "server": "65535",
            "farm": 66, "title": work.title, "ispublic": 1, "isfriend": 0, "isfamily": 0,
            "license": LICENCE_IDS.get(work.licence, RESERVED), "dateupload": str(work.uploaded),
            "datetaken": "2020-09-13 12:26:40", "datetakengranularity": "0" if number % 3 else 0,
            "ownername": work.author, "tags": f"photograph {work.original.replace('_', '')}", "media": "photo",
            "media_status": "ready", "pathalias": work.original if number % 5 else None,
            f"url_{size}": f"https://live.staticflickr.com{MUSEUM}/65535/{id}_abc{number:07}_{size}.jpg",
            f"width_{size}": width, f"height_{size}": height,
        }  # fmt: skip

    def _picture(self, path: str) -> Answer:
        id = path.rpartition("/")[2].partition("_")[0]
        number = int(id) - FIRST_ID if id.isdigit() else -1
        if not 0 <= number < len(self._works):
            return NOT_FOUND
        return Answer(self._works[number].read(), "image/jpeg")


def _json(value: Any) -> Answer:
    return Answer(json.dumps(value).encode(), "application/json")


def _fail(code: int, message: str) -> Answer:
    return _json({"stat": "fail", "code": code, "message": message})
