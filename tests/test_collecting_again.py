"""Collecting night after night: a site is asked for what is new, not for its whole listing, and nothing is missed."""

import contextlib
import io
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tasks import scrape
from tasks.errors import BarenError, Exhausted
from tasks.progress import Progress
from tasks.rows import Scraped, read_scraped
from tasks.scrape import collect as collecting
from tasks.scrape.museum.faults import Fault
from tasks.scrape.museum.flickr import FlickrSite
from tasks.scrape.museum.server import Museum
from tasks.scrape.museum.ukiyoe import UkiyoeSite
from tasks.scrape.museum.wikiart import WikiArtSite
from tasks.scrape.museum.works import Work
from tests.test_polite_web import FakeClock
from tests.visits import SOURCES, Elsewhere, Open, works

FIRST = datetime(2026, 1, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SITES = {"flickr": FlickrSite, "ukiyoe": UkiyoeSite, "wikiart": WikiArtSite}
LISTINGS = ("/services/rest/", "/search", "/en/paintings-by-genre/portrait")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class Night:
    """One run of a source on what hangs in the museum then."""

    def __init__(
        self, use: str, shown: Sequence[Work], now: datetime, limit: int = 10_000, fault: Fault | None = None,
        query: Mapping[str, Any] | None = None, **bounds: int,
    ) -> None:  # fmt: skip
        asked = {**SOURCES[use].query, **(query or {})}
        settings = scrape.Scrape(use=use, limit=limit, site="museum", query=asked, **bounds)
        with Museum([SITES[use](shown)]) as museum:
            museum.faults += [fault] if fault else []
            collecting.collect(
                "again", settings, Path("raw"), Progress(io.StringIO()), lambda: now, clock=FakeClock(),
                museum=lambda: Open(museum),
            )  # fmt: skip
        self.listings = sum(asked.path in LISTINGS for asked in museum.log)
        self.pictures = sum(asked.path.endswith(".jpg") for asked in museum.log)
        self.rows: list[Scraped] = list(read_scraped(Path("raw/items")))

    @property
    def kept(self) -> set[str]:
        return {row.sha256 for row in self.rows if row.outcome == "kept"}


def uploaded(moment: datetime, shown: Sequence[Work], count: int) -> list[Work]:
    """Further works, uploaded in the hour before `moment`."""
    new = works(len(shown) + count)[len(shown) :]
    return [replace(work, uploaded=int(moment.timestamp()) - 3600 + n) for n, work in enumerate(new)]


@pytest.mark.parametrize("use", SITES)
def test_a_night_without_news_costs_one_listing_at_most(use: str) -> None:
    shown = works(620)
    first = Night(use, shown, FIRST)
    again = Night(use, shown, FIRST + DAY)
    assert (first.pictures, first.listings > 1) == (620, True)
    assert (again.pictures, again.listings) == (0, 1)


@pytest.mark.parametrize("use", SITES)
def test_what_is_new_is_found_and_fetched_alone(use: str) -> None:
    shown = works(620)
    Night(use, shown, FIRST)
    new = uploaded(FIRST + DAY, shown, 30)
    night = Night(use, [*shown, *new] if use == "flickr" else [*new, *shown], FIRST + DAY)
    assert night.pictures == 30
    assert len(night.kept) == 650


@pytest.mark.parametrize("use", SITES)
def test_a_higher_limit_goes_on_behind_what_was_read(use: str) -> None:
    shown = works(620)
    Night(use, shown, FIRST, limit=550)
    night = Night(use, shown, FIRST + DAY, limit=600)
    assert len(night.kept) == 600
    assert night.listings <= 3 if use == "flickr" else night.listings <= 2


@pytest.mark.parametrize("use", SITES)
def test_what_failed_is_found_once_more(use: str) -> None:
    shown = works(620)
    failed = Night(use, shown, FIRST, fault=Fault("elsewhere", r"50000000001_|/work-00001|\(work-00001\)"))
    assert [row.outcome for row in failed.rows].count("failed") == 1
    night = Night(use, shown, FIRST + DAY)
    assert (night.pictures, len(night.kept)) == (1, 620)


@pytest.mark.parametrize("use", SITES)
def test_a_picture_that_fails_for_good_is_looked_for_a_few_nights_and_then_once_a_month(use: str) -> None:
    shown = works(620)
    fault = Fault("elsewhere", r"50000000001_|/work-00001|\(work-00001\)")
    whole = Night(use, shown, FIRST, fault=fault).listings
    assert Night(use, shown, FIRST + DAY, fault=fault).listings == whole
    night = Night(use, shown, FIRST + 3 * DAY, fault=fault)
    assert (night.listings, night.pictures) == (1, 0)
    night = Night(use, shown, FIRST + 35 * DAY)
    assert (night.listings, len(night.kept)) == (whole, 620)


@pytest.mark.parametrize("use", SITES)
def test_after_a_month_or_for_other_rows_everything_is_read_once_more(use: str) -> None:
    shown = works(620)
    whole = Night(use, shown, FIRST).listings
    Night(use, shown, FIRST + 20 * DAY)
    assert Night(use, shown, FIRST + 31 * DAY).listings == whole
    rows = Path("raw/items/00001.jsonl")
    rows.write_bytes(b"".join(rows.read_bytes().splitlines(keepends=True)[:-1]))  # as of an earlier version, say
    night = Night(use, shown, FIRST + 32 * DAY)
    assert (night.listings, len(night.kept)) == (whole, 620)


def test_a_query_that_found_nothing_finds_what_came_since() -> None:
    with pytest.raises(BarenError, match="it has none for this query"):
        Night("flickr", [], FIRST)
    new = uploaded(FIRST + 30 * DAY, [], 10)
    night = Night("flickr", new, FIRST + 30 * DAY)
    assert len(night.kept) == 10
    assert {row.batch for row in night.rows} == {1}
    assert len(Night("flickr", new, FIRST + 31 * DAY).kept) == 10


@pytest.mark.parametrize("ahead", [5, 5 * 365])
def test_a_night_whose_clock_ran_ahead_hides_nothing_from_the_next(ahead: int) -> None:
    shown = works(20)
    Night("flickr", shown, FIRST)
    Night("flickr", shown, FIRST + ahead * DAY)
    for day in (1, 2):
        now = FIRST + day * DAY
        shown = [*shown, *uploaded(now, shown, 10)]
        assert len(Night("flickr", shown, now).kept) == len(shown)


@pytest.mark.parametrize("use", SITES)
def test_what_failed_while_the_clock_ran_ahead_is_not_looked_for_every_night_until_then(use: str) -> None:
    shown = works(620)
    fault = Fault("elsewhere", r"50000000001_|/work-00001|\(work-00001\)")
    whole = Night(use, shown, FIRST + 5 * 365 * DAY, fault=fault).listings
    assert Night(use, shown, FIRST, fault=fault).listings == whole
    assert Night(use, shown, FIRST + DAY, fault=fault).listings == 1


@pytest.mark.parametrize("use", SITES)
@pytest.mark.parametrize("seed", range(2))
def test_whatever_comes_in_whatever_nights_nothing_is_missed(use: str, seed: int) -> None:
    draw, shown, now = random.Random(seed), works(250), FIRST
    for _ in range(6):
        now += draw.randint(1, 12) * DAY
        new = uploaded(now, shown, draw.choice((0, 0, 1, 7, 120)))
        at = len(shown) if use == "flickr" else draw.randint(0, len(shown))
        shown = [*shown[:at], *new, *shown[at:]]
        night = Night(use, shown, now, limit=draw.choice((100, 260, 400, 10_000)))
        assert night.pictures <= len(night.kept)
    assert len(Night(use, shown, now + DAY).kept) == len(shown)


@pytest.mark.parametrize("use", SITES)
@pytest.mark.parametrize("bound", ["max_pixels", "max_bytes"])
def test_what_a_bound_refused_is_asked_for_again_once_it_is_raised_and_only_then(use: str, bound: str) -> None:
    shown = [replace(work, read=lambda read=work.read, n=n: read() + bytes(n % 2)) for n, work in enumerate(works(70))]
    small, large = (500 if bound == "max_pixels" else len(shown[0].read())), 10_000
    first = Night(use, shown, FIRST, **{bound: small})
    refused = [row for row in first.rows if row.outcome == "refused"]
    assert 0 < len(refused) < 70
    assert {row.bound for row in refused} == {small}
    assert Night(use, shown, FIRST + DAY, **{bound: small}).pictures == 0
    assert Night(use, shown, FIRST + 2 * DAY, **{bound: small - 1}).pictures == 0
    raised = Night(use, shown, FIRST + 3 * DAY, **{bound: large})
    assert (raised.pictures, len(raised.kept)) == (len(refused), 70)
    again = Night(use, shown, FIRST + 4 * DAY, **{bound: large})
    assert (again.pictures, again.listings) == (0, 1)


def test_what_a_bound_refused_another_query_does_not_take_over_once_it_is_raised() -> None:
    first = Night("flickr", works(9), FIRST, max_pixels=500)
    refused = {row.id for row in first.rows if row.outcome == "refused"}
    assert refused
    night = Night("flickr", works(9), FIRST + DAY, query={"uploaded_after": 1}, max_pixels=10_000)
    assert (night.pictures, len(night.kept)) == (len(refused), 9)


def test_a_refusal_that_notes_no_bound_stays_one() -> None:
    first = Night("flickr", works(9), FIRST, max_pixels=500)
    rows = Path("raw/items/00001.jsonl")
    assert rows.read_text().count('"bound":500') == sum(row.outcome == "refused" for row in first.rows)
    rows.write_text(rows.read_text().replace('"bound":500,', ""))  # as rows were before
    assert Night("flickr", works(9), FIRST + DAY, max_pixels=10_000).pictures == 0


def test_photos_that_are_uploaded_before_a_date_to_come_are_found_as_they_come() -> None:
    shown, query = works(5), {"uploaded_before": int((FIRST + 90 * DAY).timestamp())}
    Night("flickr", shown, FIRST, query=query)
    for day in (1, 30, 80):
        now = FIRST + day * DAY
        shown = [*shown, *uploaded(now, shown, 5)]
        assert len(Night("flickr", shown, now, query=query).kept) == len(shown)


def test_a_later_batch_asks_for_no_photos_of_before_the_date_that_is_asked_for() -> None:
    after = int((FIRST - timedelta(hours=1)).timestamp())
    old, new = uploaded(FIRST - timedelta(hours=2), [], 5), uploaded(FIRST, works(5), 5)
    shown = [*old, *new]
    assert len(Night("flickr", shown, FIRST, query={"uploaded_after": after}).kept) == 5
    assert Night("flickr", shown, FIRST + DAY, query={"uploaded_after": after}).pictures == 0


class Busy(Elsewhere):
    hosts = ("elsewhere.example", "busy.example")


def asked(use: str, museum: Museum, after: float, limit: int = 1_000, to: str = "again", **query: object) -> int:
    """How many requests a run makes that begins `after` seconds from now, also where it ends in an error."""
    clock = FakeClock()
    clock.time = after
    settings = scrape.Scrape(use=use, limit=limit, site="museum", query={**SOURCES[use].query, **query})
    before = len(museum.log)
    with museum, contextlib.suppress(Exhausted):
        collecting.collect(
            to, settings, Path("raw" if to == "again" else to), Progress(io.StringIO()), lambda: FIRST, clock=clock,
            museum=lambda: Open(museum),
        )  # fmt: skip
    return len(museum.log) - before


def test_a_site_that_wants_a_day_is_not_asked_before_whoever_starts_us_again() -> None:
    museum = Museum([FlickrSite(works(9))])
    assert asked("flickr", museum, 0, limit=3)
    museum.faults.append(Fault("429", "rest/", retry_after=86_400))
    assert asked("flickr", museum, 0) == 1
    assert [asked("flickr", museum, after) for after in (60, 660, 4_260, 86_000)] == [0, 0, 0, 0]
    assert asked("flickr", museum, 60, to="other") == 0  # nor by another set
    assert asked("flickr", museum, 60, limit=3) == 0  # it has those, and wants nothing
    told = (
        r"^api.flickr.com\S* gives no more until 20\d\d-\d\d-\d\d \d\d:\d\d UTC, as it told an earlier "
        r"run, so nothing was asked; .* run it again then \(or remove .scratch/waits.json, if .*\)$"
    )
    with pytest.raises(Exhausted, match=told) as met:
        Night("flickr", works(9), FIRST)
    assert met.value.until is not None
    museum.faults.clear()
    assert asked("flickr", museum, 86_500)
    assert len(list(read_scraped(Path("raw/items")))) == 9
    assert not Path(".scratch/waits.json").exists()


def test_what_a_clock_told_that_was_years_ahead_holds_no_longer_than_the_site_wanted() -> None:
    museum = Museum([FlickrSite(works(5))])
    museum.faults.append(Fault("429", "rest/", times=1, retry_after=86_400))
    assert asked("flickr", museum, 5 * 366 * 86_400) == 1
    assert [asked("flickr", museum, after) for after in (0, 60, 86_000)] == [0, 0, 0]
    assert asked("flickr", museum, 86_500) > 1


def test_a_strange_host_that_wants_a_day_is_left_alone_by_the_next_run_too() -> None:
    Path("mine.txt").write_text("".join(f"https://{host}/{n}.jpg\n" for n in range(3) for host in Busy.hosts))
    museum = Museum([Busy()])
    museum.faults.append(Fault("429", "busy.example/.*jpg", retry_after=86_400))
    asked("url_list", museum, 0)
    before = [one.path for one in museum.log if one.host == "busy.example"]
    assert "/0.jpg" in before
    asked("url_list", museum, 3_600)
    assert [one.path for one in museum.log if one.host == "busy.example"] == before
    museum.faults.clear()
    asked("url_list", museum, 86_500)
    assert len([row for row in read_scraped(Path("raw/items")) if row.outcome == "kept"]) == 6
