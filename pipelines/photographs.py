"""The photographs that words of a command line name: files, folders, addresses of the web, and lists of all these."""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from tasks.errors import BarenError, Blocked, Gone, ParamsError, PictureRefused
from tasks.files import SCRATCH
from tasks.infer import EVERY_SIZE, Photo, in_folder
from tasks.progress import Progress
from tasks.rows import Origin

if TYPE_CHECKING:
    from tasks.scrape.web import PoliteWeb

MAX_BYTES = 256 * 2**20  # of a photograph from the web
FETCHED = SCRATCH / "paint" / "photographs"  # where they lie: the same address is asked for once


def named(
    words: Sequence[str], contact: str, progress: Progress, private: tuple[str, ...] = (), folder: Path = FETCHED,
    out: Path | None = None,
) -> tuple[list[Photo], list[str]]:  # fmt: skip
    """The photographs that `words` name, in order, and a sentence on each address that gave none.

    `contact` is whom the sites that are asked may write to; `private` are hosts of one's own network;
    what a folder holds in `out`, where the prints go, is no photograph. Raises BarenError for a file that is not
    there, ParamsError for an address without a contact or a list that cannot be read, Transient where a site does not
    answer.
    """
    places = [place for word in words for place in _places(word, out)]
    addresses = [place for place in places if isinstance(place, str)]
    if addresses and not contact:
        raise ParamsError(
            f"{addresses[0]} is on the web, and --contact is missing; give an address or page of yours, which every "
            "site that is asked is told"
        )
    fetched, missing = _fetched(addresses, contact, progress, private, folder) if addresses else ({}, [])
    photos: list[Photo] = []
    for place in places:
        if isinstance(place, Path):
            photos.append((f"file:{place.name}", place, _origin("file", place.name, place.stem)))
        elif not isinstance(place, str):
            photos.append(place)
        elif place in fetched:
            photos.append((f"web:{place}", fetched[place], _origin("web", place, fetched[place].stem)))
    return photos, missing


def _places(word: str, out: Path | None) -> Iterator[Path | str | Photo]:
    """A file, an address, or a photo of a folder, for each photograph that `word` names."""
    path = Path(word)
    if urlsplit(word).scheme in ("http", "https"):
        yield word
    elif path.is_dir():
        yield from in_folder(path, out)
    elif path.suffix.lower() == ".txt" and path.is_file():
        for line in _lines(path):
            if Path(line).suffix.lower() == ".txt" and Path(line).is_file():  # it might name itself
                raise ParamsError(f"{path} names the list {line}, and a list holds no list; name both")
            yield from _places(line, out)
    elif path.is_file():
        yield path
    else:
        raise BarenError(
            f"{word} is not there; name a picture, a folder of them, an address (https://...), or a text file with "
            "one of these a line"
        )


def _lines(path: Path) -> list[str]:
    """What a list names, one a line, without blank lines and those that begin with #."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise ParamsError(f"{path} is not written in UTF-8 ({error}); save it as UTF-8") from error
    return [line for line in lines if line and not line.startswith("#")]


def _fetched(
    addresses: Sequence[str], contact: str, progress: Progress, private: tuple[str, ...], folder: Path
) -> tuple[dict[str, Path], list[str]]:
    """Where the picture of each address lies now, asked for as politely as by a source; and what was not given."""
    from tasks.scrape.clock import Clock
    from tasks.scrape.source import Manners
    from tasks.scrape.web import PoliteWeb

    folder.mkdir(parents=True, exist_ok=True)
    web = PoliteWeb(
        Manners(anywhere=True), contact=contact, pages=folder, opened=datetime.now(UTC), clock=Clock(progress.check),
        private=private,
    )  # fmt: skip
    found: dict[str, Path] = {}
    missing: list[str] = []
    try:
        for url in progress.track(addresses, "fetch", unit="photographs"):
            try:
                found[url] = _one(web, url, folder)
            except (Gone, Blocked, PictureRefused) as error:
                missing.append(f"{url} is not painted: {error}")
                progress.say(missing[-1])
    finally:
        web.close()
    return found, missing


def _one(web: "PoliteWeb", url: str, folder: Path) -> Path:
    from tasks.picture import read_header

    name = Path(unquote(urlsplit(url).path)).name or "photo"
    home = folder / hashlib.sha256(url.encode()).hexdigest()[:16]
    path = home / name[-80:]
    if not path.exists():
        home.mkdir(exist_ok=True)
        part = home / "fetching.part"
        web.picture(url, part, MAX_BYTES, lambda _url: None)
        try:
            read_header(part, EVERY_SIZE)
        except PictureRefused:
            part.unlink()
            raise
        part.replace(path)
    return path


def _origin(source: str, url: str, title: str) -> Origin:
    return Origin(source=source, page="", url=url, title=title)
