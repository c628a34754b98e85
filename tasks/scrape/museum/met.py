"""The museum's Metropolitan Museum: a search that gives every number at once, a record for each work, its pictures."""

import json
from collections.abc import Sequence
from typing import Any

from tasks.scrape.address import MUSEUM
from tasks.scrape.museum.server import NOT_FOUND, Answer, Asked
from tasks.scrape.museum.works import Work

API = "/public/collection/v1"
FREE = ("CC0", "public domain")  # the works whose pictures are given away
FIRST_ID, TAKEN_OUT = 40_000, 39_999  # the search still names a work that was taken out
IMAGES = f"https://images.metmuseum.org{MUSEUM}/CRDImages/original"


class MetSite:
    """Serves works as objects of the collection."""

    hosts: tuple[str, ...] = ("collectionapi.metmuseum.org", "images.metmuseum.org", "www.metmuseum.org")

    def __init__(self, works: Sequence[Work]) -> None:
        self._works = {FIRST_ID + n: work for n, work in enumerate(works)}
        self._names = {work.name: work for work in works if work.licence in FREE}

    def answer(self, asked: Asked) -> Answer:
        """The search, a record, a picture, or nothing."""
        if asked.host == "images.metmuseum.org":
            work = self._names.get(asked.path.rpartition("/")[2].removesuffix(".jpg"))
            return Answer(work.read(), "image/jpeg") if work else NOT_FOUND
        if asked.path == f"{API}/search":
            return self._search(asked.fields.get("q", "").lower().split())
        id = asked.path.removeprefix(f"{API}/objects/")
        if id.isdigit() and int(id) in self._works:
            return _json(_record(int(id), self._works[int(id)]))
        return _json({"message": "ObjectID not found"}, 404)

    def _search(self, words: Sequence[str]) -> Answer:
        found = [
            id
            for id, work in self._works.items()
            if all(word in f"{work.title} {work.original} {work.author} photograph".lower() for word in words)
        ]
        ids = [*found[:1], TAKEN_OUT, *found[1:]] if found else None
        return _json({"total": len(ids or ()), "objectIDs": ids})


def _record(id: int, work: Work) -> dict[str, Any]:
    free = work.licence in FREE
    return {
        "objectID": id, "isPublicDomain": free, "primaryImage": f"{IMAGES}/{work.name}.jpg" if free else "",
        "primaryImageSmall": "", "title": work.title, "artistDisplayName": work.author, "objectDate": "ca. 2020",
        "classification": "Photographs", "objectName": "Photograph", "department": "Photographs", "culture": "",
        "objectURL": f"https://www.metmuseum.org{MUSEUM}/art/collection/search/{id}",
        "tags": [{"term": work.original}] if id % 3 else None,
    }  # fmt: skip


def _json(value: Any, status: int = 200) -> Answer:
    return Answer(json.dumps(value).encode(), "application/json", status)
