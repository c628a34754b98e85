"""The museum's doors: one HTTP server on loopback for all its sites, told apart by the host that is asked for.

It keeps a log of what was asked, and misbehaves where a Fault says so.
"""

import hashlib
import re
import socket
import struct
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol, Self
from urllib.parse import parse_qsl, urlsplit

from tasks.scrape.address import MUSEUM
from tasks.scrape.museum.faults import Fault, Misbehaviour


@dataclass(frozen=True)
class Asked:
    """One request, as a site sees it: the host without the museum's ending, GET and POST fields together."""

    method: str
    host: str
    path: str
    fields: Mapping[str, str]
    headers: Mapping[str, str]
    at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Answer:
    """What goes back."""

    body: bytes
    kind: str = "text/html; charset=utf-8"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


class Site(Protocol):
    """One of the museum's sites."""

    hosts: tuple[str, ...]

    def answer(self, asked: Asked) -> Answer:
        """What the site gives."""
        ...


NOT_FOUND = Answer(b"<html><body><h1>404 - Not found</h1></body></html>", status=404)


class Museum:
    """Serves from entering the block to leaving it; `port` is free to choose by the machine."""

    def __init__(self, sites: Sequence[Site]) -> None:
        self._sites = {host: site for site in sites for host in site.hosts}
        self.log: list[Asked] = []
        self.faults: list[Fault] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, asked: Asked) -> tuple[Answer, Misbehaviour | None]:
        """The site's answer, and what goes wrong with it."""
        with self._lock:
            self.log.append(asked)
            fault = next((fault for fault in self.faults if fault.strikes(asked.host + asked.path)), None)
        if fault is not None and (instead := fault.answer()) is not None:
            status, kind, body, headers = instead
            return Answer(body, kind, status, headers), fault.misbehaviour
        site = self._sites.get(asked.host)
        if site is None:
            return NOT_FOUND, None
        answer = site.answer(asked)
        if fault is not None and fault.headers():
            answer = Answer(answer.body, answer.kind, answer.status, {**answer.headers, **fault.headers()})
        return answer, fault.misbehaviour if fault is not None else None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news."""


def _handler(museum: Museum) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._serve({})

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self._serve(dict(parse_qsl(self.rfile.read(length).decode(), keep_blank_values=True)))

        def _serve(self, form: dict[str, str]) -> None:
            parts = urlsplit(self.path)
            host = (self.headers.get("Host") or "").partition(":")[0].removesuffix(MUSEUM)
            fields = {**dict(parse_qsl(parts.query, keep_blank_values=True)), **form}
            asked = Asked(self.command, host, parts.path, fields, dict(self.headers))
            answer, wrong = museum.answer(asked)
            self._send(answer, wrong)

        def _send(self, answer: Answer, wrong: Misbehaviour | None) -> None:
            if wrong == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                self.close_connection = True
                return
            if wrong == "slow":
                time.sleep(0.3)
            status, body, headers = answer.status, answer.body, dict(answer.headers)
            if status == 200 and answer.kind.startswith("image/"):
                headers["ETag"] = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
                status, body = self._ranged(body, headers)
            self.send_response(status)
            self.send_header("Content-Type", answer.kind)
            length = {"endless": 10_000_000_000, "lying": len(body) // 2}.get(wrong or "", len(body))
            self.send_header("Content-Length", str(length))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if wrong == "truncated":
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
            elif wrong == "endless":
                self._pour()
            else:
                self.wfile.write(body[:length])

        def _ranged(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
            match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
            if match is None or self.headers.get("If-Range") not in (None, headers["ETag"]):
                return 200, body
            start = int(match[1])
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            return 206, body[start:]

        def _pour(self) -> None:
            try:
                while True:
                    self.wfile.write(bytes(65536))
            except OSError:
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            """The museum's own log is the record."""

    return Handler
