"""The Metropolitan Museum of Art, by its collection API: works in the public domain, whose pictures are CC0.

A search gives all numbers at once, and each work is then asked for by itself: one request a work, besides its picture.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pydantic import model_validator

from tasks.errors import Gone, ShapeChanged
from tasks.scrape.shape import taken_apart
from tasks.scrape.source import Item, Manners, Mark, Shot, Source, Web
from tasks.settings import Settings

API = "https://collectionapi.metmuseum.org/public/collection/v1"
CC0 = "https://creativecommons.org/publicdomain/zero/1.0/"
BETWEEN_MARKS = 20  # works
MUST = "its API changed, tasks/scrape/met.py must follow"


class MetQuery(Settings):
    """A search as the museum knows it, and what of it is wanted."""

    search: str  # words; they may stand anywhere in what the museum says of a work
    medium: str = ""  # as the museum sorts: "Paintings", "Prints", "Woodblock prints"; several parted by |
    department: int | None = None  # its number: 6 is Asian Art, 11 European Paintings
    place: str = ""  # where it was made: "Japan"; several parted by |
    years: tuple[int, int] | None = None  # made between these
    highlights: bool = False  # only what the museum is known for
    classification: tuple[str, ...] = ()  # only works whose classification or object name is one of these

    @model_validator(mode="after")
    def _possible(self) -> "MetQuery":
        if not self.search.strip():
            raise ValueError("search is empty; give words, the museum searches for nothing else")
        if self.years and self.years[0] > self.years[1]:
            raise ValueError(f"years {list(self.years)} end before they begin; exchange them")
        return self


class Met(Source[MetQuery]):
    """The Metropolitan Museum of Art: works in the public domain, their pictures CC0."""

    name = "met"
    Query = MetQuery
    # The API is documented for programs, with 80 requests a second; its guards were seen to shut out who sends thirty
    # at once, so we ask slowly.
    manners = Manners(hosts=("metmuseum.org",), pause=1.0, robots=False)
    example: ClassVar[Mapping[str, Any]] = {"search": "photograph"}

    def discover(self, query: MetQuery, web: Web, cursor: Mapping[str, Any] | None) -> Iterator[Item | Mark]:
        """The works in the order of the search; a mark after every twenty."""
        done: int = cursor["done"] if cursor else 0
        ids = read_search(web.json(web.at(f"{API}/search"), **_asked(query)))
        for number, id in enumerate(ids[done:], done + 1):
            try:
                item = read_work(web.json(web.at(f"{API}/objects/{id}")), query)
            except Gone:  # the search remembers works that were taken out
                item = None
            if item is not None:
                yield item
            if number % BETWEEN_MARKS == 0:
                yield Mark({"done": number})


@taken_apart("a search of the Met", MUST)
def read_search(answer: Any) -> list[int]:
    """The numbers of the works found; none where the museum says null."""
    total, ids = int(answer["total"]), [int(id) for id in answer["objectIDs"] or ()]
    if total and not ids:
        raise ShapeChanged(f"a search of the Met counts {total:,} works and names none (objectIDs); {MUST}")
    return ids


@taken_apart("a work of the Met", MUST)
def read_work(work: Any, query: MetQuery) -> Item | None:
    """What the museum says of one work; None where its picture is not free or not of the wanted kind."""
    id, picture, free = int(work["objectID"]), str(work["primaryImage"] or ""), bool(work["isPublicDomain"])
    page = str(work.get("objectURL") or f"https://www.metmuseum.org/art/collection/search/{id}")
    kinds = [str(work.get(name) or "") for name in ("classification", "objectName")]
    if not (free and picture) or (query.classification and not set(kinds) & set(query.classification)):
        return None
    smaller = str(work.get("primaryImageSmall") or "")
    said = (kinds[0], work.get("department"), work.get("culture"), *(tag.get("term") for tag in work.get("tags") or ()))
    return Item(
        key=str(id),
        page=page,
        shots=(Shot(picture), Shot(smaller)) if smaller else (Shot(picture),),
        title=str(work.get("title") or ""),
        author=str(work.get("artistDisplayName") or ""),
        date=str(work.get("objectDate") or ""),
        licence="CC0",
        licence_url=CC0,
        tags=tuple(dict.fromkeys(str(word) for word in said if word)),
    )


def _asked(query: MetQuery) -> dict[str, str | int]:
    asked: dict[str, str | int] = {"hasImages": "true"}
    if query.medium:
        asked["medium"] = query.medium
    if query.department is not None:
        asked["departmentId"] = query.department
    if query.place:
        asked["geoLocation"] = query.place
    if query.years:
        asked |= {"dateBegin": query.years[0], "dateEnd": query.years[1]}
    if query.highlights:
        asked["isHighlight"] = "true"
    return {**asked, "q": query.search}
