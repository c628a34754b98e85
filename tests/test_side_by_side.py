"""Sets that are collected side by side: a site has its peace, a file is fetched once, and no wait is forgotten."""

import contextlib
import io
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tasks import scrape
from tasks.errors import Exhausted, Stopped
from tasks.files import read_json
from tasks.progress import Progress
from tasks.rows import read_scraped
from tasks.scrape import collect as collecting
from tasks.scrape.alone import alone
from tasks.scrape.clock import Clock
from tasks.scrape.museum.faults import Fault
from tasks.scrape.museum.server import Answer, Asked, Museum
from tasks.scrape.source import Manners
from tasks.scrape.waits import waits_kept
from tasks.scrape.web import PoliteWeb
from tests.test_polite_web import BODY, HOST, URL, FakeClock, Plain
from tests.visits import Elsewhere, collect, museum_of, picture

LOCK = Path(".scratch/asking/url_list.lock")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def opened(museum: Museum, host: str = HOST, said: io.StringIO | None = None) -> PoliteWeb:
    return PoliteWeb(
        Manners(hosts=(host,), pause=0.0, robots=False), contact="x", pages=Path("pages"), opened=datetime.now(UTC),
        clock=Clock(), museum_port=museum.port, say=lambda sentence: print(sentence, file=said),
    )  # fmt: skip


def test_a_file_that_two_sets_want_is_fetched_once_and_whole() -> None:
    begun, waits = threading.Event(), threading.Event()

    class Says(io.StringIO):
        def write(self, text: str) -> int:
            waits.set()
            return super().write(text)

    class Slow(Plain):
        def answer(self, asked: Asked) -> Answer:
            begun.set()
            waits.wait(2)
            return super().answer(asked)

    said, got = Says(), list[bytes]()
    with Museum([Slow()]) as museum:
        webs = [opened(museum), opened(museum, said=said)]
        sets = [threading.Thread(target=lambda web=web: got.append(web.file(f"{URL}/all.jpg", 10**7).read_bytes()))
                for web in webs]  # fmt: skip
        sets[0].start()
        assert begun.wait(10)
        sets[1].start()
        for one in sets:
            one.join()
        assert got == [BODY, BODY]
        assert len(museum.log) == 1
        assert said.getvalue().startswith(f"waiting for another run, which fetches {URL}/all.jpg too (process ")
        for web in webs:
            web.close()


class Here(Elsewhere):
    hosts: tuple[str, ...] = ("127.0.0.1",)

    def answer(self, asked: Asked) -> Answer:
        return Answer(picture(3), "image/jpeg") if asked.path.endswith(".jpg") else super().answer(asked)


def test_a_set_waits_for_the_one_that_asks_its_source_and_says_so() -> None:
    said = io.StringIO()
    with Museum([Here()]) as museum:
        Path("mine.txt").write_text(f"http://127.0.0.1:{museum.port}/1.jpg\n")
        settings = scrape.Scrape(
            use="url_list", limit=1, contact="me@example.org", query={"path": "mine.txt"}, private_hosts=("127.0.0.1",)
        )

        def run(progress: Progress, clock: Clock | None = None) -> None:
            collecting.collect("forest", settings, Path("raw"), progress, lambda: datetime.now(UTC), clock)

        with alone(LOCK, Clock(), "scrape landscape, which asks url_list too"):
            stopped = Progress(said)
            stopped.stop_requested = 15
            with pytest.raises(Stopped):
                run(stopped)
            told = "scrape forest: waiting for scrape landscape, which asks url_list too (process "
            assert said.getvalue().startswith(told)
            assert museum.log == []
        run(Progress(said), FakeClock())
        assert [asked.path for asked in museum.log] == ["/robots.txt", "/1.jpg"]
        with alone(LOCK, Clock()):
            run(Progress(said), FakeClock())  # has what it wants
    assert [row.outcome for row in read_scraped(Path("raw/items"))] == ["kept"]
    assert said.getvalue().count("waiting") == 1


def test_who_asks_the_museum_or_nobody_waits_for_nobody() -> None:
    Path("mine").mkdir()
    Path("mine/1.jpg").write_bytes(picture(1))
    with contextlib.ExitStack() as held:
        for use in ("ukiyoe", "folder"):
            held.enter_context(alone(LOCK.with_name(f"{use}.lock"), Clock()))
        assert len(collect(Path("prints"), museum_of(3), "ukiyoe")) == 3
        folder = scrape.Scrape(use="folder", limit=3, query={"path": "mine"})
        collecting.collect("mine", folder, Path("raw"), Progress(io.StringIO()), lambda: datetime.now(UTC))
        assert len(list(read_scraped(Path("raw/items")))) == 1


def test_what_two_runs_are_told_at_once_is_kept_of_both() -> None:
    record, hosts = Path("waits.json"), (HOST, "other.example")
    with Museum([Plain()]) as museum:
        museum.faults.append(Fault("429", retry_after=86_400))
        webs = [opened(museum, host) for host in hosts]
        with waits_kept(record, webs[0].session, Clock(), asking=True):
            with pytest.raises(Exhausted), waits_kept(record, webs[1].session, Clock(), asking=True):
                webs[1].text(f"http://{hosts[1]}.museum.test/a")
            with pytest.raises(Exhausted):
                webs[0].text(f"{URL}/a")
        assert read_json(record).keys() == {f"{host}.museum.test" for host in hosts}
        with waits_kept(record, webs[1].session, Clock(), asking=False):
            pass
        assert read_json(record).keys() == {f"{host}.museum.test" for host in hosts}
        for web in webs:
            web.close()
