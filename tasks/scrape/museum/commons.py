"""The museum's Wikimedia Commons: the Action API's search and categories with their tokens, and the upload host."""

import hashlib
import io
import json
import re
from collections.abc import Sequence
from html import escape
from typing import Any

from tasks.scrape.address import MUSEUM
from tasks.scrape.museum.server import NOT_FOUND, Answer, Asked
from tasks.scrape.museum.works import Work

CAP = 10_000  # results of a search
MOST = 500  # results of an answer
SITE, UPLOAD = f"https://commons.wikimedia.org{MUSEUM}", f"https://upload.wikimedia.org{MUSEUM}/wikipedia/commons"
NAMELESS = Answer(b"Please set a user-agent and respect our robot policy.", "text/plain", 403)


class CommonsSite:
    """Serves works as files; `overlap` files of each answer come again in the next."""

    hosts: tuple[str, ...] = ("commons.wikimedia.org", "upload.wikimedia.org")

    def __init__(self, works: Sequence[Work], overlap: int = 0) -> None:
        self._works = {f"{work.name}.jpg": (1_000 + n, work) for n, work in enumerate(works)}
        self._overlap = overlap

    def answer(self, asked: Asked) -> Answer:
        """The API, a picture, or nothing; to who does not say who he is, a refusal."""
        if asked.headers.get("User-Agent", "").startswith(("python-", "curl")):
            return NAMELESS
        if asked.host == "upload.wikimedia.org":
            return self._picture(asked.path)
        if asked.path != "/w/api.php":
            return NOT_FOUND
        match asked.fields.get("generator"):
            case "search":
                return self._search(asked)
            case "categorymembers":
                return self._category(asked)
            case other:
                return _error("badvalue", f'Unrecognized value for parameter "generator": {other}.')

    def _search(self, asked: Asked) -> Answer:
        start, limit = int(asked.fields.get("gsroffset", 0)), min(int(asked.fields.get("gsrlimit", 10)), MOST)
        if start + limit > CAP:
            return _error("cirrussearch-offset-too-large", f"Up to {CAP} search results are supported")
        words = [word for word in asked.fields["gsrsearch"].lower().split() if ":" not in word]
        found = [
            name
            for name, (_, work) in self._works.items()
            if all(word in f"{work.title} {work.original} {work.author} photograph".lower() for word in words)
        ]
        further = {"gsroffset": start + limit, "continue": "gsroffset||"} if start + limit < len(found) else None
        return self._files(found[max(0, start - self._overlap) : start + limit], further, asked, start)

    def _category(self, asked: Asked) -> Answer:
        category = asked.fields["gcmtitle"].removeprefix("Category:").replace("_", " ")
        found = [name for name, (_, work) in self._works.items() if work.original.replace("_", " ") == category]
        start = int(asked.fields.get("gcmcontinue", "file|0").rpartition("|")[2])
        end = start + min(int(asked.fields.get("gcmlimit", 10)), MOST)
        further = {"gcmcontinue": f"file|{end}", "continue": "gcmcontinue||"} if end < len(found) else None
        return self._files(found[start:end], further, asked, None)

    def _files(self, names: Sequence[str], further: Any, asked: Asked, start: int | None) -> Answer:
        width = int(asked.fields.get("iiurlwidth", 0))
        pages = [self._page(name, width, None if start is None else start + n) for n, name in enumerate(names, 1)]
        answer: dict[str, Any] = {"batchcomplete": True}
        if pages:  # without results there is no "query"
            answer["query"] = {"pages": sorted(pages, key=lambda page: page["pageid"])}
        return _json(answer if further is None else {**answer, "continue": further})

    def _page(self, name: str, width: int, index: int | None) -> dict[str, Any]:
        id, work = self._works[name]
        artist = f'<a href="//commons.wikimedia.org/wiki/User:X" title="User:X">{escape(work.author)}</a>'
        info = {
            "url": f"{UPLOAD}/a/ab/{name}", "descriptionurl": f"{SITE}/wiki/File:{name}", "width": work.width,
            "height": work.height, "mime": "image/jpeg", "sha1": hashlib.sha1(name.encode()).hexdigest(),
            "extmetadata": {
                "Artist": {"value": artist}, "ObjectName": {"value": escape(work.title)},
                "LicenseShortName": {"value": work.licence}, "LicenseUrl": {"value": "https://creativecommons.org/"},
                "DateTimeOriginal": {"value": '2020<div style="display: none;">date QS:P571,+2020</div>'},
            },
        }  # fmt: skip
        if width and width < work.width:
            height = round(work.height * width / work.width)
            thumb = f"{UPLOAD}/thumb/a/ab/{name}/{width}px-{name}"
            info |= {"thumburl": thumb, "thumbwidth": width, "thumbheight": height}
        page = {"pageid": id, "ns": 6, "title": f"File:{name}", "imageinfo": [info]}
        return page if index is None else {**page, "index": index}

    def _picture(self, path: str) -> Answer:
        match = re.fullmatch(r"/wikipedia/commons/(?:thumb/)?a/ab/([^/]+)(?:/(\d+)px-\1)?", path)
        if match is None or match[1] not in self._works:
            return NOT_FOUND
        data = self._works[match[1]][1].read()
        return Answer(_scaled(data, int(match[2])) if match[2] else data, "image/jpeg")


def _scaled(data: bytes, width: int) -> bytes:
    from PIL import Image

    with Image.open(io.BytesIO(data)) as picture:
        file = io.BytesIO()
        picture.resize((width, round(picture.height * width / picture.width))).save(file, "JPEG")
    return file.getvalue()


def _json(value: Any) -> Answer:
    return Answer(json.dumps(value).encode(), "application/json")


def _error(code: str, info: str) -> Answer:
    return _json({"error": {"code": code, "info": info}})
