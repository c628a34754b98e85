"""One picture from the web into a file: streamed, hashed on the way, resumed where it broke off, and never too big."""

import errno
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests

from tasks.errors import NoRoom, PictureRefused, TooLarge, Transient
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

    Raises PictureRefused (X-Robots-Tag, or what `refuse` says of the URL it ends at), TooLarge ("too many bytes"),
    NoRoom, and what PoliteSession raises; Transient where the answer broke off, or crawled, every time.
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
    """Fewer bytes than were promised, or others than were asked for."""


def _once(session: PoliteSession, url: str, part: Path, max_bytes: int, refuse: Refuse) -> Fetched:
    left, headers = _resume(part, url)
    with session.get(url, stream=True, headers=headers, refuse=refuse) as response:  # type: ignore[call-arg]
        if word := next(filter(None, map(forbids, each(response, "X-Robots-Tag"))), None):
            raise PictureRefused(f"X-Robots-Tag {word}", shown(url))
        if response.status_code == 416 or (response.status_code == 206 and not _goes_on(response, left)):
            _notes(part).unlink(missing_ok=True)  # so that the next try asks for all of it
            raise _Short(f"status {response.status_code}, and not from byte {left:,} on")
        have = left if response.status_code == 206 else 0
        promised = _promised(response, have)
        if promised is not None and promised > max_bytes:
            raise TooLarge("too many bytes", f"{promised:,}", max_bytes)
        noted = have > 0 or _remember(response, part, url)
        digest, size = _write(response, part, have, max_bytes)
        if promised is not None and size < promised:
            raise _Short(f"{size:,} of {promised:,} bytes")
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
                    raise TooLarge("too many bytes", f"more than {max_bytes:,}", max_bytes)
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


def _remember(response: requests.Response, part: Path, url: str) -> bool:
    """Note what vouches that later bytes belong to the same file; False where nothing does, or it is not worth it.

    What lies there of another file goes first: a kill in between must not leave its bytes under these notes.
    """
    part.write_bytes(b"")
    _notes(part).unlink(missing_ok=True)
    etag = response.headers.get("ETag", "")
    validator = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")
    if not validator or (_promised(response, 0) or 0) <= CHUNK:  # what comes in one piece
        return False
    write_json(_notes(part), {"url": url, "validator": validator})
    return True


def _goes_on(response: requests.Response, have: int) -> bool:
    match = _range(response)
    return match is not None and int(match[1]) == have


def _promised(response: requests.Response, have: int) -> int | None:
    """How many bytes the whole file has, `have` of which are here already; a part may say it of more than itself."""
    if response.status_code == 206 and (match := _range(response)) is not None and match[2].isdecimal():
        return int(match[2])
    text = response.headers.get("Content-Length", "")
    known = re.fullmatch(r"[0-9]{1,18}", text) and "Content-Encoding" not in response.headers
    return have + int(text) if known else None


def _range(response: requests.Response) -> re.Match[str] | None:
    return re.match(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)", response.headers.get("Content-Range", ""))


def _notes(part: Path) -> Path:
    return part.with_suffix(".json")


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").lower()
