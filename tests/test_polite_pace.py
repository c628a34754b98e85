"""How fast a host is asked: its budget, the waits it tells in whatever words, and nobody before they are over."""

import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path

import pytest

from tasks.errors import Exhausted
from tasks.scrape import session as session_module
from tasks.scrape.clock import Clock
from tasks.scrape.museum.server import Answer, Asked, Museum
from tasks.scrape.pace import Pace
from tests.test_polite_web import URL, FakeClock, Plain, clock, plain_web

__all__ = ["clock"]  # fixture


def test_the_hourly_budget_is_kept(clock: FakeClock) -> None:
    pace = Pace("host", 0.0, 10, clock)
    for _ in range(25):
        pace.turn()
    assert 7_200 <= clock.time < 7_300


@pytest.mark.parametrize(
    ("told", "seconds"), [("1.5", 1.5), ("120, 60", 120), (" 7 ", 7), ("60, soon, 90.5", 90.5), (".5", 0.5)]
)
def test_a_wait_may_be_told_in_parts_of_a_second_and_more_than_once(
    told: str, seconds: float, clock: FakeClock
) -> None:
    assert session_module._seconds(told, clock) == seconds


def test_of_several_waits_the_longest_is_kept(clock: FakeClock, tmp_path: Path) -> None:
    class Busy(Plain):
        def answer(self, asked: Asked) -> Answer:
            if clock.slept:
                return super().answer(asked)
            date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
            return Answer(b"", status=429, headers={"Retry-After": "2", "retry-after": date})

    with Museum([Busy()]) as museum:
        web = plain_web(museum, clock, tmp_path)
        web.text(f"{URL}/a")
        assert 88 <= clock.slept <= 91
        web.close()


class Held(Clock):
    """Time stands still until `go`, then every sleeper brings it to its own end."""

    def __init__(self) -> None:
        super().__init__()
        self.time, self.go, self._lock = 0.0, threading.Event(), threading.Lock()

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        end = self.time + seconds
        self.go.wait(60)
        with self._lock:
            self.time = max(self.time, end)


def test_nobody_asks_before_the_wait_is_over_not_even_who_had_a_turn_already() -> None:
    clock = Held()
    pace = Pace("host", 1.0, 100, clock)
    sent, asked = pace.turn(), list[float]()
    waiting = [threading.Thread(target=lambda: asked.append(pace.turn())) for _ in range(4)]
    for thread in waiting:
        thread.start()
    while len(pace._sent) < 5:  # until each has its turn
        time.sleep(0.001)
    pace.too_many(sent, 0, 60.0)
    clock.go.set()
    for thread in waiting:
        thread.join()
    asked.sort()
    assert asked[0] >= 60
    assert all(later - sooner >= 1 for sooner, later in pairwise(asked))
    assert len(pace._sent) == 5  # the turns that were lost count for nothing in the hour's budget


@pytest.mark.parametrize(
    "told", ["²", "-1", "soon", "Mon, 01 Jan 99999 00:00:00 GMT", "Mon, 01 Jan 2026 0:0:0 +9999999"]
)
def test_a_wait_that_makes_no_sense_is_none(told: str, clock: FakeClock) -> None:
    assert session_module._seconds(told, clock) in (None, 0.0)


def test_who_waits_for_a_turn_asks_no_more_once_the_host_has_had_enough(clock: FakeClock) -> None:
    pace = Pace("host", 1.0, None, clock)
    sent = pace.turn()

    def sleep(seconds: float) -> None:
        clock.time += seconds
        with pytest.raises(Exhausted):
            pace.too_many(sent, 0, 3_600)

    clock.sleep = sleep  # type: ignore[method-assign]
    with pytest.raises(Exhausted, match="host gives no more until"):
        pace.turn()
    assert isinstance(pace.broken, Exhausted)
