"""A ready-made archive on the web: fetched once, whole, checked, and read as a folder is, without unpacking it."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import field_validator

from tasks.errors import ParamsError, PictureRefused
from tasks.files import sha256_file
from tasks.scrape.folder import Layout, pictures
from tasks.scrape.members import is_readable
from tasks.scrape.source import Item, Manners, Mark, Source, Web

MAX_BYTES = 50_000_000_000  # of an archive; the largest sets of pictures for one domain stay below it


class ArchiveQuery(Layout):
    """Where the archive is to be had, and how the pictures lie in it."""

    url: str  # of a .zip, .tar (also packed) or .parquet that anybody may fetch without logging in
    sha256: str = ""  # of the archive; given, another one is refused

    @field_validator("url")
    @classmethod
    def _address(cls, url: str) -> str:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ValueError(f"{url!r} is no address of the web; for a file on this machine say `use: folder`")
        return url


class Archive(Source[ArchiveQuery]):
    """A ready-made .zip, .tar or .parquet of pictures, by its address."""

    name = "archive"
    Query = ArchiveQuery
    manners = Manners(anywhere=True, pause=1.0)  # an address may lead to where its host keeps large files

    def discover(self, query: ArchiveQuery, web: Web, cursor: Mapping[str, Any] | None) -> Iterator[Item | Mark]:
        """Every picture that is wanted, in the order of names (of a .tar: in its own order)."""
        try:
            file = web.file(web.at(query.url), MAX_BYTES)
        except PictureRefused as refused:
            raise ParamsError(f"the archive at {query.url} is not to be had ({refused}); give another") from refused
        if query.sha256 and (found := sha256_file(file)) != query.sha256.lower():
            file.unlink()
            raise ParamsError(
                f"the archive at {query.url} has the sha256 {found} and not {query.sha256}; correct either"
            )
        if not is_readable(file):
            file.unlink()
            raise ParamsError(
                f"{query.url} gave neither a .zip nor a .tar nor a .parquet (a page to log in at, perhaps); "
                "download the archive by hand and say `use: folder` with its path"
            )
        yield from pictures(file, query.url, query, web.say)
