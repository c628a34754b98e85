"""The polite client as a source sees it: pages and JSON, kept while the batch is open, and pictures as files."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from tasks.errors import Blocked, ParamsError, Transient
from tasks.files import give_name, write_bytes
from tasks.scrape.address import MUSEUM, Museum, Public, shown
from tasks.scrape.alone import alone
from tasks.scrape.clock import Clock
from tasks.scrape.download import Fetched, download
from tasks.scrape.robots import AGENT
from tasks.scrape.session import STAYS, Explain, PoliteSession, Refuse
from tasks.scrape.source import Manners

CONNECTIONS = 16
TRAPS = (  # words of pages that stand where an answer should: who asks is taken for a machine, rightly
    "g-recaptcha", "h-captcha", "captcha-form", "_cf_chl_opt", "cf-challenge", "/httpservice/retry/enablejs",
    "before you continue to", "unusual traffic from your",
)  # fmt: skip


def trap_in(text: str) -> str | None:
    """The words by which a page is known that keeps machines out, or None."""
    start = text[:200_000].lower()
    return next((trap for trap in TRAPS if trap in start), None)


def kept_out(place: str, trap: str) -> Blocked:
    """The error for a page that keeps machines out."""
    return Blocked(
        f"{place} answered with a page that keeps machines out ({trap!r}); what was fetched stays, leave the site "
        "alone for some hours"
    )


class PoliteWeb:
    """One source's view of the web, or of the museum where `museum_port` is given.

    `contact` is whom a site may write to; `pages` keeps answers, so that a run that goes on asks for none twice;
    `files` keeps whole files for longer. `private` names hosts that may be machines of one's own network.
    `say` is handed what a source tells the person.
    """

    def __init__(
        self, manners: Manners, *, contact: str, pages: Path, opened: datetime, clock: Clock,
        museum_port: int | None = None, private: tuple[str, ...] = (), version: str = "0.1",
        explain: Explain = lambda url, status, body: None, files: Path | None = None,
        say: Callable[[str], None] = lambda sentence: None,
    ) -> None:  # fmt: skip
        self._museum, self._pages, self._opened, self._clock = museum_port is not None, pages, opened, clock
        self._files, self._say = files or pages, say
        self._last: Path | None = None
        agent = f"{AGENT}/{version} (collects pictures to learn from; {contact})"
        hosts = tuple(host + MUSEUM for host in manners.hosts) if self._museum else manners.hosts
        adapter = Public(CONNECTIONS, private) if museum_port is None else Museum(museum_port, CONNECTIONS)
        self.session = PoliteSession(manners, agent, adapter, clock, hosts, explain)
        self.session.trust_env = not self._museum  # a proxy does not know the museum

    def at(self, url: str) -> str:
        """The address to ask for `url`: itself, or its place in the museum."""
        if not self._museum:
            return url
        parts = urlsplit(url)
        return parts._replace(netloc=parts.netloc + MUSEUM).geturl()

    def secret(self, name: str) -> str:
        """The value of an environment variable; the museum takes any. ParamsError where it is not set."""
        value = os.environ.get(name) or ("museum" if self._museum else "")
        if not value:
            raise ParamsError(f"the environment variable {name} is not set; the source cannot be asked without it")
        return value

    def opened(self) -> datetime:
        """When the batch was opened."""
        return self._opened

    def now(self) -> datetime:
        """What the clock says."""
        return self._clock.utc()

    def text(self, url: str, **params: str | int) -> str:
        """The body of a page. Blocked where it is a captcha, a consent page or a challenge."""
        body = self._get(url, params)
        text = body.decode("utf-8", "replace")
        if trap := trap_in(text):
            self.forget()
            raise kept_out(shown(url), trap)
        return text

    def json(self, url: str, **params: str | int) -> Any:
        """The value of a JSON answer; Transient where it is none after asking again."""
        for _ in range(3):
            body = self._get(url, params)  # outside: the errors a person meets are ValueErrors too
            try:
                return json.loads(body)
            except (ValueError, RecursionError):  # the second where it is nested without end
                self.forget()
        self.text(url, **params)  # a captcha says so
        raise Transient(f"{shown(url)} gave something that is no JSON, three times; {STAYS}")

    def later(self, seconds: float) -> None:
        """Forget the last page, which said no more than this, and wait."""
        self.forget()
        self.session.clock.sleep(seconds)

    def say(self, sentence: str) -> None:
        """Tell the person who collects."""
        self._say(sentence)

    def file(self, url: str, max_bytes: int) -> Path:
        """A file that is no picture, fetched once, by whoever comes first; resumed where an earlier run broke off."""
        path = self._files / self._page(url, {}).with_suffix(".file").name
        if path.exists():
            return path
        with alone(path.with_suffix(".lock"), self._clock, f"another run, which fetches {shown(url)} too", self._say):
            if not path.exists():  # still
                part = path.with_suffix(".part")
                self.picture(url, part, max_bytes, lambda url: None)
                give_name(part, path)
        return path

    def picture(self, url: str, part: Path, max_bytes: int, refuse: Refuse) -> Fetched:
        """The picture at `url`, byte for byte, in `part`; see tasks.scrape.download."""
        return download(self.session, url, part, max_bytes, refuse)

    def forget(self) -> None:
        """Let the last page go, which was no answer: a run that goes on asks for it again."""
        if self._last is not None:
            self._last.unlink(missing_ok=True)

    def close(self) -> None:
        """Let the connections go."""
        self.session.close()

    def _get(self, url: str, params: Mapping[str, str | int]) -> bytes:
        page = self._last = self._page(url, params)
        if page.exists():
            return page.read_bytes()
        body = self.session.get(url, params=params).content
        write_bytes(page, body)
        return body

    def _page(self, url: str, params: Mapping[str, str | int]) -> Path:
        asked = url + "?" + urlencode(sorted(params.items()))
        return self._pages / hashlib.sha256(asked.encode()).hexdigest()[:32]
