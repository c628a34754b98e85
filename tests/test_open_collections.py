"""Openverse, Wikimedia Commons and the Met: what their answers mean, their limits, and what they say of themselves."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import Blocked, Exhausted, ParamsError, ShapeChanged, SourceError, Transient
from tasks.scrape import commons, met, openverse
from tasks.scrape.museum.commons import CommonsSite
from tasks.scrape.museum.faults import Fault
from tasks.scrape.museum.met import MetSite
from tasks.scrape.museum.openverse import OpenverseSite
from tasks.scrape.museum.server import Answer, Asked, Museum
from tasks.scrape.registry import find
from tasks.scrape.source import Item, Mark
from tests.visits import SOURCES, collect, items_of, museum_of, picture, visiting, works

ALL = commons.CommonsQuery(search="a")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def discover(tmp_path: Path) -> Iterator[Callable[..., list[Item | Mark]]]:
    """All that a source finds in a museum, by a query."""
    with ExitStack() as stack:

        def found(name: str, museum: Museum, cursor: Any = None, **query: Any) -> list[Item | Mark]:
            source, _, web, _ = visiting(name, museum, tmp_path / "pages", stack)
            return list(source.discover(source.Query.read(query, "query"), web, cursor))

        yield found


def test_openverse_shows_the_first_pages_of_a_search_and_another_search_shows_others(discover: Any) -> None:
    museum = Museum([OpenverseSite(works(700), per_day=10_000)])
    keys = {item.key for item in items_of(discover("openverse", museum, searches=["photograph"]), 10_000)}
    assert len(keys) == 20 * 20
    searches = ["photograph", *(f"Änne {n}" for n in range(7))]
    assert len({item.key for item in items_of(discover("openverse", museum, searches=searches), 10_000)}) == 700


def test_openverses_day_is_spent_after_two_hundred_requests_and_what_came_stays(tmp_path: Path) -> None:
    museum = Museum([OpenverseSite(works(140), per_day=6)])
    with pytest.raises(Exhausted, match=r"gives no more until .* UTC; what was fetched stays"):
        collect(tmp_path / "raw", museum, "openverse", searches=["photograph"])
    museum = Museum([OpenverseSite(works(140))])
    rows = collect(tmp_path / "raw", museum, "openverse", days_later=2, searches=["photograph"])
    assert len(rows) == 140


def test_openverse_asks_for_no_more_than_an_anonymous_page_and_for_the_licences_wanted(discover: Any) -> None:
    mixed = [replace(work, licence="CC BY 2.0" if n == 1 else "CC0") for n, work in enumerate(works(3))]
    museum = Museum([OpenverseSite(mixed)])
    found = items_of(discover("openverse", museum, searches=["photograph"], licences=["by"], size="large"))
    assert [(item.licence, item.author) for item in found] == [("CC BY 2.0", "Änne 1")]
    assert museum.log[0].fields["page_size"] == "20"
    assert museum.log[0].fields["size"] == "large"
    assert "category" not in museum.log[0].fields


def test_openverse_names_licences_as_other_sources_do_and_offers_a_smaller_picture() -> None:
    result = {
        "id": "x", "url": "https://a.example/b.jpg", "foreign_landing_url": "https://a.example/b", "license": "by-sa",
        "license_version": "4.0", "thumbnail": "https://api.openverse.org/v1/images/x/thumb/", "creator": None,
        "tags": [{"name": "wood", "accuracy": None}, {"name": "bear", "accuracy": 0.8}], "width": "30", "height": 20,
    }  # fmt: skip
    (item,), further = openverse.read_page({"results": [result], "page_count": 3}, 2)
    assert further
    assert (item.licence, item.author, item.tags) == ("CC BY-SA 4.0", "", ("wood",))
    assert [(shot.url[-6:], shot.width) for shot in item.shots] == [("/b.jpg", 30), ("thumb/", 0)]
    assert openverse.read_page({"results": [], "page_count": 3}, 1) == ([], False)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"items": []}, "lacks 'results'"), ({"results": [{"id": 1}]}, "lacks 'license'"),
        ({"results": [{"id": 1, "license": "by", "url": "u"}]}, "lacks 'foreign_landing_url'"), ([], "must follow"),
        ({"results": []}, "lacks 'page_count'"),
    ],
)  # fmt: skip
def test_an_answer_of_openverse_that_changed_is_never_no_results(answer: Any, words: str) -> None:
    with pytest.raises(ShapeChanged, match=words):
        openverse.read_page(answer, 1)


def test_commons_gives_author_and_licence_as_plain_words(discover: Any) -> None:
    (item,) = items_of(discover("commons", Museum([CommonsSite(works(1))]), search="wörk"))
    assert (item.author, item.licence, item.title, item.date) == ("Änne 0", "CC0", 'Wörk "0" & more', "2020")
    assert item.page.endswith("/wiki/File:work-00000.jpg")
    assert item.key.startswith("1000-")


def test_commons_takes_a_width_that_is_kept_ready_and_the_original_on_demand(tmp_path: Path) -> None:
    wide = [replace(work, width=400, read=lambda n=n: picture(n)) for n, work in enumerate(works(2))]
    rows = collect(tmp_path / "raw", Museum([CommonsSite(wide)]), "commons", width=330)
    assert {row.width for row in rows} == {330}
    assert all("/330px-" in row.origin.url for row in rows)
    rows = collect(tmp_path / "raw", Museum([CommonsSite(wide)]), "commons", width=0)
    assert [row.width for row in rows if row.batch == 2] == [24, 25]  # other bytes, so another key


def test_commons_lists_a_category_by_its_tokens_and_filters_licences(discover: Any) -> None:
    mixed = [replace(work, licence="CC BY-SA 4.0" if n % 3 else "CC0") for n, work in enumerate(works(800))]
    found = discover("commons", Museum([CommonsSite(mixed)]), category="Category:original3")
    assert len(items_of(found)) == len([n for n in range(800) if n % 7 == 3])
    assert next(mark.cursor for mark in found if isinstance(mark, Mark))["further"]["gcmcontinue"]
    found = discover("commons", Museum([CommonsSite(mixed)]), category="original3", licences=["CC0", "Public domain"])
    assert {item.licence for item in items_of(found)} == {"CC0"}


def test_commons_ends_where_its_search_ends_for_everybody(discover: Any) -> None:
    museum = Museum([CommonsSite(works(10_070))])
    nearly = {"further": {"gsroffset": 9_900, "continue": "gsroffset||"}}
    assert len(items_of(discover("commons", museum, nearly, search="photograph"))) == 100
    assert len(museum.log) == 2


def test_commons_that_is_behind_is_asked_again_when_it_wants(tmp_path: Path) -> None:
    museum = Museum([CommonsSite(works(60))])
    museum.faults.append(Fault("lag", r"api\.php", after=1, times=3))
    assert len(collect(tmp_path / "raw", museum, "commons")) == 60
    museum = Museum([CommonsSite(works(60))])
    museum.faults.append(Fault("lag", r"api\.php"))
    with pytest.raises(Transient, match=r"is busy \(Waiting for db1: 7 seconds lagged\)"):
        collect(tmp_path / "other", museum, "commons")
    assert all(asked.fields["maxlag"] == "5" for asked in museum.log)


class Endless:
    """Both APIs, giving the same page whatever is asked, and promising another one."""

    hosts: tuple[str, ...] = ("api.openverse.org", "commons.wikimedia.org")

    def __init__(self) -> None:
        self.commons = CommonsSite(works(3))._page("work-00000.jpg", 0, None)
        self.result = {"id": 1, "license": "by", "url": "https://a.example/1.jpg", "foreign_landing_url": "https://a"}

    def answer(self, asked: Asked) -> Answer:
        found = {"results": [self.result], "page_count": 10**9}
        if asked.host == "commons.wikimedia.org":
            found = {"query": {"pages": [self.commons]}, "continue": {"gcmcontinue": "file|1", "continue": "-||"}}
        return Answer(json.dumps(found).encode(), "application/json")


def test_paging_without_end_is_ended(discover: Any) -> None:
    assert len(discover("openverse", Museum([Endless()]), searches=["a"])) == 4  # the page, its mark, and both again
    with pytest.raises(ShapeChanged, match=r"leads back to where it was .*file.1"):
        discover("commons", Museum([Endless()]), category="a")


@pytest.mark.parametrize("name", ["openverse", "commons", "met"])
def test_an_answer_that_breaks_off_is_no_answer(name: str, tmp_path: Path) -> None:
    museum = museum_of(5)
    museum.faults.append(Fault("json", SOURCES[name].listings))
    with pytest.raises(Transient, match="gave something that is no JSON, three times"):
        collect(tmp_path / "raw", museum, name)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("ratelimited", Transient), ("readonly", Transient), ("cirrussearch-too-busy-error", Transient),
        ("blocked", Blocked), ("odd", SourceError),
    ],
)  # fmt: skip
def test_commons_codes_mean_what_they_mean(code: str, error: type[Exception]) -> None:
    assert type(commons._problem({"code": code, "info": "said so"})) is error


class Refusing(CommonsSite):
    """Refuses every question, with status 200."""

    def __init__(self, code: str) -> None:
        super().__init__([])
        self._code = code

    def answer(self, asked: Asked) -> Answer:
        return Answer(json.dumps({"error": {"code": self._code, "info": "no"}}).encode(), "application/json")


@pytest.mark.parametrize("code", ["blocked", "cirrussearch-too-busy-error", "odd"])
def test_a_refusal_of_commons_is_not_kept_and_the_next_run_asks_again(code: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="Wikimedia Commons"):
        collect(tmp_path / "raw", Museum([Refusing(code)]), "commons")
    assert len(collect(tmp_path / "raw", museum_of(60), "commons")) == 60


@pytest.mark.parametrize("lost", ["mime", "width", "sha1", "descriptionurl", "url"])
def test_a_file_of_commons_without_what_it_always_had_is_a_changed_api(lost: str) -> None:
    site = CommonsSite(works(1))
    page = site._page("work-00000.jpg", 0, 1)
    assert len(commons.read_answer({"query": {"pages": [page]}}, ALL)) == 1
    del page["imageinfo"][0][lost]
    with pytest.raises(ShapeChanged, match=f"lacks '{lost}'"):
        commons.read_answer({"query": {"pages": [page]}}, ALL)
    assert commons.read_answer({"batchcomplete": True}, ALL) == []


@pytest.mark.parametrize("lost", ["filemissing", "filehidden"])
def test_a_file_of_commons_that_is_lost_costs_its_picture_alone(lost: str) -> None:
    site = CommonsSite(works(3))
    pages = [site._page(f"work-{n:05}.jpg", 0, n) for n in range(3)]
    pages[1]["imageinfo"] = [{"timestamp": "2020-01-01T00:00:00Z", lost: True}]
    found = commons.read_answer({"query": {"pages": pages}}, ALL)
    assert [item.key.partition("-")[0] for item in found] == ["1000", "1002"]


def test_commons_leaves_drawings_and_films_alone() -> None:
    page = CommonsSite(works(1))._page("work-00000.jpg", 0, 1)
    page["imageinfo"][0]["mime"] = "image/svg+xml"
    assert commons.read_answer({"query": {"pages": [page, {"pageid": 2}]}}, ALL) == []


def test_the_met_gives_what_is_free_and_passes_over_what_is_not_or_was_taken_out(tmp_path: Path) -> None:
    mixed = [replace(work, licence="unknown" if n % 2 else "CC0") for n, work in enumerate(works(12))]
    rows = collect(tmp_path / "raw", Museum([MetSite(mixed)]), "met")
    assert len(rows) == 6
    assert {(row.origin.licence, row.outcome) for row in rows} == {("CC0", "kept")}
    assert rows[0].origin.page.endswith("/art/collection/search/40000")


def test_the_met_is_asked_in_its_own_words(discover: Any) -> None:
    museum = Museum([MetSite(works(3))])
    query = {"search": "photograph", "place": "Japan", "years": [1700, 1900], "department": 6, "medium": "Prints"}
    assert len(items_of(discover("met", museum, **query, classification=["Photograph"]))) == 3
    assert items_of(discover("met", museum, **query, classification=["Sword"])) == []
    asked = dict(museum.log[0].fields)
    assert asked == {
        "q": "photograph", "geoLocation": "Japan", "dateBegin": "1700", "dateEnd": "1900", "departmentId": "6",
        "medium": "Prints", "hasImages": "true",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "words"),
    [({"objectIDs": [1]}, "lacks 'total'"), ({"total": 3, "objectIDs": None}, "counts 3 works and names none")],
)
def test_a_search_of_the_met_that_changed_is_never_no_results(answer: Any, words: str) -> None:
    with pytest.raises(ShapeChanged, match=words):
        met.read_search(answer)
    assert met.read_search({"total": 0, "objectIDs": None}) == []


@pytest.mark.parametrize("lost", ["objectID", "primaryImage", "isPublicDomain"])
def test_a_work_of_the_met_without_what_it_always_had_is_a_changed_api(lost: str) -> None:
    work = {"objectID": 3, "primaryImage": "https://images.metmuseum.org/a.jpg", "isPublicDomain": True, "tags": None}
    assert met.read_work(work, met.MetQuery(search="a")) is not None
    del work[lost]
    with pytest.raises(ShapeChanged, match=f"lacks '{lost}'"):
        met.read_work(work, met.MetQuery(search="a"))


@pytest.mark.parametrize(
    ("name", "block", "words"),
    [
        ("openverse", {"searches": []}, "searches"), ("openverse", {"searches": [" "]}, "an empty search finds"),
        ("openverse", {"searches": ["a"], "licences": ["cc-by"]}, "licence 'cc-by' is unknown; Openverse's are cc0"),
        ("commons", {}, "exactly one of search and category"),
        ("commons", {"search": "a", "width": 640}, "width is 640; "),
        ("met", {"search": ""}, "search is empty"), ("met", {"search": "a", "years": [1900, 1800]}, "end before they"),
    ],
)  # fmt: skip
def test_an_impossible_query_is_one_sentence(name: str, block: dict[str, Any], words: str) -> None:
    with pytest.raises(ParamsError, match=words):
        find(name).Query.read(json.loads(json.dumps(block)), "query")
