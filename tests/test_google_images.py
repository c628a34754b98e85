"""Google Images by its search API and by SearXNG: whole past the caps, quotas kept to the call, walls named."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import Blocked, Exhausted, Gone, ParamsError, ShapeChanged, SourceError, Transient
from tasks.scrape import collect as collecting
from tasks.scrape import google_search
from tasks.scrape.google_images import GoogleImages, GoogleImagesQuery
from tasks.scrape.museum.faults import Fault
from tasks.scrape.museum.google import GoogleSite
from tasks.scrape.museum.server import Museum
from tasks.scrape.settings import Scrape
from tasks.scrape.source import Item, Mark
from tests.test_polite_web import FakeClock
from tests.visits import NOON, collect, works

Discover = Callable[..., Iterator[Item | Mark]]
CALIFORNIAN_MIDNIGHT = datetime(2026, 1, 3, 8, tzinfo=UTC)  # the first behind NOON


class Dated(FakeClock):
    """A clock that begins at NOON."""

    def utc(self) -> datetime:
        return NOON + timedelta(seconds=self.time)


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def discover(tmp_path: Path) -> Iterator[Discover]:
    """What a query finds in a museum, lazily."""
    with ExitStack() as stack:
        opened: list[Museum] = []

        def enter(
            museum: Museum, clock: FakeClock | None = None, cursor: Any = None, **block: Any
        ) -> Iterator[Item | Mark]:
            if museum not in opened:
                opened.append(stack.enter_context(museum))
            source, query = (
                GoogleImages(),
                GoogleImagesQuery.read({"backend": "cse", "text": "photograph", **block}, "q"),
            )
            web = collecting.open_web(
                source, query, Scrape(use="google_images", limit=1, site="museum"), tmp_path / f"{id(query)}", NOON,
                clock or Dated(), stack, lambda: nullcontext(museum),
            )  # fmt: skip
            return source.discover(query, web, cursor)

        yield enter


def keys(found: Iterator[Item | Mark]) -> list[str]:
    return [item.key for item in found if isinstance(item, Item)]


def test_hosts_that_refuse_or_lie_cost_their_own_pictures_only(tmp_path: Path) -> None:
    museum = Museum([GoogleSite(works(60))])
    museum.faults += [
        Fault("403", "gallery-one.example/full"),
        Fault("wrong extension", "gallery-two.example/full"),
    ]
    rows = collect(tmp_path / "raw", museum, "google_images")
    assert sum(row.outcome == "kept" for row in rows) == 20
    assert {row.reason for row in rows} == {"", "not given to us", "a page instead of a picture"}


def today(found: Iterator[Item | Mark], cursor: Any) -> tuple[list[str], Any, Exhausted | None]:
    """What comes until the quota is spent: keys, the last cursor, and what is said."""
    keys: list[str] = []
    try:
        for one in found:
            if isinstance(one, Mark):
                cursor = json.loads(json.dumps(dict(one.cursor)))
            else:
                keys.append(one.key)
    except Exhausted as spent:
        return keys, cursor, spent
    return keys, cursor, None


class TestCustomSearch:
    def test_a_search_shows_99_and_its_parts_show_the_rest_none_twice(self, discover: Discover) -> None:
        museum = Museum([GoogleSite(works(700), overlap=2)])
        assert len(keys(discover(museum, split_by=[]))) == 99
        assert len(museum.log) == 10
        found = keys(discover(museum))
        assert len(found) == len(set(found)) == 700

    def test_a_part_that_is_full_is_parted_again(self, discover: Discover) -> None:
        museum = Museum([GoogleSite(works(1_300))])
        assert len(keys(discover(museum, split_by=["colour"], calls_a_day=1_000))) == 99 * 12
        assert len(keys(discover(museum, split_by=["colour", "size"], calls_a_day=1_000))) == 1_300

    def test_a_limit_takes_from_all_parts_alike(self, discover: Discover) -> None:
        museum = Museum([GoogleSite(works(1_300))])
        first = list(islice((item for item in discover(museum) if isinstance(item, Item)), 99 + 300))
        colours = [int(item.shots[0].url.rpartition("y=")[2]) % 12 for item in first[99:]]
        each = [colours.count(colour) for colour in range(12)]
        assert max(each) - min(each) <= 10

    def test_its_own_quota_is_kept_to_the_call_and_goes_on_the_next_day(self, discover: Discover) -> None:
        museum, clock = Museum([GoogleSite(works(300))]), Dated()
        whole = keys(discover(museum))
        calls = len(museum.log)
        museum.log.clear()
        found, cursor, days = list[str](), None, 0
        while True:
            found_today, cursor, spent = today(discover(museum, clock, cursor, calls_a_day=17), cursor)
            found += found_today
            if spent is None:
                break
            days += 1
            assert len(museum.log) == 17 * days
            assert spent.until == CALIFORNIAN_MIDNIGHT + timedelta(days=days - 1)
            assert f"2026-01-{2 + days:02} 08:00 UTC" in str(spent)
            clock.time = (spent.until - NOON).total_seconds()
        assert found == whole
        assert len(museum.log) == calls
        assert days == (calls - 1) // 17

    def test_a_quota_that_google_counts_is_asked_for_once_and_says_until_when(self, tmp_path: Path) -> None:
        museum = Museum([GoogleSite(works(300), per_day=13)])
        with pytest.raises(Exhausted, match=r"gives no more until 20\d\d-\d\d-\d\d 08:00 UTC; what was fetched stays"):
            collect(tmp_path / "raw", museum, "google_images")
        calls = [asked for asked in museum.log if "customsearch" in asked.host]
        assert len(calls) == 14
        pictures = {asked.path for asked in museum.log if asked.path.startswith("/full/")}
        assert len(pictures) == 102  # 99, and of three colours the one among its first ten that was not there
        museum = Museum([GoogleSite(works(300))])
        assert len(collect(tmp_path / "raw", museum, "google_images", days_later=2)) == 300
        assert not pictures & {asked.path for asked in museum.log}

    def test_a_number_of_calls_that_is_raised_counts_the_same_day(self, tmp_path: Path) -> None:
        museum = Museum([GoogleSite(works(300))])
        with pytest.raises(Exhausted, match="gives no more until"):
            collect(tmp_path / "raw", museum, "google_images", calls_a_day=13)
        assert len([asked for asked in museum.log if "customsearch" in asked.host]) == 13
        museum = Museum([GoogleSite(works(300))])
        rows = collect(tmp_path / "raw", museum, "google_images", calls_a_day=1_000)
        assert len({row.id for row in rows if row.outcome == "kept"}) == 300
        searched = [dict(asked.fields) for asked in museum.log if "customsearch" in asked.host]
        whole = Museum([GoogleSite(works(300))])
        collect(tmp_path / "whole", whole, "google_images", calls_a_day=1_000)
        at_once = [dict(asked.fields) for asked in whole.log if "customsearch" in asked.host]
        assert searched == at_once[13:]  # what was searched before is not searched again

    @pytest.mark.parametrize(("status", "message", "reason", "error", "words"), [
        (400, "API key not valid. Please pass a valid API key.", "badRequest", Blocked, "not take the key"),
        (400, "Request contains an invalid argument.", "badRequest", SourceError, "cannot answer this query"),
        (403, "This project does not have the access", "forbidden", Blocked, "takes no new customers"),
        (403, "Daily Limit Exceeded", "dailyLimitExceeded", Exhausted, "quota is spent"),
        (429, "Quota exceeded: 'Queries per day'", "rateLimitExceeded", Exhausted, "quota is spent"),
        (429, "Quota exceeded: queries per minute", "rateLimitExceeded", None, ""),
        (503, "The service is currently unavailable.", "backendError", None, ""),
    ])  # fmt: skip
    def test_googles_errors_mean_what_they_mean(
        self, status: int, message: str, reason: str, error: Any, words: str
    ) -> None:
        body = json.dumps({"error": {"code": status, "message": message, "errors": [{"reason": reason}]}})
        meant = google_search.explain_cse(status, body)
        assert type(meant) is (error or type(None))
        assert words in str(meant)
        assert google_search.explain_cse(status, "<html>" + body) is None

    def test_a_wrong_key_is_said_after_one_call_and_a_missing_one_before(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GOOGLE_API_KEY", "wrong")
        museum = Museum([GoogleSite(works(3))])
        with pytest.raises(Blocked, match=r"does not take the key in GOOGLE_API_KEY .API key not valid"):
            collect(tmp_path / "raw", museum, "google_images")
        assert len(museum.log) == 1
        monkeypatch.delenv("GOOGLE_SEARCH_ENGINE", raising=False)
        source, settings = GoogleImages(), Scrape(use="google_images", limit=1, contact="me@example.org")
        with pytest.raises(ParamsError, match="without GOOGLE_SEARCH_ENGINE in the environment"):
            collecting.require_means(source, GoogleImagesQuery(backend="cse", text="sea"), settings, "contact")
        collecting.require_means(source, GoogleImagesQuery(backend="saved", pages="saved"), settings, "contact")

    def test_its_end_is_said_before_it_and_is_an_error_after_it(self) -> None:
        query = GoogleImagesQuery(backend="cse", text="sea")
        assert "ends on 1 January 2027" in GoogleImages().notice(query)
        assert GoogleImages().notice(GoogleImagesQuery(backend="saved", pages="x")) == ""
        web: Any = type(
            "Web", (), {"at": lambda self, url: url, "now": lambda self: datetime(2027, 1, 1, tzinfo=UTC)}
        )()
        with pytest.raises(Gone, match="ended its Custom Search API on 1 January 2027"):
            next(GoogleImages().discover(query, web, None))


class TestSearxng:
    def test_its_pages_are_read_until_one_brings_nothing_new(self, discover: Discover) -> None:
        museum = Museum([GoogleSite(works(130), overlap=3)])
        found = keys(discover(museum, backend="searxng", instance="https://searx.example/"))
        assert len(found) == len(set(found)) == 130
        assert {asked.fields["engines"] for asked in museum.log} == {"google images"}
        assert not [asked for asked in museum.log if asked.path == "/robots.txt"]  # one's own

    def test_engines_that_were_kept_out_are_no_empty_result(self, discover: Discover) -> None:
        museum = Museum([GoogleSite(works(30), kept_out=[["google images", "CAPTCHA"]])])
        with pytest.raises(Blocked, match=r"engines were kept out .google images: CAPTCHA"):
            keys(discover(museum, backend="searxng", instance="https://searx.example"))
        assert keys(discover(Museum([GoogleSite([])]), backend="searxng", instance="https://searx.example")) == []

    def test_engines_that_were_kept_out_are_asked_again_by_the_next_run(self, tmp_path: Path) -> None:
        query = {"backend": "searxng", "instance": "https://searx.example"}
        museum = Museum([GoogleSite(works(30), kept_out=[["google images", "CAPTCHA"]])])
        with pytest.raises(Blocked, match="engines were kept out"):
            collect(tmp_path / "raw", museum, "google_images", **query)
        assert len(collect(tmp_path / "raw", Museum([GoogleSite(works(30))]), "google_images", **query)) == 30

    def test_an_instance_that_gives_no_json_says_what_to_set(self, discover: Discover) -> None:
        museum = Museum([GoogleSite(works(30))])
        museum.faults.append(Fault("403", "searx.example/search"))
        with pytest.raises(Blocked, match=r"add json to search.formats"):
            keys(discover(museum, backend="searxng", instance="https://searx.example"))
        museum.faults[:] = [Fault("html", "searx.example/search")]
        with pytest.raises(Transient, match="no JSON"):
            keys(discover(museum, backend="searxng", instance="https://searx.example"))

    def test_an_answer_that_comes_again_for_ever_ends_the_search(self) -> None:
        answer = {"results": [{"url": "https://a.example/1", "img_src": "https://a.example/1.jpg"}]}
        asked: list[int] = []

        class Stuck:
            def at(self, url: str) -> str:
                return url

            def json(self, url: str, **params: Any) -> Any:
                asked.append(params["pageno"])
                return answer

        stuck: Any = Stuck()
        assert len(keys(google_search.by_searxng(stuck, "https://searx.example", "sea", "", None))) == 1
        assert asked == [1, 2]


@pytest.mark.parametrize(("block", "words"), [
    ({}, "backend is missing"),
    ({"backend": "html", "text": "sea"}, "backend is 'html'"),
    ({"backend": "cse"}, "backend cse needs text"),
    ({"backend": "saved"}, "backend saved needs pages"),
    ({"backend": "searxng", "text": "sea"}, "needs instance"),
    ({"backend": "searxng", "text": "sea", "instance": "searx.example"}, "is no address"),
    ({"backend": "cse", "text": "sea", "split_by": ["size", "size"]}, "names a side twice"),
    ({"backend": "cse", "text": "sea", "calls_a_day": 20_000}, "calls_a_day is 20000"),
])  # fmt: skip
def test_an_impossible_query_is_one_sentence(block: dict[str, Any], words: str) -> None:
    with pytest.raises(ParamsError, match=words):
        GoogleImagesQuery.read(block, "query")


@pytest.mark.parametrize("key", ["results", "img_src", "url", "resolution", "title", "engine", "unresponsive_engines"])
def test_with_any_one_key_renamed_a_searxng_says_so_or_loses_nothing(key: str) -> None:
    row = {"url": "https://a.example/1", "img_src": "https://a.example/1.jpg", "title": "Sea", "resolution": "4 x 3"}
    whole = json.dumps({"results": [{**row, "engine": "google images"}], "unresponsive_engines": []})
    try:
        items = google_search.read_searxng(
            json.loads(whole.replace(f'"{key}"', '"renamed"')), "https://s.example/search"
        )
        said = ""
    except ShapeChanged as error:
        items, said = [], str(error)
    assert [item.shots[0].url for item in items] == ["https://a.example/1.jpg"] or (
        f"'{key}'" in said and "https://s.example/search" in said
    )
