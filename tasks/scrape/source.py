"""What a source is: a lazy generator of items and marks that is handed a web, and declares how it behaves.

A source knows its site and nothing else. Fetching, pacing, retries, resume, the ledger and the files are the
framework's; so a new source is one short file, and the same code runs against the site and against the museum.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from tasks.errors import SourceError
from tasks.settings import Settings

if TYPE_CHECKING:
    import requests

Q = TypeVar("Q", bound=Settings)


@dataclass(frozen=True)
class Shot:
    """One rendition of a picture that can be fetched; width and height in pixels, 0 where the site does not say."""

    url: str
    width: int = 0
    height: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", mended(self.url))


@dataclass(frozen=True)
class Item:
    """One picture as its source tells of it; half a character in its texts is replaced.

    `key` is stable for ever and unique within the source: another picture, or the same with other bytes, has another
    key. `shots` stand best first. `group` names the original that variants share ("" where there is none). `bytes_of`
    gives the picture where no web is needed; it may raise PictureRefused.
    """

    key: str
    page: str
    shots: tuple[Shot, ...]
    title: str = ""
    author: str = ""
    date: str = ""
    licence: str = "unknown"
    licence_url: str = ""
    tags: tuple[str, ...] = ()
    group: str = ""
    bytes_of: Callable[[], bytes] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("key", "page", "title", "author", "date", "licence", "licence_url", "group"):
            object.__setattr__(self, name, mended(getattr(self, name)))
        object.__setattr__(self, "tags", tuple(mended(tag) for tag in self.tags))


def mended(text: str) -> str:
    """`text` as any file can hold it: sites that cut titles at a length leave half a character at the end."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@dataclass(frozen=True)
class Mark:
    """Everything before this has been yielded; `cursor` (what JSON can hold) is where to begin again.

    Within one batch, that is. A `lasting` one serves a later batch too: begun there, the source misses nothing that
    has come meanwhile, and so need not read again what it has read.
    """

    cursor: Mapping[str, Any]
    lasting: bool = False


@dataclass(frozen=True)
class Manners:
    """How a site wants to be asked. No host but `hosts` (and their subdomains) is ever contacted.

    A source that finds pictures wherever they lie, as a search engine does, says `anywhere`: then pictures, and they
    alone, are fetched from every public host.
    """

    hosts: tuple[str, ...] = ()
    anywhere: bool = False
    pause: float = 1.0  # seconds between two requests to one host
    pauses: Mapping[str, float] = field(default_factory=dict[str, float])  # of hosts that want another one
    per_hour: int | None = None  # requests to one host in any hour
    connections: int = 2  # pictures under way at once
    robots: bool = True  # robots.txt of `hosts` is asked for and obeyed; any other host's always is

    @property
    def on_the_web(self) -> bool:
        """Whether anybody is asked; if not, the pictures lie on this machine."""
        return bool(self.hosts) or self.anywhere


class Web(Protocol):
    """The polite client as a source sees it. Errors are those of tasks.errors; what can be retried has been."""

    @property
    def session(self) -> requests.Session:
        """A polite session, for a package that wants to do the asking itself."""
        ...

    def at(self, url: str) -> str:
        """Where to ask for an address of the site; every address a source writes down itself goes through this."""
        ...

    def secret(self, name: str) -> str:
        """One of the source's secrets."""
        ...

    def opened(self) -> datetime:
        """When this batch was opened (UTC): the present of every query, also for a run that goes on later."""
        ...

    def now(self) -> datetime:
        """What the clock says (UTC), for quotas that begin anew each day."""
        ...

    def text(self, url: str, **params: str | int) -> str:
        """The body of a page."""
        ...

    def json(self, url: str, **params: str | int) -> Any:
        """The value of a JSON answer."""
        ...

    def later(self, seconds: float) -> None:
        """The last answer only said that we should ask again in so many seconds: forget it, and wait."""
        ...

    def say(self, sentence: str) -> None:
        """Tell the person who collects what is left out, and why."""
        ...

    def file(self, url: str, max_bytes: int) -> Path:
        """A file that is no picture, whole, fetched once; it stays until a person or the source removes it.

        PictureRefused where it is too large.
        """
        ...


class Source(ABC, Generic[Q]):
    """A place pictures come from."""

    name: ClassVar[str]
    Query: ClassVar[type[Settings]]  # the schema of params.yaml's `query` block
    manners: ClassVar[Manners] = Manners()
    example: ClassVar[Mapping[str, Any]] = {}  # a query that finds something, for `sources check` and `sources try`
    secrets: ClassVar[tuple[str, ...]] = ()  # environment variables without which it cannot work
    pacing: ClassVar[tuple[str, ...]] = ()  # words of the query that say how soon, not what

    @abstractmethod
    def discover(self, query: Q, web: Web, cursor: Mapping[str, Any] | None) -> Iterator[Item | Mark]:
        """What answers the query, lazily, from the start or from the cursor of an earlier mark."""

    def manners_for(self, query: Q) -> Manners:
        """How the places this query asks want to be asked."""
        return self.manners

    def secrets_for(self, query: Q) -> tuple[str, ...]:
        """Those of `secrets` without which this query cannot be asked."""
        return self.secrets

    def notice(self, query: Q) -> str:
        """What a person should know before this query is asked; "" where there is nothing."""
        return ""

    def explain(self, url: str, status: int, body: str) -> SourceError | None:
        """What the site means by an answer of `status` 400 or more, asked no second time; None: what anyone would."""
        return None

    def work(self, key: str) -> str:
        """The work behind an item's key; other than the key where one work has several. Taken down, none comes back."""
        return key

    def refuse(self, url: str) -> str | None:
        """Why the picture that finally came from `url` is none (a placeholder, say), or None where it is good."""
        return None
