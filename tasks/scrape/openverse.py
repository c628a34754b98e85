"""Openverse: openly licensed pictures of many collections, found by one search; author and licence of each are known.

Its API takes anybody, twenty results a request and two hundred requests a day, and shows only the first pages of a
search; several narrower searches find more than one wide one. Its terms want it searched, not copied.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from tasks.scrape.shape import taken_apart
from tasks.scrape.source import Item, Manners, Mark, Shot, Source, Web
from tasks.settings import Settings

API = "https://api.openverse.org/v1/images/"
PER_PAGE = 20  # the most it gives to who has no account
CODES = ("cc0", "pdm", "by", "by-sa", "by-nc", "by-nd", "by-nc-sa", "by-nc-nd", "sampling+", "nc-sampling+")
FREE = ("cc0", "pdm", "by", "by-sa")  # may be changed and used for anything, some with attribution or share-alike
MUST = "its API changed, tasks/scrape/openverse.py must follow"


class OpenverseQuery(Settings):
    """What is searched for, one search after the other, and what of it is wanted."""

    searches: tuple[str, ...] = Field(min_length=1)  # each shows its first pages only: a few hundred pictures
    licences: tuple[str, ...] = Field(default=FREE, min_length=1)  # Openverse's codes; the default may be changed
    category: Literal["any", "photograph", "illustration", "digitized_artwork"] = "any"
    size: Literal["any", "small", "medium", "large"] = "any"
    collections: tuple[str, ...] = ()  # only these, as Openverse calls them (flickr, wikimedia, met, ...)

    @field_validator("licences")
    @classmethod
    def _known(cls, licences: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [licence for licence in licences if licence not in CODES]:
            raise ValueError(f"licence {unknown[0]!r} is unknown; Openverse's are {', '.join(CODES)}")
        return licences

    @field_validator("searches")
    @classmethod
    def _words(cls, searches: tuple[str, ...]) -> tuple[str, ...]:
        if not all(search.strip() for search in searches):
            raise ValueError("an empty search finds everything; give words")
        return searches


class Openverse(Source[OpenverseQuery]):
    """Openverse: openly licensed pictures of many collections, some hundred a search."""

    name = "openverse"
    Query = OpenverseQuery
    # The API has terms of its own instead of a robots.txt: 20 requests a minute, 200 a day. Pictures lie where their
    # collections keep them, and are asked for as those want it.
    manners = Manners(
        hosts=("api.openverse.org",), anywhere=True, pause=1.0, pauses={"api.openverse.org": 3.0}, robots=False
    )
    example: ClassVar[Mapping[str, Any]] = {"searches": ("photograph",)}

    def discover(self, query: OpenverseQuery, web: Web, cursor: Mapping[str, Any] | None) -> Iterator[Item | Mark]:
        """The pictures of each search, as far as it is shown; a mark after each page."""
        first, page = (cursor["search"], cursor["page"]) if cursor else (0, 1)
        for number in range(first, len(query.searches)):
            further, seen = True, set[str]()
            while further:
                items, further = read_page(web.json(web.at(API), page=page, **_asked(query, number)), page)
                yield from items
                further = further and not seen >= {item.key for item in items}  # a page again and again has no next
                seen.update(item.key for item in items)
                page += 1
                yield Mark({"search": number, "page": page} if further else {"search": number + 1, "page": 1})
            page = 1

    def notice(self, query: OpenverseQuery) -> str:
        """What its terms and limits are."""
        return (
            f"Openverse gives {PER_PAGE} pictures a request, some 200 requests a day and the first pages of a search; "
            "its terms want it searched, not copied, and its robots.txt wants no crawler"
        )


@taken_apart("an answer of Openverse", MUST)
def read_page(answer: Any, page: int) -> tuple[list[Item], bool]:
    """The pictures of one answer, and whether there is another; ShapeChanged where it is none as we know it."""
    items, pages = [_item(result) for result in answer["results"]], int(answer["page_count"])
    return items, bool(items) and page < pages


def _item(result: Mapping[str, Any]) -> Item:
    id, licence, version = str(result["id"]), str(result["license"]), str(result.get("license_version") or "")
    original = Shot(str(result["url"]), int(result.get("width") or 0), int(result.get("height") or 0))
    smaller = result.get("thumbnail")  # made by Openverse, 600 pixels wide; for when the collection's own is gone
    return Item(
        key=id,
        page=str(result["foreign_landing_url"]),
        shots=(original, Shot(str(smaller))) if smaller else (original,),
        title=str(result.get("title") or ""),
        author=str(result.get("creator") or ""),
        licence=_licence(licence, version),
        licence_url=str(result.get("license_url") or ""),
        tags=tuple(
            dict.fromkeys(
                str(tag["name"]) for tag in result.get("tags") or () if tag.get("name") and tag.get("accuracy") is None
            )  # without those that a machine guessed
        ),
    )


def _licence(code: str, version: str) -> str:
    match code:
        case "cc0":
            return "CC0"
        case "pdm":
            return "Public Domain Mark"
        case _:
            return f"CC {code.upper()} {version}".strip()


def _asked(query: OpenverseQuery, number: int) -> dict[str, str | int]:
    asked: dict[str, str | int] = {
        "q": query.searches[number], "license": ",".join(query.licences), "page_size": PER_PAGE,
    }  # fmt: skip
    if query.collections:
        asked["source"] = ",".join(query.collections)
    for name in ("category", "size"):
        if (value := getattr(query, name)) != "any":
            asked[name] = value
    return asked
