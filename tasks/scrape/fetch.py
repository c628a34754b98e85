"""One item fetched: from the web or from where it lies, into a file that is known to be a picture."""

import errno
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.errors import Blocked, Gone, NoRoom, PictureRefused, SourceError, TooLarge
from tasks.scrape.look import Seen, look
from tasks.scrape.settings import Scrape
from tasks.scrape.source import Item, Source
from tasks.scrape.web import PoliteWeb

BROKEN = ("not a picture", "cut short")  # what a rendition may be and the next one not


@dataclass(frozen=True)
class Fetched:
    """A picture in a file."""

    path: Path
    url: str  # the rendition that came
    sha256: str
    bytes: int
    seen: Seen


def fetch(item: Item, source: Source[Any], web: PoliteWeb, path: Path, settings: Scrape) -> Fetched:
    """The best rendition of the item that is to be had, in `path`; where the site refuses one, it refuses the picture.

    Raises PictureRefused where it is never to be asked for again, SourceError where a later run may have more luck.
    """
    if item.bytes_of is not None:
        return _local(item, path, settings)
    error: Exception | None = None
    for shot in item.shots:
        try:
            got = web.picture(shot.url, path, settings.max_bytes, source.refuse)
            seen = look(path, settings.max_pixels, whole=True)
            return Fetched(path, shot.url, got.sha256, got.bytes, seen)
        except Gone as gone:
            error = error or PictureRefused("gone", str(gone))
        except Blocked as blocked:
            if web.session.broken() is not None:
                raise
            error = blocked
        except TooLarge as refused:
            error = refused
        except PictureRefused as refused:
            if refused.reason not in BROKEN:
                raise
            error = _page_instead(path, refused)
    assert error is not None, "an item has at least one shot"
    raise error


def _page_instead(path: Path, refused: PictureRefused) -> Exception:
    """A page where a picture should be, or half of one, may be another tomorrow; other rubbish stays what it is."""
    start = path.read_bytes()[:512].lstrip().lower() if path.exists() else b""
    path.unlink(missing_ok=True)
    if refused.reason == "cut short" or start.startswith((b"\xff\xd8\xff", b"\x89png")):
        return SourceError("cut short")
    if not start or start.startswith((b"<", b"{")):
        return SourceError("a page instead of a picture")
    return refused


def _local(item: Item, path: Path, settings: Scrape) -> Fetched:
    assert item.bytes_of is not None
    data = item.bytes_of()
    if len(data) > settings.max_bytes:
        raise TooLarge("too many bytes", f"{len(data):,}", settings.max_bytes)
    try:
        path.write_bytes(data)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoRoom(
                f"the disk filled up while pictures were collected into {path.parent}; make room and run it again, "
                "it goes on where it stood"
            ) from error
        raise
    seen = look(path, settings.max_pixels)
    return Fetched(path, item.shots[0].url, hashlib.sha256(data).hexdigest(), len(data), seen)
