"""A requests.Session with manners: whoever is handed it (flickrapi, say) paces, waits and retries without knowing."""

import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import (
    ChunkedEncodingError,
    ContentDecodingError,
    InvalidHeader,
    InvalidProxyURL,
    InvalidSchema,
    InvalidURL,
)
from requests.structures import CaseInsensitiveDict

from tasks.errors import BarenError, Blocked, Exhausted, Gone, PictureRefused, ShapeChanged, SourceError, Transient
from tasks.scrape.address import is_below, onward, require_host, shown, whole
from tasks.scrape.clock import Clock
from tasks.scrape.pace import LONGEST_RETRY_AFTER, Pace
from tasks.scrape.robots import EVERYTHING, MOST, Robots, read_robots
from tasks.scrape.slow import why_broken
from tasks.scrape.source import Manners

TRIES = 6
HOPS = 5  # redirects followed
MAX_PAGE = 20_000_000  # bytes of an answer that is no picture, unpacked; the longest listing is a hundredth of it
TIMEOUT = (10.0, 30.0)  # seconds to connect, and between two bytes
STAYS = "what was fetched stays, run it again later"
NUMBER = re.compile(r"\s*([0-9]+(\.[0-9]*)?|\.[0-9]+)\s*")
LATER = (408, 425, 500, 502, 504)  # and 429 and 503, which also slow everybody down

Refuse = Callable[[str], str | None]
# What a connection, or a server that lies about its answer, gives once and may not give again.
BROKEN_OFF = (requests.ConnectionError, requests.Timeout, ChunkedEncodingError, ContentDecodingError, InvalidHeader)
Explain = Callable[
    [str, int, str], SourceError | None
]  # an address, a status of 400 or more, and what was said with it


class PoliteSession(requests.Session):
    """Every request of one source goes through here; an answer that comes back is good (status below 400), but for a
    range that the file does not have (416).

    Raises Transient (tried TRIES times), Gone (404, 410), Blocked (401, 403, 451, robots.txt, a foreign or private
    host, a challenge), Exhausted (told to wait longer than we would), PictureRefused where `refuse` knows the target,
    and what `explain` makes of what a host of the source says.
    """

    def __init__(
        self, manners: Manners, agent: str, adapter: HTTPAdapter, clock: Clock, hosts: tuple[str, ...],
        explain: Explain = lambda url, status, body: None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.manners, self.clock, self.hosts, self._explain = manners, clock, hosts, explain
        self.headers["User-Agent"] = agent
        self.auth = lambda request: request  # or a password in ~/.netrc would be told to the site
        self.num_requests = 0
        self._paces: dict[str, Pace] = {}
        self._robots: dict[str, Robots] = {}
        self._environment: dict[tuple[str, str], Any] = {}  # by scheme and host
        self._lock = threading.Lock()
        self._asking_robots: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def request(
        self, method: str, url: str, *args: Any, refuse: Refuse | None = None, **kwargs: Any
    ) -> requests.Response:  # type: ignore[override]  # pyright: ignore
        """The answer to one request, redirects followed host by host; one for a picture comes with a `refuse`."""
        hosts = None if self.manners.anywhere and refuse is not None else self.hosts
        for _ in range(HOPS + 1):
            url = whole(url, kwargs.pop("params", None))  # robots.txt speaks of the query too
            self._require_robots(url, require_host(url, hosts))
            response = self._persist(method, url, *args, **kwargs)
            if (further := onward(url, response)) is None:
                return response
            url = further
            if refuse is not None and (reason := refuse(url)):
                raise PictureRefused(reason, shown(url))
            if method == "POST" and response.status_code in (301, 302, 303):
                method, kwargs = "GET", {key: value for key, value in kwargs.items() if key != "data"}
        raise Gone(f"{shown(url)} leads from one place to the next without end")

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """As requests does it; a plain GET in less time, since there is one for each picture."""
        more = (request.params, request.data, request.json, request.files, request.auth, request.cookies)
        if request.method != "GET" or any(more):
            return super().prepare_request(request)
        prepared = requests.PreparedRequest()
        prepared.prepare_method("GET")
        prepared.prepare_url(request.url or "", None)
        prepared.headers = CaseInsensitiveDict({**self.headers, **request.headers})
        prepared.prepare_cookies(self.cookies)
        prepared.prepare_body(None, None)
        prepared.prepare_hooks(self.hooks)
        return prepared

    def resolve_redirects(self, *args: Any, **kwargs: Any) -> Iterator[Any]:  # pyright: ignore
        """None: requests would read the whole body and prepare the next address before `request` has looked at it."""
        return iter(())

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> dict[str, Any]:
        """As requests does it, but proxies are looked up in the environment once a host, not with each request."""
        if proxies or verify is not None or cert is not None:
            return super().merge_environment_settings(url, proxies, stream, verify, cert)
        parts = urlsplit(url)
        place = parts.scheme, parts.netloc
        if place not in self._environment:
            self._environment[place] = super().merge_environment_settings(url, {}, None, None, None)
        return {**self._environment[place], "stream": self.stream if stream is None else stream}

    def pace(self, host: str) -> Pace:
        """The pace of one host."""
        with self._lock:
            if host not in self._paces:
                pause = self.manners.pauses.get(host, self.manners.pause)
                self._paces[host] = Pace(host, pause, self.manners.per_hour, self.clock)
            return self._paces[host]

    def broken(self) -> SourceError | None:
        """What ended our patience with one of the source's own hosts, if anything did."""
        ours = (pace for host, pace in [*self._paces.items()] if is_below(host, self.hosts))
        return next((pace.broken for pace in ours if pace.broken is not None), None)

    def exhausted(self) -> list[Exhausted]:
        """What each host said that gives no more for longer than we would wait."""
        return [pace.broken for pace in [*self._paces.values()] if isinstance(pace.broken, Exhausted)]

    def _persist(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:
        host = (urlsplit(url).hostname or "").lower()
        pace = self.pace(host)
        kwargs = {**kwargs, "allow_redirects": False, "timeout": TIMEOUT}
        why = ""
        for attempt in range(TRIES):
            sent = pace.turn()
            self.num_requests += 1
            try:
                response = super().request(method, url, *args, **{**kwargs, "stream": True})
                if response.status_code < 400 and not kwargs.get("stream"):
                    _read(response, url)
            except (InvalidProxyURL, InvalidSchema) as error:  # the address has a scheme that fits, or we were not here
                raise BarenError(
                    f"the proxy that the environment names cannot be used ({error}); correct HTTP_PROXY and HTTPS_PROXY"
                ) from error
            except InvalidURL as error:
                raise Gone(f"{shown(url)} is no address of the web ({error})") from error
            except BROKEN_OFF as error:
                why = f"no answer ({why_broken(error)})"
                self.clock.sleep(pace.jitter(attempt))
                continue
            status = response.status_code
            if status < 400 or (status == 416 and "Range" in (kwargs.get("headers") or {})):
                pace.answered()
                return response
            why = f"status {status}"
            challenged = response.headers.get("cf-mitigated") == "challenge"
            retry_after = _longest(each(response, "Retry-After"), self.clock)
            said = self._said(response) if is_below(host, self.hosts) else ""
            response.close()
            if said and (explained := self._explain(shown(url), status, said)) is not None:
                raise explained
            if status in (404, 410):
                pace.answered()
                raise Gone(f"{shown(url)} is gone ({why}); correct the query, or look whether the site has moved")
            if status in (429, 503) and not challenged:
                pace.too_many(sent, attempt, retry_after)
            elif status in LATER:
                self.clock.sleep(pace.jitter(attempt))
            else:
                what = f"{shown(url)} is not given to us ({why}{', a challenge page' if challenged else ''})"
                pace.gave_up(what, Blocked)
                raise Blocked(f"{what}; what was fetched stays, ask the site before you ask it again")
        what = f"{shown(url)} gave {why} {TRIES} times"
        pace.gave_up(what, Transient)
        raise Transient(f"{what}; {STAYS}")

    def _require_robots(self, url: str, host: str) -> None:
        if not self.manners.robots and is_below(host, self.hosts):
            return
        parts = urlsplit(url)
        with self._lock:
            asking = self._asking_robots[host]
        with asking:
            if host not in self._robots:
                hosts = self.hosts if is_below(host, self.hosts) else None
                self._robots[host] = self._ask_robots(f"{parts.scheme}://{parts.netloc}/robots.txt", hosts)
                self.pace(host).at_least(min(self._robots[host].delay, LONGEST_RETRY_AFTER))
        robots = self._robots[host]
        if robots.unread:
            raise Blocked(f"{host} was not asked, since its robots.txt cannot be had: {robots.unread}")
        if robots.delay > LONGEST_RETRY_AFTER:
            raise Blocked(
                f"{host} wants {robots.delay:,g} seconds between two requests (robots.txt), more than we ever wait, "
                "and was not asked; ask its keeper, or take it from the query"
            )
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        if not robots.allows(path or "/"):
            so = " with this query" if parts.query and robots.allows(parts.path or "/") else ""
            raise Blocked(
                f"{host} does not want {parts.path}{so} to be asked for (robots.txt); another query may be welcome"
            )

    def _ask_robots(self, url: str, hosts: tuple[str, ...] | None) -> Robots:
        """After RFC 9309: where there is none everything is allowed, where it cannot be had nothing is.

        Redirects are followed within `hosts` (None: to every public host); after HOPS of them, or one to what is
        no address, it counts as none.
        """
        for hop in range(HOPS + 1):
            try:
                url = whole(url)
                require_host(url, hosts)
                with self._persist("GET", url, stream=True) as response:
                    if (further := onward(url, response)) is None:
                        return read_robots(_start(response, MOST))
                    url = further
            except Gone:
                return EVERYTHING
            except Blocked as error:  # at a place we were sent to, that is not the host's own no
                return Robots(unread=str(error)) if hop else EVERYTHING
            except Transient as error:
                return Robots(unread=str(error))
            except requests.RequestException as error:
                return Robots(unread=f"{shown(url)} broke off ({why_broken(error)})")
        return EVERYTHING

    @staticmethod
    def _said(response: requests.Response) -> str:
        """What an error says of itself; "" where it breaks off."""
        try:
            return _start(response, 20_000)
        except requests.RequestException:
            return ""


def _read(response: requests.Response, url: str) -> None:
    """Read a body whole, as requests does for whoever does not stream; ShapeChanged where it has no end."""
    body = bytearray()
    with response:
        for chunk in response.iter_content(65_536):
            body += chunk
            if len(body) > MAX_PAGE:
                raise ShapeChanged(
                    f"{shown(url)} gave a page of more than {MAX_PAGE:,} bytes, which no listing has; look at it in a "
                    "browser, and run it again when it is well"
                )
    response._content = bytes(body)  # pyright: ignore[reportPrivateUsage]


def _start(response: requests.Response, most: int) -> str:
    """The beginning of a body, of which no more than `most` bytes are wanted."""
    body = bytearray()
    for chunk in response.iter_content(16_384):
        body += chunk
        if len(body) >= most:
            break
    return body[:most].decode("utf-8", "replace")


def each(response: requests.Response, header: str) -> list[str]:
    """What a header says, each time that it stands there; requests joins them, and they may speak of several things."""
    return [*response.raw.headers.getlist(header)]


def _longest(told: Iterable[str], clock: Clock) -> float | None:
    """The longest of all waits that Retry-After asks for."""
    return max((wait for text in told if (wait := _seconds(text, clock)) is not None), default=None)


def _seconds(retry_after: str, clock: Clock) -> float | None:
    """Retry-After in seconds, whether it gives them, once or more, or a date; None where it makes no sense."""
    if numbers := [float(part) for part in retry_after.split(",") if NUMBER.fullmatch(part)]:
        return max(numbers)
    try:
        when = parsedate_to_datetime(retry_after)
    except (TypeError, ValueError, OverflowError):
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - clock.utc()).total_seconds())
