"""A server that drips its answer byte by byte keeps nobody: the answer is left, and so is a host that goes on so."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tasks.errors import Blocked, Transient
from tasks.scrape import slow
from tasks.scrape.museum.server import Museum
from tasks.scrape.pace import ENOUGH
from tasks.scrape.source import Manners
from tasks.scrape.web import PoliteWeb
from tests.test_polite_web import BODY, HOST, URL, FakeClock, Plain, no

DRIPS = {
    "body": b'HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nETag: "a"\r\nContent-Length: 60000000\r\n\r\n',
    "chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "header": b"HTTP/1.1 200 OK\r\nX-Long: ",
}


@pytest.fixture
def drip(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], int]]:
    """Opens a server whose every answer drips from a place of it on, a byte a time; gives its port."""
    monkeypatch.setattr(slow, "WINDOW", 0.1)
    stop, doors = threading.Event(), list[socket.socket]()

    def pour(caller: socket.socket, start: bytes) -> None:
        with caller, contextlib.suppress(OSError):
            caller.recv(65_536)
            caller.sendall(start)
            while not stop.wait(0.01):
                caller.sendall(b"1")

    def serve(door: socket.socket, start: bytes) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=pour, args=(door.accept()[0], start), daemon=True).start()

    def begin(place: str) -> int:
        doors.append(door := socket.create_server(("127.0.0.1", 0)))
        threading.Thread(target=serve, args=(door, DRIPS[place]), daemon=True).start()
        return int(door.getsockname()[1])

    yield begin
    stop.set()
    for door in doors:
        door.shutdown(socket.SHUT_RDWR)
        door.close()


def to(port: int, pages: Path, robots: bool = False) -> PoliteWeb:
    return PoliteWeb(
        Manners(hosts=(HOST,), robots=robots), contact="x", pages=pages, opened=datetime.now(UTC), clock=FakeClock(),
        museum_port=port,
    )  # fmt: skip


@pytest.mark.parametrize("place", DRIPS)
def test_an_answer_that_crawls_is_left_wherever_it_does(place: str, drip: Callable[[str], int], tmp_path: Path) -> None:
    web = to(drip(place), tmp_path)
    with pytest.raises(Transient, match=r"fewer than 120,000 bytes in 0.1 seconds\) 6 times; what was fetched stays"):
        web.text(f"{URL}/a")
    with pytest.raises(Transient, match=r"6 times .*fewer than 120,000 bytes|fewer than 120,000 .* 6 times"):
        web.picture(f"{URL}/a.jpg", tmp_path / "part", 10**8, no)
    web.close()
    web = to(web.session.adapters["http://"].port, tmp_path, robots=True)  # type: ignore[attr-defined]
    with pytest.raises(Blocked, match=r"its robots.txt cannot be had: .*fewer than 120,000 bytes"):
        web.text(f"{URL}/b")
    web.close()


def test_a_host_whose_pictures_crawl_is_left_alone(drip: Callable[[str], int], tmp_path: Path) -> None:
    web = to(drip("body"), tmp_path)
    for number in range(ENOUGH):
        with pytest.raises(Transient, match="broke off 6 times"):
            web.picture(f"{URL}/{number}.jpg", tmp_path / f"{number}", 10**8, no)
    with pytest.raises(Transient, match=r"failed 5 requests in a row.*run it again later"):
        web.picture(f"{URL}/more.jpg", tmp_path / "more", 10**8, no)
    assert isinstance(web.session.broken(), Transient)
    web.close()


def test_who_reads_slowly_is_not_taken_for_a_slow_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow, "WINDOW", 0.5)
    monkeypatch.setattr(slow, "LEAST", 10**7)
    with Museum([Plain()]) as museum:
        web = to(museum.port, tmp_path)
        with web.session.get(f"{URL}/a.jpg", stream=True) as response:
            got = b""
            for chunk in response.iter_content(100_000):
                time.sleep(0.1)
                got += chunk
        web.close()
    assert got == BODY
