"""How the museum misbehaves on purpose: everything a real site was seen to do to a client."""

import random
import re
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Literal

from tasks.scrape.address import MUSEUM

Misbehaviour = Literal["slow", "reset", "truncated", "endless", "lying"]
Kind = Literal[
    "429", "503", "500", "403", "404", "slow", "reset", "truncated", "endless", "lying", "html", "json", "placeholder",
    "captcha", "elsewhere", "private", "noai", "wrong extension", "key", "expired", "changed", "lag",
]  # fmt: skip

CAPTCHA = b'<html><body><form id="captcha-form"><div class="g-recaptcha"></div></form></body></html>'
CHANGED = b"<html><head><title>All new!</title></head><body><main class='grid'></main></body></html>"
LAG = b'{"error": {"code": "maxlag", "info": "Waiting for db1: 7 seconds lagged", "lag": 7}}'
HTML = b"<html><body><h1>Something went wrong</h1></body></html>"


class Fault:
    """Strikes requests whose host and path fit `where`: `times` of them after the first `after`, a `share` at random.

    `retry_after`: in seconds, sent as a date where `as_date`; None sends no such header.
    """

    def __init__(
        self, kind: Kind, where: str = "", *, after: int = 0, times: int | None = None, share: float = 1.0,
        retry_after: float | None = None, as_date: bool = False, seed: int = 0,
    ) -> None:  # fmt: skip
        self.kind, self._where, self._after, self._times, self._share = kind, re.compile(where), after, times, share
        self._retry_after, self._as_date, self._random = retry_after, as_date, random.Random(seed)
        self._seen = self.struck = 0
        self._lock = threading.Lock()

    def strikes(self, place: str) -> bool:
        """Whether the request for `place` is struck; counts it."""
        if not self._where.search(place):
            return False
        with self._lock:
            self._seen += 1
            if self._seen <= self._after or (self._times is not None and self.struck >= self._times):
                return False
            if self._share < 1.0 and self._random.random() >= self._share:
                return False
            self.struck += 1
            return True

    @property
    def misbehaviour(self) -> Misbehaviour | None:
        """What goes wrong on the wire, whatever is said."""
        match self.kind:
            case "slow" | "reset" | "truncated" | "endless" | "lying":
                return self.kind
            case _:
                return None

    def headers(self) -> dict[str, str]:
        """Headers added to the site's own answer."""
        return {"X-Robots-Tag": "noai, noimageai"} if self.kind == "noai" else {}

    def answer(self) -> tuple[int, str, bytes, dict[str, str]] | None:
        """Status, type, body and headers instead of the site's answer; None leaves it."""
        html, json = "text/html; charset=utf-8", "application/json"
        match self.kind:
            case "429" | "503":
                return int(self.kind), html, b"<html><body><h1>429 Too Many Requests</h1></body></html>", self._wait()
            case "500" | "403" | "404":
                return int(self.kind), html, HTML, {}
            case "html":
                return 200, html, HTML, {}
            case "json":
                return 200, json, b'{"photos": {"page": 1, "pa', {}
            case "captcha":
                return 200, html, CAPTCHA, {}
            case "changed":
                return 200, html, CHANGED, {}
            case "wrong extension":
                return 200, "image/jpeg", HTML, {}
            case "placeholder":
                place = f"https://s.yimg.com{MUSEUM}/pw/images/en-us/photo_unavailable_l.png"
                return 302, html, b"", {"Location": place}
            case "elsewhere":
                return 302, html, b"", {"Location": "https://tracker.invalid/picture.jpg"}
            case "private":
                return 302, html, b"", {"Location": "http://169.254.169.254/latest/meta-data/"}
            case "key":
                return 200, json, _flickr_error(100, "Invalid API Key (Key has invalid format)"), {}
            case "lag":
                return 200, json, LAG, {"Retry-After": "5"}
            case "expired":
                return 200, json, _flickr_error(100, "Invalid API Key (Key has expired)"), {}
            case _:
                return None

    def _wait(self) -> dict[str, str]:
        if self._retry_after is None:
            return {}
        if self._as_date:
            when = datetime.now(UTC) + timedelta(seconds=self._retry_after)
            return {"Retry-After": format_datetime(when, usegmt=True)}
        return {"Retry-After": f"{self._retry_after:.0f}"}


def _flickr_error(code: int, message: str) -> bytes:
    return f'{{"stat": "fail", "code": {code}, "message": "{message}"}}'.encode()
