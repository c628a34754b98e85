"""A list of addresses that a person brings, as img2dataset takes it; each picture is fetched as its host wants it."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tasks.errors import ParamsError
from tasks.scrape.members import place, refusal
from tasks.scrape.sidecar import About
from tasks.scrape.source import Item, Manners, Mark, Shot, Source, Web, mended
from tasks.scrape.table import Encoding, Row, is_table, read_table, require_column
from tasks.settings import Settings

BETWEEN_MARKS = 200  # rows
NO_ADDRESS = "no address of the web"


class UrlListQuery(Settings):
    """Where the list is, and what its columns are called."""

    path: str  # a .txt (an address a line), .csv, .tsv, .json, .jsonl, .parquet, packed or not; or a folder of such
    url: str = "url"  # the column of the addresses; LAION's lists call it URL
    caption: str = "caption"  # the column of the titles, where there is one; author, licence, page, tags are read too
    encoding: Encoding = "utf-8"
    licence: str = "unknown"  # of every picture of which the list says nothing


class UrlList(Source[UrlListQuery]):
    """Any list of picture addresses: txt, csv, tsv, json, jsonl or Parquet."""

    name = "url_list"
    Query = UrlListQuery
    manners = Manners(anywhere=True, pause=1.0, connections=16)  # many hosts, each asked at its own pace

    def discover(self, query: UrlListQuery, web: Web, cursor: Mapping[str, Any] | None) -> Iterator[Item | Mark]:
        """A picture a row, in the order of the list; a mark after every two hundred."""
        done: int = cursor["done"] if cursor else 0
        for number, (path, row) in enumerate(_rows(place(query.path, self.name), query), 1):
            if number == 1:
                require_column(row, query.url, path, "query.url")
            if number > done:
                yield _item(row, query, web)
                if number % BETWEEN_MARKS == 0:
                    yield Mark({"done": number})


def _rows(path: Path, query: UrlListQuery) -> Iterator[tuple[Path, Row]]:
    if not path.is_dir():
        yield from ((path, row) for row in read_table(path, query.encoding))
        return
    tables = sorted(table for table in path.iterdir() if is_table(table))
    if not tables:
        raise ParamsError(f"url_list: {path} holds no list; give .txt, .csv, .tsv, .json, .jsonl or .parquet files")
    for table in tables:
        yield from ((table, row) for row in read_table(table, query.encoding))


def _item(row: Row, query: UrlListQuery, web: Web) -> Item:
    url, about = mended(str(row.get(query.url) or "")).strip(), About.read({**row, "url": None})
    key = hashlib.sha256(url.encode()).hexdigest()[:16]
    if not _is_address(url):
        return Item(
            key=key, page=url or "(empty)", shots=(Shot(url or "(empty)"),), bytes_of=refusal(NO_ADDRESS, url[:80])
        )
    return Item(
        key=key,
        page=about.page if _is_address(about.page) else web.at(url),
        shots=(Shot(web.at(url)),),
        title=str(row.get(query.caption) or "") or about.title,
        author=about.author,
        date=about.date,
        licence=about.licence or query.licence,
        licence_url=about.licence_url,
        tags=about.tags,
        group=about.group,
    )


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False
