"""Answers that crawl: a server that drips its bytes keeps nobody for longer than WINDOW, wherever it does so."""

import io
import time
from http.client import HTTPResponse
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

WINDOW = 60.0  # seconds of waiting in which an answer must bring
LEAST = 120_000  # bytes, its headers among them: 2 kB a second, what is left of a thin line for each of many pictures


class Crawls(TimeoutError):
    """An answer brought fewer than LEAST bytes in WINDOW seconds; to urllib3 and requests it is out of time."""

    def __init__(self) -> None:
        super().__init__(f"fewer than {LEAST:,} bytes in {WINDOW:g} seconds")


def why_broken(error: BaseException) -> str:
    """Why an answer broke off, in few words: that it crawls, or the name of the error."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, Crawls):
            return str(cause)
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__


class _Watched(io.RawIOBase):
    """What comes from a socket, timed. Only waiting counts: whoever takes long to write a file is not kept waiting."""

    def __init__(self, raw: io.RawIOBase) -> None:
        super().__init__()
        self._raw, self._waited, self._brought = raw, 0.0, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        began = time.monotonic()
        count = self._raw.readinto(buffer)
        self._waited += time.monotonic() - began
        self._brought += count or 0
        if self._waited >= WINDOW:
            if count and self._brought < LEAST:
                raise Crawls
            self._waited, self._brought = 0.0, 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class Timed(HTTPResponse):
    """An answer whose status, headers, chunks and body are all read through _Watched."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fp = io.BufferedReader(_Watched(self.fp.detach()))  # nothing has been read yet


class _Plain(HTTPConnection):
    response_class = Timed


class _Secure(HTTPSConnection):
    response_class = Timed


TIMED: dict[str, Any] = {
    "http": type("PlainPool", (HTTPConnectionPool,), {"ConnectionCls": _Plain}),
    "https": type("SecurePool", (HTTPSConnectionPool,), {"ConnectionCls": _Secure}),
}


class TimedAdapter(HTTPAdapter):
    """Asks as requests does, straight or through a proxy of HTTP, but never waits for an answer that crawls."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Pools whose answers are timed."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = TIMED

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """The same for what a proxy hands on."""
        manager = super().proxy_manager_for(*args, **kwargs)
        if isinstance(manager, ProxyManager):
            manager.pool_classes_by_scheme = TIMED
        return manager
