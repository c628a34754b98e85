"""Whom the polite client may ask: robots.txt, a source's own hosts, no private machine, and none behind a proxy."""

import re
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import Blocked, Exhausted, Gone, PictureRefused
from tasks.scrape.address import MUSEUM, Public, require_host
from tasks.scrape.museum.faults import Fault
from tasks.scrape.museum.server import Answer, Asked, Museum
from tasks.scrape.robots import Rule, forbids, read_robots
from tasks.scrape.session import PoliteSession
from tasks.scrape.source import Manners
from tasks.scrape.web import PoliteWeb
from tests.test_polite_web import BODY, HOST, URL, FakeClock, Plain, clock, museum, no

__all__ = ["clock", "museum"]  # fixtures


def test_robots_txt_is_obeyed_and_its_delay_kept(museum: Museum, clock: FakeClock, tmp_path: Path) -> None:
    manners = Manners(hosts=(HOST,), pause=1.0)
    web = PoliteWeb(
        manners, contact="x", pages=tmp_path, opened=datetime.now(UTC), clock=clock, museum_port=museum.port
    )
    with pytest.raises(Blocked, match=r"does not want /private/a to be asked for \(robots.txt\)"):
        web.text(f"{URL}/private/a")
    assert [asked.path for asked in museum.log] == ["/robots.txt"]
    web.text(f"{URL}/a")
    assert clock.slept == pytest.approx(3.0)  # also between the robots.txt that says so and the first page
    web.text(f"{URL}/b")
    assert clock.slept == pytest.approx(6.0)
    web.close()


@pytest.mark.parametrize(("kind", "allowed"), [("404", True), ("500", False)])
def test_a_missing_robots_txt_allows_all_and_a_broken_one_nothing(
    museum: Museum, clock: FakeClock, tmp_path: Path, kind: str, allowed: bool
) -> None:
    museum.faults.append(Fault(kind, "robots"))  # type: ignore[arg-type]
    web = PoliteWeb(
        Manners(hosts=(HOST,)), contact="x", pages=tmp_path, opened=datetime.now(UTC), clock=clock,
        museum_port=museum.port,
    )  # fmt: skip
    if allowed:
        assert web.text(f"{URL}/private/a")
    else:
        with pytest.raises(Blocked):
            web.text(f"{URL}/a")
    web.close()


class Slow(Plain):
    """Wants more time between two requests than anybody has."""

    def __init__(self, delay: str) -> None:
        self.delay = delay

    def answer(self, asked: Asked) -> Answer:
        if asked.path == "/robots.txt":
            return Answer(f"User-agent: *\nCrawl-delay: {self.delay}\n".encode(), "text/plain")
        return super().answer(asked)


@pytest.mark.parametrize("delay", ["inf", "86400", "1e400"])
def test_a_host_that_wants_more_than_we_would_wait_is_not_asked(delay: str, clock: FakeClock, tmp_path: Path) -> None:
    with Museum([Slow(delay)]) as museum:
        web = PoliteWeb(
            Manners(hosts=(HOST,)), contact="x", pages=tmp_path, opened=datetime.now(UTC), clock=clock,
            museum_port=museum.port,
        )  # fmt: skip
        for _ in range(2):
            with pytest.raises(
                Blocked, match=r"wants .* seconds between two requests \(robots.txt\), .* was not asked"
            ):
                web.text(f"{URL}/a")
        assert [asked.path for asked in museum.log] == ["/robots.txt"]
        assert clock.slept < 1_000
        web.close()


class Sending:
    """Sites whose robots.txt sends one on, `hops` times in all, and from the first host to the second."""

    hosts: tuple[str, ...] = (HOST, "cdn.example", "foreign.example")

    def __init__(self, hops: int, to: str = f"http://cdn.example{MUSEUM}") -> None:
        self.hops, self.to = hops, to

    def answer(self, asked: Asked) -> Answer:
        hop = int(asked.fields.get("hop", 0))
        if asked.path != "/robots.txt":
            return Answer(b"{}", "application/json")
        if hop == self.hops:
            return Answer(b"User-agent: *\nDisallow: /private\n", "text/plain")
        return Answer(b"", status=302, headers={"Location": f"{self.to}/robots.txt?hop={hop + 1}"})


@pytest.mark.parametrize(
    ("site", "told"),
    [
        (Sending(5), r"does not want /private/a to be asked for \(robots.txt\)"),
        (Sending(6), ""),  # as many as nobody follows: it counts as none
        (Sending(1, f"http://foreign.example{MUSEUM}"), r"robots.txt cannot be had: .* none of the source's hosts"),
        (Sending(1, "http://169.254.169.254/x"), r"robots.txt cannot be had: .* none of the source's hosts"),
    ],
)
def test_a_robots_txt_that_sends_one_on_is_followed_where_the_source_may_go(
    site: Sending, told: str, clock: FakeClock, tmp_path: Path
) -> None:
    with Museum([site]) as museum:
        web = PoliteWeb(
            Manners(hosts=(HOST, "cdn.example")), contact="x", pages=tmp_path, opened=datetime.now(UTC), clock=clock,
            museum_port=museum.port,
        )  # fmt: skip
        if told:
            with pytest.raises(Blocked, match=told):
                web.text(f"{URL}/private/a")
        else:
            assert web.text(f"{URL}/private/a") == "{}"
        assert {asked.host for asked in museum.log} <= {HOST, "cdn.example"}
        web.close()


def test_a_robots_txt_without_end_is_read_no_further_than_the_standard_asks(
    museum: Museum, clock: FakeClock, tmp_path: Path
) -> None:
    museum.faults.append(Fault("endless", "robots"))
    web = PoliteWeb(
        Manners(hosts=(HOST,)), contact="x", pages=tmp_path, opened=datetime.now(UTC), clock=clock,
        museum_port=museum.port,
    )  # fmt: skip
    assert web.json(f"{URL}/a") == {"answer": 42}
    web.close()


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Museum]:
    """The environment's proxy: it answers for whatever host it is asked."""
    with Museum([Plain()]) as museum:
        for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{museum.port}")
        yield museum


@pytest.mark.parametrize(
    ("host", "addresses", "told"),
    [
        ("inner.example", ["10.0.0.7"], "inner.example leads to the private address 10.0.0.7"),
        ("half.example", ["93.184.215.14", "127.0.0.1"], "half.example leads to the private address 127.0.0.1"),
        ("169.254.169.254", ["169.254.169.254"], "private address 169.254.169.254"),
        (
            "nowhere.example",
            [],
            r"nowhere.example is not known here .* name it in private_hosts if you trust the proxy",
        ),
        (HOST, ["93.184.215.14"], ""),
    ],
)
def test_a_proxy_is_asked_only_for_names_that_lead_to_public_addresses(
    host: str, addresses: list[str], told: str, proxy: Museum, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = socket.getaddrinfo

    def resolved(name: str, port: int, *args: Any, **kwargs: Any) -> Any:
        if name in ("127.0.0.1", "localhost"):
            return known(name, port, *args, **kwargs)
        if not addresses:
            raise socket.gaierror(-2, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    session = PoliteSession(Manners(robots=False), "baren", Public(), clock, (host,))
    if told:
        with pytest.raises(Blocked, match=told):
            session.get(f"http://{host}/a")
        assert proxy.log == []
    else:
        assert session.get(f"http://{host}/a").json() == {"answer": 42}
        assert [asked.host for asked in proxy.log] == [host]
    session.close()


def test_robots_rules_follow_the_standard() -> None:
    robots = read_robots(
        "User-agent: other\nDisallow: /\n\nUser-agent: *\nAllow: /a/ok\nDisallow: /a\nDisallow: /*.gif$\n"
    )
    assert not robots.allows("/a/b")
    assert robots.allows("/a/ok/1")
    assert robots.allows("/b")
    assert not robots.allows("/b/c.gif")
    assert robots.allows("/b/c.gif?x")
    ours = read_robots("User-agent: *\nDisallow: /\nUser-agent: baren\nUser-agent: else\nDisallow: /x\n")
    assert ours.allows("/y")
    assert not ours.allows("/x/1")


@pytest.mark.parametrize("between", ["Sitemap: https://a.example/map.xml", "Host: a.example", "Clean-param: ref"])
def test_a_line_that_is_no_rule_stands_in_no_group(between: str) -> None:
    robots = read_robots(f"User-agent: baren\n{between}\nUser-agent: other\nDisallow: /private\n")
    assert not robots.allows("/private/a")
    assert read_robots(f"User-agent: baren\nDisallow: /a\n{between}\nDisallow: /b\n").allows("/c")
    assert not read_robots(f"User-agent: baren\nDisallow: /a\n{between}\nDisallow: /b\n").allows("/b")


def test_robots_rules_speak_of_the_query_however_it_is_spelled(clock: FakeClock, tmp_path: Path) -> None:
    class Site(Plain):
        def answer(self, asked: Asked) -> Answer:
            if asked.path == "/robots.txt":
                return Answer("User-agent: *\nDisallow: /*?*start=\nDisallow: /é%c3%a9\n".encode(), "text/plain")
            return super().answer(asked)

    with Museum([Site()]) as museum:
        web = PoliteWeb(
            Manners(hosts=(HOST,)), contact="x", pages=tmp_path, opened=datetime.now(UTC), clock=clock,
            museum_port=museum.port,
        )  # fmt: skip
        assert web.text(f"{URL}/search", q="wave & moon") == '{"answer": 42}'
        with pytest.raises(Blocked, match=r"does not want /search with this query to be asked for \(robots.txt\)"):
            web.text(f"{URL}/search", q="wave", start=100)
        with pytest.raises(Blocked, match=r"does not want /search with this query"):
            web.text(f"{URL}/search?start=100")
        for path in ("/éé", "/%C3%A9%c3%a9"):
            with pytest.raises(Blocked, match="does not want /%C3%A9%C3%A9 to be asked for"):
                web.text(URL + path)
        assert [(asked.path, dict(asked.fields)) for asked in museum.log[1:]] == [("/search", {"q": "wave & moon"})]
        web.close()


def test_a_robots_txt_may_begin_with_a_byte_order_mark() -> None:
    assert not read_robots("\ufeffUser-agent: *\nDisallow: /\n").allows("/x")


@settings(max_examples=500)
@given(pattern=st.text("/ab*$.", max_size=8), path=st.text("/ab.$", max_size=10))
def test_a_rule_fits_as_the_regular_expression_of_its_wildcards_does(pattern: str, path: str) -> None:
    parts = [re.escape(part) for part in pattern.removesuffix("$").split("*")]
    fits = re.match(".*".join(parts) + ("$" if pattern.endswith("$") else ""), path) is not None
    assert Rule(False, pattern).fits(path) == fits


def test_neither_many_wildcards_nor_many_names_take_time() -> None:
    began = time.perf_counter()
    assert not Rule(False, "/" + "*a" * 30 + "*b").fits("/" + "a" * 2_000)
    text = "User-agent: *\n" + "User-agent: other\n" * 15_000 + "Disallow: /x\n" * 15_000
    assert not read_robots(text).allows("/x")
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize(
    ("tag", "word"),
    [("noai, noimageai", "noai"), ("noimageai", "noimageai"), ("NOINDEX", "noindex"), ("all", None),
     ("googlebot: noindex", None), ("baren: noai", "noai"), ("", None), ("none", "none"), ("all, noodp", None),
     ("noimageindex", "noimageindex"), ("max-snippet: 5, noai", "noai"), ("max-image-preview: none", None),
     ("unavailable_after: 25 Jun 2030 15:00:00 GMT, noai", "noai"), ("noai: yes", "noai"),
     ("googlebot: max-snippet: 5, noai", None), ("googlebot:noai", None), ("baren:noai", "noai"),
     ("*: noai", "noai"), ("googlebot: all, *:noindex", "noindex")],
)  # fmt: skip
def test_x_robots_tag_words(tag: str, word: str | None) -> None:
    assert forbids(tag) == word


def test_a_public_name_that_leads_to_this_machine_is_not_reached(museum: Museum, clock: FakeClock) -> None:
    session = PoliteSession(Manners(robots=False), "baren", Public(), clock, ("localhost",))
    with pytest.raises(Blocked, match=r"localhost leads to the private address"):
        session.get(f"http://localhost:{museum.port}/a")
    assert museum.log == []
    session.close()


@pytest.mark.parametrize(
    "url", ["http://flickr.com.evil.example/", "http://notflickr.com/", "ftp://flickr.com/", "http://"]
)
def test_only_declared_hosts_and_their_subdomains_pass(url: str) -> None:
    assert require_host("https://live.flickr.com/x", ("flickr.com",)) == "live.flickr.com"
    with pytest.raises(Blocked):
        require_host(url, ("flickr.com",))


def test_a_private_host_is_reached_where_params_name_it(museum: Museum, clock: FakeClock) -> None:
    session = PoliteSession(Manners(robots=False), "baren", Public(4, ("127.0.0.1",)), clock, ("127.0.0.1",))
    with pytest.raises(Gone):  # it answered: no site of the museum goes by this name
        session.get(f"http://127.0.0.1:{museum.port}/a")
    assert len(museum.log) == 1
    session.close()


class TestPicturesAnywhere:
    """A source whose manners say `anywhere` fetches pictures from every host, and pages from its own alone."""

    @pytest.fixture
    def roaming(self, museum: Museum, clock: FakeClock, tmp_path: Path) -> Iterator[PoliteWeb]:
        manners = Manners(hosts=(HOST,), anywhere=True, pause=1.0, pauses={f"other.example{MUSEUM}": 5.0})
        web = PoliteWeb(
            manners, contact="x", pages=tmp_path, opened=datetime.now(UTC), clock=clock, museum_port=museum.port
        )
        yield web
        web.close()

    def test_a_picture_comes_from_elsewhere_at_that_hosts_own_pause_and_by_its_robots(
        self, roaming: PoliteWeb, museum: Museum, clock: FakeClock, tmp_path: Path
    ) -> None:
        for name in ("a", "b"):
            roaming.picture(f"http://other.example{MUSEUM}/{name}.jpg", tmp_path / name, 2_000_000, no)
        assert [asked.path for asked in museum.log] == ["/robots.txt", "/a.jpg", "/b.jpg"]
        assert clock.slept == pytest.approx(10.0)
        with pytest.raises(Blocked, match="robots"):
            roaming.picture(f"http://other.example{MUSEUM}/private/c.jpg", tmp_path / "c", 2_000_000, no)

    def test_a_page_from_elsewhere_is_not_asked_for(self, roaming: PoliteWeb, museum: Museum) -> None:
        with pytest.raises(Blocked, match="none of the source's hosts"):
            roaming.text(f"http://other.example{MUSEUM}/a")
        assert museum.log == []

    def test_a_foreign_host_that_refuses_again_and_again_ends_nothing(
        self, roaming: PoliteWeb, museum: Museum, tmp_path: Path
    ) -> None:
        museum.faults.append(Fault("403", "other.example"))
        for number in range(8):
            with pytest.raises(Blocked):
                roaming.picture(f"http://other.example{MUSEUM}/{number}.jpg", tmp_path / "a", 2_000_000, no)
        assert len(museum.log) <= 6
        assert roaming.session.broken() is None
        assert roaming.picture(f"{URL}/a.jpg", tmp_path / "a", 2_000_000, no).bytes == len(BODY)

    def test_a_foreign_host_that_wants_hours_is_asked_once(
        self, roaming: PoliteWeb, museum: Museum, tmp_path: Path
    ) -> None:
        museum.faults.append(Fault("429", "other.example/.*jpg", retry_after=3_600))
        for number in range(4):
            with pytest.raises(Exhausted, match="gives no more until"):
                roaming.picture(f"http://other.example{MUSEUM}/{number}.jpg", tmp_path / "a", 2_000_000, no)
        assert [asked.path for asked in museum.log] == ["/robots.txt", "/0.jpg"]
        assert roaming.session.broken() is None

    def test_a_file_is_fetched_once_while_the_batch_is_open(self, roaming: PoliteWeb, museum: Museum) -> None:
        for _ in range(2):
            assert roaming.file(f"{URL}/all.jpg", 2_000_000).read_bytes() == BODY
        assert len([asked for asked in museum.log if asked.path == "/all.jpg"]) == 1
        with pytest.raises(PictureRefused, match="too many bytes"):
            roaming.file(f"{URL}/more.jpg", 1_000)
