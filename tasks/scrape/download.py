"""One picture from the web into a file: streamed, hashed on the way, resumed where it broke off, and never too big."""

import errno
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests

from tasks.errors import NoRoom, PictureRefused, Transient
from tasks.files import read_json, write_json
from tasks.scrape.address import shown, whole
from tasks.scrape.robots import forbids
from tasks.scrape.session import BROKEN_OFF, TRIES, PoliteSession, Refuse, each
from tasks.scrape.slow import why_broken

CHUNK = 1 << 18  # bytes


@dataclass(frozen=True)
class Fetched:
    """A file that came whole: where it lies and what it holds."""

    path: Path
    sha256: str
    bytes: int
    url: str


def download(session: PoliteSession, url: str, part: Path, max_bytes: int, refuse: Refuse) -> Fetched:
    """Fetch `url` into `part`; what an earlier try left there is asked on by Range, if the server vouches for it.

    Raises PictureRefused ("too many bytes", X-Robots-Tag, or what `refuse` says of the URL it ends at), NoRoom, and
    what PoliteSession raises; Transient where the answer broke off, or crawled, every time.
    """
    url = whole(url)
    if reason := refuse(url):
        raise PictureRefused(reason, shown(url))
    why = ""
    for attempt in range(TRIES):
        if attempt:
            session.clock.sleep(session.pace(_host(url)).jitter(attempt))
        try:
            fetched = _once(session, url, part, max_bytes, refuse)
            session.pace(_host(url)).came_whole()
            return fetched
        except BROKEN_OFF as error:
            why = why_broken(error)
        except _Short as error:
            why = str(error)
    what = f"{shown(url)} broke off {TRIES} times ({why})"
    session.pace(_host(url)).broke_off(what)
    raise Transient(what)


class _Short(Exception):
    """Fewer bytes than were promised."""


def _once(session: PoliteSession, url: str, part: Path, max_bytes: int, refuse: Refuse) -> Fetched:
    left, headers = _resume(part, url)
    with session.get(url, stream=True, headers=headers, refuse=refuse) as response:  # type: ignore[call-arg]
        if word := next(filter(None, map(forbids, each(response, "X-Robots-Tag"))), None):
            raise PictureRefused(f"X-Robots-Tag {word}", shown(url))
        have = left if response.status_code == 206 and _goes_on(response, left) else 0
        promised = _promised(response)
        if promised is not None and have + promised > max_bytes:
            raise PictureRefused("too many bytes", f"{have + promised:,}")
        noted = have > 0 or _remember(response, part, url, forget=left > 0)
        digest, size = _write(response, part, have, max_bytes)
        if promised is not None and size < have + promised:
            raise _Short(f"{size:,} of {have + promised:,} bytes")
    if noted:
        _notes(part).unlink(missing_ok=True)
    return Fetched(part, digest, size, response.url)


def _write(response: requests.Response, part: Path, have: int, max_bytes: int) -> tuple[str, int]:
    digest = hashlib.sha256()
    try:
        with part.open("r+b" if have else "wb") as file:
            for _ in range(0, have, CHUNK):
                digest.update(file.read(min(CHUNK, have - file.tell())))
            size = have
            for chunk in response.iter_content(CHUNK):
                size += len(chunk)
                if size > max_bytes:
                    raise PictureRefused("too many bytes", f"more than {max_bytes:,}")
                digest.update(chunk)
                file.write(chunk)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoRoom(
                f"the disk filled up while pictures were collected into {part.parent}; make room and run it again, "
                "it goes on where it stood"
            ) from error
        raise
    return digest.hexdigest(), size


def _resume(part: Path, url: str) -> tuple[int, dict[str, str]]:
    """How much of `url` an earlier try left, and what to ask with; what is noted of anything else is let go."""
    plain, notes = {"Accept-Encoding": "identity"}, _notes(part)
    if not notes.exists():
        return 0, plain
    told, have = read_json(notes), part.stat().st_size if part.exists() else 0
    if have and told["url"] == url:
        return have, {**plain, "Range": f"bytes={have}-", "If-Range": told["validator"]}
    notes.unlink()
    return 0, plain


def _remember(response: requests.Response, part: Path, url: str, forget: bool) -> bool:
    """Note what vouches that later bytes belong to the same file; False where nothing does, or it is not worth it."""
    if forget:
        _notes(part).unlink()
    etag = response.headers.get("ETag", "")
    validator = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")
    if not validator or (_promised(response) or 0) <= CHUNK:  # what comes in one piece
        return False
    write_json(_notes(part), {"url": url, "validator": validator})
    return True


def _goes_on(response: requests.Response, have: int) -> bool:
    match = re.match(r"bytes ([0-9]{1,18})-", response.headers.get("Content-Range", ""))
    return match is not None and int(match[1]) == have


def _promised(response: requests.Response) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) and "Content-Encoding" not in response.headers else None


def _notes(part: Path) -> Path:
    return part.with_suffix(".json")


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").lower()
