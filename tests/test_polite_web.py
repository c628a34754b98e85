"""The polite client against the museum's faults: it waits, tries again, gives up in words, and loses nothing."""

import hashlib
import io
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from requests.adapters import HTTPAdapter

from tasks.errors import BarenError, Blocked, Exhausted, Gone, PictureRefused, ShapeChanged, Transient
from tasks.files import write_json
from tasks.scrape import download
from tasks.scrape import pace as pace_module
from tasks.scrape import session as session_module
from tasks.scrape.address import MUSEUM
from tasks.scrape.clock import Clock
from tasks.scrape.museum.faults import Fault
from tasks.scrape.museum.server import Answer, Asked, Museum
from tasks.scrape.source import Manners
from tasks.scrape.web import PoliteWeb

HOST = "pictures.example"
URL = f"http://{HOST}{MUSEUM}"
BODY = bytes(range(256)) * 4_000  # 1 MB


class FakeClock(Clock):
    """An hour passes as soon as somebody waits for it."""

    def __init__(self) -> None:
        self.time, self.slept = 0.0, 0.0
        self._lock = threading.Lock()

    def now(self) -> float:
        return self.time

    def utc(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.time)

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.time += seconds
            self.slept += seconds


class Plain:
    hosts: tuple[str, ...] = (HOST, "other.example")

    def answer(self, asked: Asked) -> Answer:
        if asked.path == "/robots.txt":
            return Answer(b"User-agent: *\nDisallow: /private\nCrawl-delay: 3\n", "text/plain")
        if asked.path.endswith(".jpg"):
            return Answer(BODY, "image/jpeg")
        return Answer(b'{"answer": 42}', "application/json")


@pytest.fixture
def museum() -> Iterator[Museum]:
    with Museum([Plain()]) as museum:
        yield museum


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def plain_web(museum: Museum, clock: FakeClock, pages: Path) -> PoliteWeb:
    """A web that reads no robots.txt: for tests of what an answer does."""
    manners = Manners(hosts=(HOST,), robots=False)
    return PoliteWeb(manners, contact="x", pages=pages, opened=datetime.now(UTC), clock=clock, museum_port=museum.port)


@pytest.fixture
def web(museum: Museum, clock: FakeClock, tmp_path: Path) -> Iterator[PoliteWeb]:
    manners = Manners(hosts=(HOST,), pause=1.0, robots=False)
    web = PoliteWeb(
        manners, contact="me@example.org", pages=tmp_path / "pages", opened=datetime.now(UTC), clock=clock,
        museum_port=museum.port,
    )  # fmt: skip
    yield web
    web.close()


def no(url: str) -> str | None:
    return None


def test_it_says_who_it_is_and_pauses_between_requests(web: PoliteWeb, museum: Museum, clock: FakeClock) -> None:
    for number in range(4):
        assert web.json(f"{URL}/a", number=number) == {"answer": 42}
    assert clock.slept == pytest.approx(3.0)
    assert museum.log[0].headers["User-Agent"].startswith("baren/")
    assert "me@example.org" in museum.log[0].headers["User-Agent"]


def test_a_page_is_asked_for_once_while_the_batch_is_open(web: PoliteWeb, museum: Museum) -> None:
    for _ in range(3):
        web.text(f"{URL}/a", page=1)
    assert len(museum.log) == 1


@pytest.mark.parametrize("kind", ["429", "503"])
@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_waited_for(web: PoliteWeb, museum: Museum, clock: FakeClock, kind: str, as_date: bool) -> None:
    museum.faults.append(Fault(kind, times=1, retry_after=40, as_date=as_date))  # type: ignore[arg-type]
    assert web.json(f"{URL}/a") == {"answer": 42}
    assert 38 <= clock.slept < 45
    assert len(museum.log) == 2


@pytest.mark.parametrize("kind", ["429", "503", "500", "reset"])
def test_without_retry_after_it_backs_off_and_comes_through(
    web: PoliteWeb, museum: Museum, clock: FakeClock, kind: str
) -> None:
    museum.faults.append(Fault(kind, times=3))  # type: ignore[arg-type]
    assert web.json(f"{URL}/a") == {"answer": 42}
    assert clock.slept > 3.0 * 0.3


def test_a_wait_of_hours_is_left_for_a_later_run_and_says_when(web: PoliteWeb, museum: Museum) -> None:
    museum.faults.append(Fault("429", retry_after=7_200))
    with pytest.raises(
        Exhausted, match=r"gives no more until \d{4}-\d\d-\d\d \d\d:\d\d UTC; what was fetched stays"
    ) as met:
        web.json(f"{URL}/a")
    assert met.value.until is not None


@pytest.mark.parametrize("wait", [1e15, 1e300])
def test_a_wait_beyond_the_end_of_dates_is_a_year(web: PoliteWeb, museum: Museum, wait: float) -> None:
    museum.faults.append(Fault("429", retry_after=wait))
    with pytest.raises(Exhausted) as met:
        web.json(f"{URL}/a")
    assert met.value.until is not None
    assert 365 <= (met.value.until - datetime.now(UTC)).days <= 367


def test_what_never_answers_is_given_up_after_a_few_tries(web: PoliteWeb, museum: Museum) -> None:
    museum.faults.append(Fault("500"))
    with pytest.raises(Transient, match="gave status 500 6 times"):
        web.text(f"{URL}/a")
    assert len(museum.log) == 6


@pytest.mark.parametrize(("kind", "error"), [("404", Gone), ("403", Blocked)])
def test_a_final_no_is_not_asked_twice(web: PoliteWeb, museum: Museum, kind: str, error: type[Exception]) -> None:
    museum.faults.append(Fault(kind))  # type: ignore[arg-type]
    with pytest.raises(error):
        web.text(f"{URL}/a")
    assert len(museum.log) == 1


def test_a_host_that_refuses_again_and_again_is_left_alone(web: PoliteWeb, museum: Museum) -> None:
    museum.faults.append(Fault("403"))
    for number in range(20):
        with pytest.raises(Blocked):
            web.text(f"{URL}/{number}")
    assert len(museum.log) == pace_module.ENOUGH
    with pytest.raises(Blocked, match=r"failed 5 requests in a row.*run it again later"):
        web.text(f"{URL}/more")


def test_a_captcha_is_no_answer(web: PoliteWeb, museum: Museum) -> None:
    museum.faults.append(Fault("captcha"))
    with pytest.raises(Blocked, match="keeps machines out"):
        web.text(f"{URL}/a")


def test_an_answer_nested_without_end_is_no_json(web: PoliteWeb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Plain, "answer", lambda self, asked: Answer(b"[" * 200_000, "application/json"))
    with pytest.raises(Transient, match="no JSON, three times"):
        web.json(f"{URL}/a")


def test_html_instead_of_json_is_asked_again_and_then_said(web: PoliteWeb, museum: Museum) -> None:
    museum.faults.append(Fault("html", times=2))
    assert web.json(f"{URL}/a") == {"answer": 42}
    museum.faults.append(Fault("json"))
    with pytest.raises(Transient, match="no JSON"):
        web.json(f"{URL}/b")


def test_a_picture_that_says_noai_is_refused(web: PoliteWeb, museum: Museum, tmp_path: Path) -> None:
    museum.faults.append(Fault("noai"))
    with pytest.raises(PictureRefused, match="X-Robots-Tag noai"):
        web.picture(f"{URL}/a.jpg", tmp_path / "part", 10**7, no)


def test_a_picture_that_says_noai_after_a_word_to_another_robot_is_refused(clock: FakeClock, tmp_path: Path) -> None:
    class Says(Plain):
        def answer(self, asked: Asked) -> Answer:
            return replace(super().answer(asked), headers={"X-Robots-Tag": "otherbot: noindex", "x-robots-tag": "noai"})

    with Museum([Says()]) as museum:
        web = plain_web(museum, clock, tmp_path)
        with pytest.raises(PictureRefused, match="X-Robots-Tag noai"):
            web.picture(f"{URL}/a.jpg", tmp_path / "part", 10**7, no)
        web.close()


@pytest.mark.parametrize("kind", ["truncated", "reset", "slow", "500"])
def test_a_picture_comes_whole_whatever_breaks(web: PoliteWeb, museum: Museum, tmp_path: Path, kind: str) -> None:
    museum.faults.append(Fault(kind, times=2))  # type: ignore[arg-type]
    got = web.picture(f"{URL}/a.jpg", tmp_path / "part", 10**7, no)
    assert (tmp_path / "part").read_bytes() == BODY
    assert got.bytes == len(BODY)


def test_what_broke_off_is_asked_on_from_there_also_by_a_later_run(
    web: PoliteWeb, museum: Museum, tmp_path: Path
) -> None:
    museum.faults.append(Fault("truncated"))
    with pytest.raises(Transient, match="broke off 6 times"):
        web.picture(f"{URL}/a.jpg", tmp_path / "part", 10**7, no)
    asked = [dict(asked.headers).get("Range") for asked in museum.log]
    assert asked[0] is None
    assert all(asked[1:])
    museum.faults.clear()
    got = web.picture(f"{URL}/a.jpg", tmp_path / "part", 10**7, no)
    assert (tmp_path / "part").read_bytes() == BODY
    assert museum.log[-1].headers["Range"].startswith("bytes=")
    assert got.sha256 == hashlib.sha256(BODY).hexdigest()


class Ranging(Plain):
    """Answers a question for the rest of a picture as `how` says."""

    def __init__(self, how: str) -> None:
        self.how = how

    def answer(self, asked: Asked) -> Answer:
        whole, end = super().answer(asked), len(BODY) - 1
        start = int(asked.headers.get("Range", "bytes=0-")[6:-1])
        if not start:
            return whole
        status, body, said = {
            "unsatisfied": (416, b"", f"bytes */{end + 1}"),
            "unsaid": (206, BODY, ""),
            "all of it": (206, BODY, f"bytes 0-{end}/{end + 1}"),
            "later on": (206, BODY[start + 9 :], f"bytes {start + 9}-{end}/{end + 1}"),
            "a piece": (206, BODY[start : start + 200_000], f"bytes {start}-{start + 199_999}/{end + 1}"),
        }[self.how]
        return Answer(body, "image/jpeg", status, {"Content-Range": said} if said else {})


@pytest.mark.parametrize("how", ["unsatisfied", "unsaid", "all of it", "later on", "a piece"])
def test_an_answer_that_is_not_the_rest_is_never_taken_for_it(how: str, clock: FakeClock, tmp_path: Path) -> None:
    with Museum([Ranging(how)]) as museum:
        web = plain_web(museum, clock, tmp_path)
        museum.faults.append(Fault("truncated", times=1))
        got = web.picture(f"{URL}/a.jpg", tmp_path / "part", 10**7, no)
        assert (tmp_path / "part").read_bytes() == BODY
        assert got.sha256 == hashlib.sha256(BODY).hexdigest()
        assert len(museum.log) == (5 if how == "a piece" else 3)
        assert web.session.broken() is None
        web.close()


def test_killed_as_another_file_begins_nothing_of_the_old_one_is_left_in_it(
    web: PoliteWeb, museum: Museum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def note_and_die(path: Path, told: object) -> None:
        write_json(path, told)
        raise Killed

    part = tmp_path / "part"
    part.write_bytes(b"old" * 100_000)
    write_json(part.with_suffix(".json"), {"url": f"{URL}/a.jpg", "validator": '"of the old one"'})
    with monkeypatch.context() as patch:
        patch.setattr(download, "write_json", note_and_die)
        with pytest.raises(Killed):
            web.picture(f"{URL}/a.jpg", part, 10**7, no)
    web.picture(f"{URL}/a.jpg", part, 10**7, no)
    assert part.read_bytes() == BODY


def test_a_body_without_end_is_refused_before_it_fills_the_disk(
    web: PoliteWeb, museum: Museum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    museum.faults.append(Fault("endless"))
    with pytest.raises(PictureRefused, match="too many bytes: 10,000,000,000"):
        web.picture(f"{URL}/a.jpg", tmp_path / "part", 10**7, no)
    monkeypatch.setattr(session_module, "MAX_PAGE", 1_000_000)
    with pytest.raises(ShapeChanged, match="more than 1,000,000 bytes"):
        web.text(f"{URL}/a")


def test_a_redirect_to_a_foreign_or_private_host_is_not_followed(
    web: PoliteWeb, museum: Museum, tmp_path: Path
) -> None:
    for kind in ("elsewhere", "private"):
        museum.faults[:] = [Fault(kind)]  # type: ignore[arg-type]
        with pytest.raises(Blocked, match=r"none of the source's hosts"):
            web.picture(f"{URL}/a.jpg", tmp_path / "part", 10**7, no)
    with pytest.raises(Blocked, match="none of the source's hosts"):
        web.text(f"http://other.example{MUSEUM}/a")
    with pytest.raises(Blocked, match="no address of the web"):
        web.text("file:///etc/passwd")


NO_ADDRESSES = ["http://[bad/x.jpg", "http://h:99999/", "http://h:x/", "http://.h/", "http://\u2100.h/", "http://*.h/"]


@pytest.mark.parametrize("address", NO_ADDRESSES)
def test_what_is_no_address_is_gone_whether_found_or_sent_on_to(address: str, clock: FakeClock, tmp_path: Path) -> None:
    class Sends(Plain):
        def answer(self, asked: Asked) -> Answer:
            return Answer(b"", status=302, headers={"Location": address.encode().decode("latin-1")})

    with Museum([Sends()]) as museum:
        manners = Manners(hosts=(HOST,), anywhere=True, robots=False)
        web = PoliteWeb(
            manners, contact="x", pages=tmp_path, opened=datetime.now(UTC), clock=clock, museum_port=museum.port
        )
        for url in (f"{URL}/a.jpg", address):
            with pytest.raises(Gone, match="no address of the web"):
                web.picture(url, tmp_path / "part", 10**7, no)
        web.close()


def test_a_body_that_is_not_packed_as_it_says_breaks_off(clock: FakeClock, tmp_path: Path) -> None:
    class Lies(Plain):
        def answer(self, asked: Asked) -> Answer:
            return replace(super().answer(asked), headers={"Content-Encoding": "gzip"})

    with Museum([Lies()]) as museum:
        web = plain_web(museum, clock, tmp_path)
        with pytest.raises(Transient, match="ContentDecodingError"):
            web.text(f"{URL}/a")
        with pytest.raises(Transient, match="ContentDecodingError"):
            web.picture(f"{URL}/a.jpg", tmp_path / "part", 10**7, no)
        web.close()


def test_a_redirect_to_a_placeholder_is_refused_without_asking_for_it(
    web: PoliteWeb, museum: Museum, tmp_path: Path
) -> None:
    museum.faults.append(Fault("placeholder"))

    def refuse(url: str) -> str | None:
        return "photo unavailable" if "photo_unavailable" in url else None

    with pytest.raises(PictureRefused, match="photo unavailable"):
        web.picture(f"{URL}/a.jpg", tmp_path / "part", 10**7, refuse)
    assert len(museum.log) == 1


def test_secrets_stay_out_of_messages(web: PoliteWeb, museum: Museum) -> None:
    museum.faults.append(Fault("404"))
    with pytest.raises(Gone) as met:
        web.text(f"http://user:hush@{HOST}{MUSEUM}/a", api_key="hush")
    assert "hush" not in str(met.value)


@pytest.mark.parametrize("proxy", ["socks9://127.0.0.1:1", "http://"])
def test_a_proxy_that_cannot_be_is_the_persons_to_correct(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.delenv("no_proxy", raising=False)
    session = session_module.PoliteSession(Manners(robots=False), "baren", HTTPAdapter(), clock, (HOST,))
    with pytest.raises(BarenError, match="proxy that the environment names cannot be used"):
        session.get(f"http://{HOST}/a")
    session.close()


def test_sleeping_ends_when_somebody_asks_to_stop() -> None:
    from tasks.errors import Stopped
    from tasks.progress import Progress

    progress = Progress(io.StringIO())
    progress.stop_requested = 2
    with pytest.raises(Stopped):
        Clock(progress.check).sleep(100)


def test_session_errors_of_requests_do_not_escape(web: PoliteWeb, museum: Museum) -> None:
    museum.faults.append(Fault("reset"))
    with pytest.raises(Transient, match="no answer"):
        web.session.post(f"{URL}/a", data={"a": "b"})
    assert issubclass(requests.ConnectionError, OSError)
