"""Wikimedia Commons, by its Action API: a search or a category, with the author and licence its pages state.

A picture is taken at a width that Wikimedia keeps ready, unless the original is asked for: scans there run to hundreds
of megabytes, and its policy wants robots to take little at a time.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup
from pydantic import model_validator

from tasks.errors import Blocked, ShapeChanged, SourceError, Transient
from tasks.scrape.shape import taken_apart
from tasks.scrape.source import Item, Manners, Mark, Shot, Source, Web
from tasks.settings import Settings

API = "https://commons.wikimedia.org/w/api.php"
PER_PAGE = 50  # what the API gives at once together with licences
CAP = 10_000  # results of one search; what lies behind is an error
MAXLAG, TRIES = 5, 6  # seconds the servers may be behind before they ask us to wait, and how often we do
MIMES = ("image/jpeg", "image/png", "image/webp", "image/tiff", "image/gif")  # no drawings, films or books
BUSY = (
    "maxlag", "ratelimited", "readonly", "internal_api_error_DBQueryError", "cirrussearch-backend-error",
    "cirrussearch-too-busy-error", "cirrussearch-regex-too-busy-error",
)  # fmt: skip
LOST = ("filemissing", "filehidden")  # said of a file that has a page and no bytes for us; it has no address either
SAID = "Artist|LicenseShortName|LicenseUrl|DateTimeOriginal|ObjectName"
ANSWER = "an answer of Wikimedia Commons"
MUST = "its API changed, tasks/scrape/commons.py must follow"


class CommonsQuery(Settings):
    """A search or a category, and what of it is wanted."""

    search: str = ""  # in Commons' own words ("forest -map incategory:Quality_images"); this, or category
    category: str = ""  # as in the address: "Featured_pictures_of_forests"; without what lies below it
    width: Literal[0, 330, 500, 960, 1280, 1920, 3840] = 1280  # pixels, as Wikimedia keeps them; 0: the original
    licences: tuple[str, ...] = ()  # those whose name begins so ("CC0", "Public domain", "CC BY"); all there are free

    @model_validator(mode="after")
    def _one(self) -> "CommonsQuery":
        if bool(self.search.strip()) == bool(self.category.strip()):
            raise ValueError("give exactly one of search and category")
        return self


class Commons(Source[CommonsQuery]):
    """Wikimedia Commons: freely licensed photographs and works of art."""

    name = "commons"
    Query = CommonsQuery
    # The API is open to whoever says who they are and asks one thing after the other; robots.txt speaks to crawlers.
    # Of pictures no more than two may be under way at once.
    manners = Manners(hosts=("commons.wikimedia.org", "upload.wikimedia.org"), pause=1.0, connections=2, robots=False)
    example: ClassVar[Mapping[str, Any]] = {"search": "photograph"}

    def discover(self, query: CommonsQuery, web: Web, cursor: Mapping[str, Any] | None) -> Iterator[Item | Mark]:
        """The pictures in the order of the search or the category; a mark after each answer."""
        further: Mapping[str, str | int] | None = cursor["further"] if cursor else {}
        been: list[Mapping[str, str | int]] = []
        while further is not None:
            been.append(further)
            answer = _ask(web, {**_asked(query), **further})
            yield from (item for item in read_answer(answer, query) if _wanted(item, query))
            further = _further(answer)
            if further in been:
                raise ShapeChanged(f"Wikimedia Commons leads back to where it was ({dict(further)}); {MUST}")
            if further is not None:
                yield Mark({"further": dict(further)})

    def work(self, key: str) -> str:
        """The number of the file's page, whatever its bytes and the width asked for."""
        return key.partition("-")[0]


@taken_apart(ANSWER, MUST)
def read_answer(answer: Any, query: CommonsQuery) -> list[Item]:
    """The pictures of one answer; ShapeChanged where it is none as we know it. No "query" is no result."""
    pages = sorted(answer.get("query", {}).get("pages", []), key=lambda page: page.get("index", 0))
    described = [(page, info) for page in pages for info in page.get("imageinfo", ())[:1]]
    there = [(page, info) for page, info in described if not any(info.get(lost) for lost in LOST)]
    return [_item(page, info, query.width) for page, info in there if info["mime"] in MIMES]


def _item(page: Mapping[str, Any], info: Mapping[str, Any], width: int) -> Item:
    said = {name: _plain(value.get("value")) for name, value in (info.get("extmetadata") or {}).items()}
    name = unquote(urlsplit(str(info["descriptionurl"])).path.rpartition(":")[2])
    if width and int(info["width"]) > width and info.get("thumburl"):
        shot = Shot(str(info["thumburl"]), int(info["thumbwidth"]), int(info["thumbheight"]))
    else:
        shot = Shot(str(info["url"]), int(info["width"]), int(info["height"]))
    return Item(
        key=f"{page['pageid']}-{str(info['sha1'])[:10]}-{width}",  # a file may be exchanged under its name
        page=str(info["descriptionurl"]),
        shots=(shot,),
        title=said.get("ObjectName") or name.rpartition(".")[0].replace("_", " "),
        author=said.get("Artist", ""),
        date=said.get("DateTimeOriginal", ""),
        licence=said.get("LicenseShortName") or "unknown",
        licence_url=said.get("LicenseUrl", ""),
    )


def _wanted(item: Item, query: CommonsQuery) -> bool:
    return not query.licences or item.licence.startswith(query.licences)


def _plain(html: Any) -> str:
    """The words of a field, which is HTML; hidden ones, that machines are meant to read, left out."""
    text = str(html or "")
    if not set(text) & set("<&"):
        return " ".join(text.split())
    page = BeautifulSoup(text, "html.parser")
    for hidden in page.select('[style*="display"]'):
        hidden.decompose()
    return " ".join(page.get_text().split())


@taken_apart(ANSWER, MUST)
def _further(answer: Mapping[str, Any]) -> Mapping[str, str | int] | None:
    """What the next request must carry; None at the end, and where the search ends for everybody."""
    further = answer.get("continue")
    return None if further is None or int(further.get("gsroffset") or 0) > CAP - PER_PAGE else dict(further)


def _asked(query: CommonsQuery) -> dict[str, str | int]:
    asked: dict[str, str | int] = {
        "action": "query", "format": "json", "formatversion": 2, "maxlag": MAXLAG, "prop": "imageinfo",
        "iiprop": "url|size|mime|sha1|extmetadata", "iiextmetadatafilter": SAID, "iiextmetadatalanguage": "en",
    }  # fmt: skip
    if query.width:
        asked["iiurlwidth"] = query.width
    if query.search:
        found = {"generator": "search", "gsrsearch": f"filetype:bitmap {query.search}", "gsrnamespace": 6}
        return {**asked, **found, "gsrlimit": PER_PAGE}
    title = f"Category:{query.category.removeprefix('Category:')}"
    return {**asked, "generator": "categorymembers", "gcmtitle": title, "gcmtype": "file", "gcmlimit": PER_PAGE}


def _ask(web: Web, asked: Mapping[str, str | int]) -> Any:
    """The answer; where the servers say that they are behind, asked again when they want it."""
    problem: SourceError = Transient("Wikimedia Commons was not asked")
    for _ in range(TRIES):
        answer = web.json(web.at(API), **asked)
        if not isinstance(answer, Mapping) or "error" not in answer:
            return answer
        problem = _problem(answer["error"])
        if not isinstance(problem, Transient):
            break
        web.later(MAXLAG)
    raise problem


@taken_apart(ANSWER, MUST)
def _problem(error: Mapping[str, Any]) -> SourceError:
    """The API's errors, which come with status 200, in our words."""
    code, info = str(error.get("code", "")), str(error.get("info", ""))
    match code:
        case _ if code in BUSY:
            return Transient(f"Wikimedia Commons is busy ({info}); what was fetched stays, run it again later")
        case "blocked" | "autoblocked" | "globalblocking-ipblocked-range":
            return Blocked(
                f"Wikimedia Commons has blocked us ({info}); write to whom it names, and ask no more meanwhile"
            )
        case _:
            return SourceError(f"Wikimedia Commons cannot answer ({code}: {info}); change pictures.SET.scrape.query")
