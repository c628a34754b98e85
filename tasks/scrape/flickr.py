"""Flickr, through flickrapi: complete past its cap of 4,000 results a search, with author and licence.

A search that finds more than the cap is split by upload date until every part is under it. The newest date is frozen
when the run begins, so that uploads meanwhile shift no page.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from tasks.errors import Blocked, Gone, ShapeChanged, SourceError, Transient
from tasks.scrape.session import STAYS
from tasks.scrape.shape import taken_apart
from tasks.scrape.source import Item, Manners, Mark, Shot, Source, Web
from tasks.scrape.web import kept_out, trap_in
from tasks.settings import Settings

API = "https://api.flickr.com/services/rest/"
PER_PAGE = 500  # the most Flickr gives
CAP = 4_000  # results of one search; later pages repeat earlier ones or are an error
SPLIT_ABOVE = 3_600  # results; below the cap, since counts wobble
ENOUGH = 100  # searches without a new photo; some 60 are sound, where all photos lie in one moment of twenty years
TRIES = 4  # of an answer that says, with status 200, that the service is not available
LATE = 2 * 86_400  # seconds that a photo may take from its upload to its first being found
BEGIN = 1_075_593_600  # 1 February 2004, when Flickr opened
EXTRAS = (
    "license,date_upload,date_taken,owner_name,tags,media,path_alias,o_dims,original_format,"
    "url_o,url_6k,url_5k,url_4k,url_3k,url_k,url_h,url_l,url_c,url_z"
)
MUST = "its API changed, tasks/scrape/flickr.py must follow"
SIZES = EXTRAS.split("url_")[1:]

_CC = "https://creativecommons.org/"
_NAMES = ("BY-NC-SA", "BY-NC", "BY-NC-ND", "BY", "BY-SA", "BY-ND")
LICENCES: dict[int, tuple[str, str]] = {
    0: ("All rights reserved", ""),
    **{n: (f"CC {name} 2.0", f"{_CC}licenses/{name.lower()}/2.0/") for n, name in enumerate(_NAMES, 1)},
    7: ("No known copyright restrictions", "https://www.flickr.com/commons/usage/"),
    8: ("United States Government Work", "https://www.usa.gov/government-works"),
    9: ("CC0", f"{_CC}publicdomain/zero/1.0/"),
    10: ("Public Domain Mark", f"{_CC}publicdomain/mark/1.0/"),
    **{
        n: (f"CC {name} 4.0", f"{_CC}licenses/{name.lower()}/4.0/")
        for n, name in enumerate(("BY", "BY-SA", "BY-ND", "BY-NC", "BY-NC-SA", "BY-NC-ND"), 11)
    },
}
FREE = (4, 5, 7, 8, 9, 10, 11, 12)  # may be changed and used for anything, some with attribution or share-alike


class FlickrQuery(Settings):
    """A search as Flickr knows it, and what of it is wanted."""

    text: str = ""
    tags: tuple[str, ...] = ()
    tag_mode: Literal["any", "all"] = "all"
    licences: tuple[int, ...] = FREE  # Flickr's ids; the default may be changed and reused
    sort: Literal["date-posted-desc", "date-posted-asc", "relevance", "interestingness-desc"] = "date-posted-desc"
    uploaded_after: int = BEGIN  # seconds since 1970, inclusive
    uploaded_before: int | None = Field(default=None)  # likewise; None: when the run began
    group: Literal["photo", "owner"] = "photo"  # what is held out together

    @model_validator(mode="after")
    def _possible(self) -> "FlickrQuery":
        if not (self.text or self.tags):
            raise ValueError("give text or tags; Flickr searches for nothing else")
        if unknown := [licence for licence in self.licences if licence not in LICENCES]:
            raise ValueError(f"licence {unknown[0]} is unknown; Flickr's ids are 0 to {max(LICENCES)}")
        if self.uploaded_before is not None and self.uploaded_before < self.uploaded_after:
            raise ValueError("uploaded_before lies before uploaded_after; exchange them")
        return self


class Flickr(Source[FlickrQuery]):
    """Photographs of Flickr by words or tags, past its 4,000 a search, with author and licence."""

    name = "flickr"
    Query = FlickrQuery
    # The API has terms of its own, under the key, instead of a robots.txt; its hosts take some 3,600 calls an hour.
    manners = Manners(hosts=("flickr.com", "staticflickr.com"), pause=1.0, per_hour=3_600, robots=False)
    example: ClassVar[Mapping[str, Any]] = {"text": "photograph"}
    secrets = ("FLICKR_API_KEY", "FLICKR_API_SECRET")

    def discover(self, query: FlickrQuery, web: Web, cursor: Mapping[str, Any] | None) -> Iterator[Item | Mark]:
        """Every photo of the search, window of upload dates by window; a mark after each page."""
        search, seen, in_vain = _search_with(web), set[str](), 0
        opened = int(web.opened().timestamp())
        newest = min(query.uploaded_before or opened, opened)  # what is to come is read when it has come
        windows = [(a, b) for a, b in cursor["windows"]] if cursor else [(query.uploaded_after, newest)]
        page: int = cursor["page"] if cursor else 1
        if cursor and cursor["newest"] < newest:  # an earlier batch read up to there; what it began, begins again
            windows, page = [*windows, (max(query.uploaded_after, cursor["newest"] + 1 - LATE), newest)], 1
        while windows:
            first, last = windows[-1]
            found = search(_asked(query, first, last, page))
            fresh = {str(photo.get("id")) for photo in found.photos} - seen
            seen |= fresh
            in_vain = 0 if fresh else in_vain + 1
            if in_vain > ENOUGH:
                raise ShapeChanged(
                    f"Flickr answered {ENOUGH} searches in a row with photos it gave before, and still counts "
                    f"{found.total:,}; what was fetched stays, narrow the query's text or dates"
                )
            if page == 1 and found.total > SPLIT_ABOVE and last > first:
                middle = (first + last) // 2
                windows[-1:] = [(first, middle), (middle + 1, last)]
                continue
            for photo in found.photos:
                if photo.get("media", "photo") == "photo":
                    yield read_photo(photo, query.group, web)
            if page < min(found.pages, CAP // PER_PAGE) and found.photos:
                page += 1
            else:
                windows.pop()
                page = 1
            left = [list(window) for window in windows]
            yield Mark({"windows": left, "page": page, "newest": newest}, lasting=True)

    def refuse(self, url: str) -> str | None:
        """Flickr shows a picture of its own where a photo was deleted or made private."""
        return "photo unavailable" if "photo_unavailable" in url else None


class Found:
    """One page of a search."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        with taken_apart("Flickr's answer", MUST):
            body = answer["photos"]
            self.total, self.pages = int(body["total"]), int(body["pages"])
            self.photos: list[Mapping[str, Any]] = [{**photo} for photo in body["photo"] or []]


def read_photo(photo: Mapping[str, Any], group: str, web: Web) -> Item:
    """What Flickr says of one photo; ShapeChanged where it lacks what it always had."""
    with taken_apart("a photo of Flickr's", MUST):
        id, owner = str(photo["id"]), str(photo["owner"])
        shots = [
            Shot(str(photo[f"url_{size}"]), int(photo.get(f"width_{size}") or 0), int(photo.get(f"height_{size}") or 0))
            for size in (size.strip(",") for size in SIZES)
            if photo.get(f"url_{size}")
        ]
        if not shots:
            shots = [Shot(web.at(f"https://live.staticflickr.com/{photo['server']}/{id}_{photo['secret']}_b.jpg"))]
        licence, licence_url = LICENCES.get(int(photo.get("license") or 0), ("unknown", ""))
    return Item(
        key=id,
        page=web.at(f"https://www.flickr.com/photos/{photo.get('pathalias') or owner}/{id}"),
        shots=tuple(sorted(shots, key=lambda shot: -shot.width * shot.height)),
        title=str(photo.get("title") or ""),
        author=str(photo.get("ownername") or owner),
        date=str(photo.get("datetaken") or ""),
        licence=licence,
        licence_url=licence_url,
        tags=tuple(str(photo.get("tags") or "").split()),
        group=owner if group == "owner" else "",
    )


def _asked(query: FlickrQuery, first: int, last: int, page: int) -> dict[str, str | int]:
    asked: dict[str, str | int] = {
        "license": ",".join(map(str, query.licences)), "media": "photos", "content_types": "0", "safe_search": 1,
        "sort": query.sort, "min_upload_date": first, "max_upload_date": last, "per_page": PER_PAGE, "page": page,
        "extras": EXTRAS,
    }  # fmt: skip
    if query.text:
        asked["text"] = query.text
    if query.tags:
        asked |= {"tags": ",".join(query.tags), "tag_mode": query.tag_mode}
    return asked


def _search_with(web: Web) -> Any:
    """A function from what is asked to the page found, by flickrapi over our polite session."""
    import flickrapi

    class Ours(flickrapi.FlickrAPI):
        REST_URL = web.at(API)

    api = Ours(
        web.secret("FLICKR_API_KEY"), web.secret("FLICKR_API_SECRET"), format="parsed-json", store_token=False,
        cache=False, timeout=30,
    )  # fmt: skip
    api.flickr_oauth.session = web.session

    def search(asked: Mapping[str, str | int]) -> Found:
        problem: SourceError = Transient("Flickr was not asked")
        for _ in range(TRIES):
            try:
                return Found(api.photos.search(**asked))
            except flickrapi.FlickrError as error:
                problem = _problem(int(error.code or 0), str(error))
            except SourceError:
                raise
            except ValueError as error:  # JSON was asked for
                if trap := trap_in(str(getattr(error, "doc", ""))):
                    raise kept_out("Flickr", trap) from error
                problem = Transient(f"Flickr gave something that is no JSON ({error}); {STAYS}")
            if not isinstance(problem, Transient):
                raise problem
        raise problem

    return search


def _problem(code: int, message: str) -> SourceError:
    """Flickr's error codes in our words."""
    match code:
        case 100:
            renew = "flickr.com/services/apps shows yours, correct or renew it there"
            return Blocked(f"Flickr does not take the key in FLICKR_API_KEY ({message}); {renew}")
        case 95 | 96 | 97 | 98 | 99:
            return Blocked(f"Flickr does not take the secret in FLICKR_API_SECRET ({message}); correct it")
        case 20:
            return ShapeChanged(f"Flickr gave fewer pages than it counted ({message}); narrow the dates of the query")
        case 0 | 10 | 105 | 106 | 201:
            return Transient(f"Flickr is not available now ({message}); what was fetched stays, run it again later")
        case 1 | 2 | 3 | 18:
            return Gone(f"Flickr cannot answer this query ({message}); change pictures.SET.scrape.query")
        case _:
            return SourceError(f"Flickr answered with error {code} ({message})")
