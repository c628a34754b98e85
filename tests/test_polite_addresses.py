"""An address is looked at as it will be asked for, whatever way it is written, and wherever it came from."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tasks.errors import Blocked, Gone
from tasks.scrape.address import MUSEUM, Public, whole
from tasks.scrape.museum.server import Answer, Asked, Museum
from tasks.scrape.session import PoliteSession
from tasks.scrape.source import Manners
from tasks.scrape.web import PoliteWeb
from tests.test_polite_web import BODY, HOST, URL, FakeClock, Plain, clock, museum, no, plain_web

__all__ = ["clock", "museum"]  # fixtures


@pytest.fixture
def web(museum: Museum, clock: FakeClock, tmp_path: Path) -> Iterator[PoliteWeb]:
    web = PoliteWeb(
        Manners(hosts=(HOST,)), contact="x", pages=tmp_path, opened=datetime.now(UTC), clock=clock,
        museum_port=museum.port,
    )  # fmt: skip
    yield web
    web.close()


@pytest.mark.parametrize("way", ["public/../private/a", "public/%2e%2e/private/a", "./private/a", "%70rivate/a"])
def test_robots_rules_are_asked_about_the_address_that_is_asked_for(way: str, museum: Museum, web: PoliteWeb) -> None:
    with pytest.raises(Blocked, match=r"does not want /private/a to be asked for \(robots.txt\)"):
        web.text(f"{URL}/{way}")
    assert [asked.path for asked in museum.log] == ["/robots.txt"]


def test_the_host_is_looked_at_as_it_would_be_asked(museum: Museum, web: PoliteWeb) -> None:
    with pytest.raises(Blocked, match=rf"leads to other.example{MUSEUM}, which is none of the source's hosts"):
        web.text(f"http://other.example{MUSEUM}\\@{HOST}{MUSEUM}/a")
    assert museum.log == []


@pytest.mark.parametrize(("sent", "path"), [("/wörk.jpg", "/w%C3%B6rk.jpg"), ("/w\udcf6rk.jpg", "/w%C3%B6rk.jpg")])
def test_a_redirect_that_is_not_ascii_is_followed(sent: str, path: str, clock: FakeClock, tmp_path: Path) -> None:
    class Sends(Plain):
        def answer(self, asked: Asked) -> Answer:
            if asked.path != "/a.jpg":
                return super().answer(asked)
            return Answer(
                b"", status=302, headers={"Location": sent.encode("utf-8", "surrogateescape").decode("latin-1")}
            )

    with Museum([Sends()]) as museum:
        web = plain_web(museum, clock, tmp_path)
        assert web.picture(f"{URL}/a.jpg", tmp_path / "part", 10**7, no).bytes == len(BODY)
        assert museum.log[-1].path == path
        web.close()


def test_an_address_with_half_a_character_is_gone() -> None:
    with pytest.raises(Gone, match="is no address of the web"):
        whole("https://flickr.com/\ud83d")


@pytest.mark.parametrize("host", ["a..example", "a" * 64 + ".example"])
def test_a_name_that_no_host_can_have_is_gone(clock: FakeClock, host: str) -> None:
    session = PoliteSession(Manners(robots=False), "baren", Public(), clock, ("example",))
    with pytest.raises(Gone, match="is no name of a host"):
        session.get(f"http://{host}/a")
    session.close()
