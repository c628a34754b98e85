"""What Google's image results look like, in every shape they were seen in: saved pages, and answers of its API.

A shape is known by its marks and not by its year. A page that keeps machines out is Blocked; one that is none of the
shapes, or lacks what its shape always had, is ShapeChanged and says what was not found.
"""

import email
import email.policy
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from bs4 import BeautifulSoup

from tasks.errors import Blocked, ShapeChanged, SourceError
from tasks.scrape.shape import taken_apart
from tasks.scrape.source import Item, Shot, mended
from tasks.scrape.web import trap_in

MUST = "save the page again, or let tasks/scrape/google_pages.py follow"
CELL = re.compile(r'\[\d+,\s*"[^"]{1,80}",\s*\[\s*"https?:')  # where a result begins: [0, id, [thumbnail, ...
META = '"2003":'  # the key of page and title in a result's last part


@dataclass(frozen=True)
class Answer:
    """One answer of the Custom Search API."""

    items: list[Item]
    count: int  # results in it, also those that are no address
    further: bool  # whether there may be more


def read_saved(data: bytes, name: str) -> list[Item]:
    """The pictures of a saved page; `name` is what it is called in an error."""
    with taken_apart(name, MUST):
        text = _unpacked(data)
    trap = trap_in(text) or ("/sorry/" if "/sorry/" in text[:2_000] else None)
    if trap is not None:
        raise Blocked(f"{name} is a page that keeps machines out ({trap!r}); save the result page that comes behind it")
    for pattern, read in SHAPES.items():
        if re.search(pattern, text[:200_000], re.IGNORECASE):
            with taken_apart(name, MUST):
                items = read(text, name)
            if items:
                return items
            raise SourceError(f"{name} is a result page without a single picture; remove it, or save another")
    raise ShapeChanged(f"{name} is no result page as we know one: neither {' nor '.join(SHAPES)} was found; {MUST}")


def read_cells(text: str, name: str) -> list[Item]:
    """Pages of 2020 to 2025: results as arrays inside scripts, whatever stands around them."""
    items, told, read = list[Item](), text.count(META), 0
    for begin in CELL.finditer(text):
        try:
            cell, _ = json.JSONDecoder().raw_decode(text, begin.start())
            thumbnail, picture = cell[2], cell[3]
        except (ValueError, LookupError, RecursionError):
            continue
        if not (_is_picture(thumbnail) and _is_picture(picture)):
            continue
        try:
            about = next(part["2003"] for part in cell[4:] if isinstance(part, Mapping) and "2003" in part)
            page, title = str(about[2]), str(about[3] or "")
        except (StopIteration, LookupError, TypeError) as error:
            raise ShapeChanged(f"{name} has a result without {META} (its page and title); {MUST}") from error
        read += 1
        items += found(picture[0], page, title, "", picture[2], picture[1])
    if not read:
        raise ShapeChanged(f"{name} holds no result ([0, id, [thumbnail, height, width], [picture, ...]]); {MUST}")
    if 2 * (told - read) >= told:
        raise ShapeChanged(
            f"{told - read} of {told} results in {name} cannot be read ([picture, height, width]); {MUST}"
        )
    return items


def read_app(text: str, name: str) -> list[Item]:
    """Answers for Google's own app, of 2022 to 2026; the only ones that may name the author."""
    try:
        answer, _ = json.JSONDecoder().raw_decode(text, text.index('{"ischj"'))
    except (ValueError, RecursionError) as error:
        raise ShapeChanged(f'{name} holds no whole {{"ischj": ...}} ({error}); {MUST}') from error
    items: list[Item] = []
    for row in need(answer, name, "ischj", "metadata"):
        result, picture = need(row, name, "result"), need(row, name, "original_image")
        creators = (result.get("iptc") or {}).get("creator") or ()
        items += found(
            str(need(picture, name, "url")), str(need(result, name, "referrer_url")),
            str(result.get("page_title") or ""), ", ".join(map(str, creators)),
            picture.get("width"), picture.get("height"),
        )  # fmt: skip
    return items


def read_wml(text: str, name: str) -> list[Item]:
    """Pages for old telephones, of 2026: each thumbnail a link to /imgres that says it all."""
    card = text[text.lower().index("<wml") :]  # without its <?xml, which would want another parser
    links = [link for link in BeautifulSoup(card, "html.parser").select("a") if link.find("img")]
    if not links:
        raise ShapeChanged(f"{name} has no thumbnail with a link (a img); {MUST}")
    items: list[Item] = []
    for link in links:
        parts = urlsplit(str(link.get("href") or ""))
        if parts.path != "/imgres":
            raise ShapeChanged(f"{name} has a thumbnail whose href is no /imgres but {parts.path!r}; {MUST}")
        told = {key: values[0] for key, values in parse_qs(parts.query).items()}
        width, height = (int(told[key]) if told.get(key, "").isdecimal() else 0 for key in ("w", "h"))
        items += found(need(told, name, "imgurl"), need(told, name, "imgrefurl"), "", "", width, height)
    return items


def read_cse(answer: Any, name: str) -> Answer:
    """One answer of the Custom Search API, asked for or saved; without results it has no items at all."""
    if isinstance(answer, Mapping) and "error" in answer:
        raise ShapeChanged(
            f"{name} is an error of Google's and no result page: {need(answer, name, 'error', 'message')}"
        )
    items: list[Item] = []
    with taken_apart(name, MUST):
        asked = need(answer, name, "queries", "request")[0]
        count = int(need(asked, name, "count"))
        rows = need(answer, name, "items") if count else []
        for row in rows:
            picture = need(row, name, "image")
            items += found(
                str(need(row, name, "link")), str(need(picture, name, "contextLink")), str(row.get("title") or ""), "",
                picture.get("width"), picture.get("height"),
            )  # fmt: skip
    return Answer(items, len(rows), bool(answer["queries"].get("nextPage")) or len(rows) >= 10)


def _saved_cse(text: str, name: str) -> list[Item]:
    try:
        return read_cse(json.loads(text), name).items
    except (json.JSONDecodeError, RecursionError) as error:
        raise ShapeChanged(f"{name} breaks off or is no JSON ({error}); {MUST}") from error


# What a shape is known by in the beginning of a page, the first that fits.
SHAPES: dict[str, Callable[[str, str], list[Item]]] = {
    '"ischj"': read_app,
    "<wml": read_wml,
    r"\A\s*\{": _saved_cse,
    "<html": read_cells,
}


def found(url: str, page: str, title: str, author: str, width: Any, height: Any) -> list[Item]:
    """The picture of one result, known by its address for ever; none where it is no address of the web."""
    if not url.startswith(("http://", "https://")):
        return []  # x-raw-image:///..., pictures inside documents
    url = mended(url)
    shot = Shot(url, width if isinstance(width, int) else 0, height if isinstance(height, int) else 0)
    return [Item(hashlib.sha256(url.encode()).hexdigest()[:20], page, (shot,), title, author)]


def need(value: Any, name: str, *path: str) -> Any:
    """What lies at a path of keys; ShapeChanged says which page lacks it."""
    for depth, key in enumerate(path, 1):
        if not isinstance(value, Mapping) or key not in value:
            raise ShapeChanged(f"{name} lacks {'.'.join(path[:depth])!r}; {MUST}")
        value = value[key]  # pyright: ignore[reportUnknownVariableType]
    return value


def _is_picture(part: Any) -> bool:
    """Whether it is [address, height, width]."""
    return isinstance(part, list) and len(part) >= 3 and isinstance(part[0], str) and "//" in part[0]  # pyright: ignore[reportUnknownArgumentType]


def _unpacked(data: bytes) -> str:
    """The page's text; a page that was saved in one file with its pictures is taken out of it."""
    if b"multipart/related" in data[:2_000].lower() and data[:2_000].lower().lstrip().startswith((b"from:", b"mime")):
        message = email.message_from_bytes(data, policy=email.policy.default)
        part = message.get_body(("html",))
        return str(part.get_content()) if part is not None else ""
    return data.decode("utf-8", "replace")
