"""Two searches that answer in JSON: Google's Custom Search API, whole past its 99 results a search, and SearXNG.

Custom Search counts calls by the day; a search that fills its results is parted by colour, size and kind of picture,
all parts page by page in turn, so that a limit of any height takes from all of them alike.
"""

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tasks.errors import Blocked, Exhausted, Gone, SourceError
from tasks.scrape.google_pages import MUST, found, need, read_cse
from tasks.scrape.pace import exhausted
from tasks.scrape.shape import taken_apart
from tasks.scrape.source import Item, Mark, Web

API = "https://customsearch.googleapis.com/customsearch/v1"
KEYS = ("GOOGLE_API_KEY", "GOOGLE_SEARCH_ENGINE")
END = datetime(2027, 1, 1, tzinfo=UTC)  # of Custom Search, as Google announced it
PER_PAGE, LAST_START, LAST_PAGE = 10, 91, 9  # start and number may add up to 100 and no more
MIDNIGHT = timedelta(hours=8)  # Google's day begins at midnight in California: 8:00 UTC in winter, sooner in summer
SPLITS: dict[str, tuple[str, tuple[str, ...]]] = {
    "colour": ("imgDominantColor", ("black", "blue", "brown", "gray", "green", "orange", "pink", "purple", "red",
                                    "teal", "white", "yellow")),
    "size": ("imgSize", ("huge", "xxlarge", "xlarge", "large", "medium", "small", "icon")),
    "type": ("imgType", ("photo", "face", "stock", "lineart", "clipart", "animated")),
    "file": ("fileType", ("jpg", "png", "webp", "gif", "bmp")),
}  # fmt: skip


def by_cse(
    web: Web, text: str, rights: str, sides: Sequence[tuple[str, Sequence[str]]], calls_a_day: int,
    cursor: Mapping[str, Any] | None,
) -> Iterator[Item | Mark]:  # fmt: skip
    """What Google's API finds; a mark after each call says what is still to be asked, and how much of today is spent.

    Raises Exhausted, with the time when Google's day ends, and Gone once the API has ended.
    """
    if web.at(API) == API and web.now() >= END:
        raise Gone(
            f"Google ended its Custom Search API on {END.day} {END:%B %Y}; use `backend: saved` or `searxng`, "
            "or the sources openverse and commons"
        )
    asked = {"searchType": "image", "q": text, "safe": "active", **({"rights": rights} if rights else {})}
    keys = {"key": web.secret(KEYS[0]), "cx": web.secret(KEYS[1])}
    queue: deque[tuple[list[str], int]] = deque(cursor["queue"] if cursor else [([], 1)])  # values of sides, and start
    day, calls = (cursor["day"], cursor["calls"]) if cursor else ("", 0)
    seen: set[str] = set(cursor["seen"]) if cursor else set()  # beginnings of keys; a part finds what its whole did
    while queue:
        values, start = queue.popleft()
        if (today := _day(web.now())) != day:
            day, calls = today, 0
        if calls >= calls_a_day:
            raise _spent(web, host="")  # a person's setting: another day's number may be higher, so no wait is kept
        number = PER_PAGE if start < LAST_START else LAST_PAGE
        part = {name: value for (name, _), value in zip(sides, values, strict=False)}
        try:
            told = web.json(web.at(API), **asked, **part, **keys, start=start, num=number)
        except Exhausted as spent:
            raise _spent(web, host=_host(web)) from spent
        calls += 1
        answer = read_cse(told, f"an answer of {API}")
        for item in answer.items:
            if item.key[:12] not in seen:
                seen.add(item.key[:12])
                yield item
        if start < LAST_START and answer.further:
            queue.append((values, start + PER_PAGE))
        elif start == LAST_START and answer.count >= LAST_PAGE and len(values) < len(sides):
            queue.extend(([*values, value], 1) for value in sides[len(values)][1])
        yield Mark({"queue": [list(part) for part in queue], "day": day, "calls": calls, "seen": sorted(seen)})


def explain_cse(status: int, body: str) -> SourceError | None:
    """What Google means by an error, in our words; None where asking again may help."""
    try:
        error = json.loads(body)["error"]
        message = str(error["message"])
        reasons = {str(one.get("reason", "")) for one in error.get("errors", ())}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if reasons & {"dailyLimitExceeded", "quotaExceeded"} or (status == 429 and "per minute" not in message):
        return Exhausted(f"Google's quota is spent ({message})")
    if status >= 500 or status == 429:
        return None
    if status == 400 and ("API key" in message or reasons & {"keyInvalid"}):
        return Blocked(f"Google does not take the key in {KEYS[0]} ({message}); correct it")
    if status == 400:
        return SourceError(f"Google cannot answer this query ({message}); check {KEYS[1]} and the query's words")
    if status == 403:
        return Blocked(
            f"Google does not let {KEYS[0]} search ({message}); its API takes no new customers, use `backend: saved` "
            "or `searxng`, or the sources openverse and commons"
        )
    return SourceError(f"Google answered with {status} ({message})")


def by_searxng(
    web: Web, instance: str, text: str, engines: str, cursor: Mapping[str, Any] | None
) -> Iterator[Item | Mark]:
    """What the engines of a SearXNG find, page by page, until a page brings nothing new."""
    page: int = cursor["page"] if cursor else 1
    seen: set[str] = set()
    while True:
        address = f"{instance}/search"
        told = web.json(web.at(address), q=text, categories="images", engines=engines, format="json", pageno=page)
        fresh = [item for item in read_searxng(told, address) if item.key not in seen]
        yield from fresh
        if not fresh:
            return
        seen.update(item.key for item in fresh)
        page += 1
        yield Mark({"page": page})


def read_searxng(answer: Any, address: str) -> list[Item]:
    """The pictures of one answer; Blocked where there are none because the engines were kept out."""
    items: list[Item] = []
    with taken_apart(address, MUST):
        for row in need(answer, address, "results"):
            width, _, height = str(row.get("resolution") or "").replace("×", "x").partition("x")
            sizes = (int(side) if (side := text.strip()).isdecimal() else 0 for text in (width, height))
            items += found(
                str(need(row, address, "img_src")), str(need(row, address, "url")), str(row.get("title") or ""),
                str(row.get("author") or ""), *sizes,
            )  # fmt: skip
        silent = answer.get("unresponsive_engines") or []
        told = "; ".join(": ".join(str(part) for part in engine) for engine in silent)
    if not items and silent:
        raise Blocked(f"{address} found nothing because its engines were kept out ({told}); leave them alone for hours")
    return items


def _spent(web: Web, host: str) -> Exhausted:
    """The day is spent, by the count of `host` or by ours ("")."""
    now = web.now()
    begins = (now - MIDNIGHT).replace(hour=0, minute=0, second=0, microsecond=0) + MIDNIGHT + timedelta(days=1)
    spent = exhausted(_host(web), begins.timestamp())
    return Exhausted(str(spent), spent.until, host)


def _host(web: Web) -> str:
    return web.at(API).split("/")[2]


def _day(now: datetime) -> str:
    return f"{now - MIDNIGHT:%Y-%m-%d}"
