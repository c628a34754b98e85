"""WikiArt, by its site and its API: whole past the cap, keys and sessions, rights on demand, and pages that changed."""

import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import Blocked, Gone, ParamsError, ShapeChanged
from tasks.progress import Progress
from tasks.rows import read_scraped
from tasks.scrape import collect as collecting
from tasks.scrape import wikiart_catalogue as catalogue
from tasks.scrape.museum.faults import Fault
from tasks.scrape.museum.server import Answer, Asked, Museum
from tasks.scrape.museum.wikiart import WikiArtSite, work_id
from tasks.scrape.settings import Scrape
from tasks.scrape.source import Item
from tasks.scrape.web import PoliteWeb
from tasks.scrape.wikiart import WikiArt
from tests.test_polite_web import FakeClock
from tests.visits import NOON, collect, items_of, works

Found = Callable[..., list[Item]]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def found(tmp_path: Path) -> Iterator[Found]:
    """What a query finds in a museum of one site."""
    with ExitStack() as stack:
        webs: list[PoliteWeb] = []
        opened: list[Museum] = []

        def find(museum: Museum, limit: int = 30_000, cursor: Any = None, **block: Any) -> list[Item]:
            source, query = WikiArt(), WikiArt.Query.read(block, "query")
            settings = Scrape(use="wikiart", limit=1, site="museum")
            if museum not in opened:
                opened.append(stack.enter_context(museum))
            webs.append(
                collecting.open_web(
                    source, query, settings, tmp_path / f"pages{len(webs)}", NOON, FakeClock(), stack,
                    lambda: nullcontext(museum),
                )
            )  # fmt: skip
            return items_of(source.discover(query, webs[-1], cursor), limit)

        yield find


def genre_of(number: int) -> str:
    return "portrait" if number % 4 else "landscape"


def capped(count: int = 420, **kwargs: Any) -> Museum:
    """Three quarters of the works are portraits; a listing ends behind two pages, 120 works."""
    return Museum([WikiArtSite(works(count), genre=genre_of, pages=2, **kwargs)])


def portraits(count: int) -> set[str]:
    return {work_id(work) for n, work in enumerate(works(count)) if n % 4}


def test_all_works_come_past_the_cap_and_none_twice(found: Found) -> None:
    museum = capped(overlap=4)
    keys = [item.key for item in found(museum, genre="portrait")]
    assert len(keys) == len(set(keys))
    assert set(keys) == portraits(420)
    asked = [asked.path for asked in museum.log if re.search(r"/en/.*/work-\d+$", asked.path)]
    assert len(asked) == len(set(asked)) == 420 - 120  # each work that the listing did not show, once


def test_a_work_whose_record_is_gone_is_passed_over_and_the_others_come(found: Found) -> None:
    museum = capped()
    museum.faults.append(Fault("404", r"/work-00419$"))
    assert {item.key for item in found(museum, genre="portrait")} == portraits(419)


def test_an_artist_who_is_gone_costs_a_walk_his_works_alone_and_is_told_of(tmp_path: Path) -> None:
    museum = capped()
    museum.faults.append(Fault("404", "nne-2/mode/all-paintings"))
    said = io.StringIO()
    settings = Scrape(use="wikiart", limit=1_000, site="museum", query={"genre": "portrait"})
    with museum:
        collecting.collect(
            "test", settings, tmp_path / "raw", Progress(said), lambda: NOON, clock=FakeClock(),
            museum=lambda: nullcontext(museum),
        )  # fmt: skip
    kept = {row.id.partition(":")[2] for row in read_scraped(tmp_path / "raw" / "items")}
    of_his = {work_id(work) for n, work in enumerate(works(420)) if n % 7 == 2}
    assert portraits(420) - of_his < kept < portraits(420)
    assert said.getvalue().count("passing over an artist whom WikiArt names and does not show") == 1
    assert "nne-2/mode/all-paintings is gone" in said.getvalue()


def test_artists_who_are_all_gone_are_a_site_that_moved(found: Found) -> None:
    museum = Museum([WikiArtSite([replace(work, author=f"Änne {n}") for n, work in enumerate(works(90))], pages=1)])
    museum.faults.append(Fault("404", "/mode/all-paintings"))
    with pytest.raises(Gone, match="nne-9/mode/all-paintings is gone"):
        found(museum, genre="portrait")
    assert len([asked for asked in museum.log if "all-paintings" in asked.path]) == 10


@pytest.mark.parametrize("kind", ["genre", "style"])
def test_a_listing_that_shows_all_it_counts_walks_no_artists(kind: str, found: Found) -> None:
    museum = Museum([WikiArtSite(works(250), style=genre_of)])
    assert len(found(museum, **{kind: "portrait"})) == (250 if kind == "genre" else 187)
    assert not [asked for asked in museum.log if "Artists" in asked.path or "/work-" in asked.path]


def test_genre_and_style_together_are_both_kept_to(found: Found) -> None:
    museum = Museum([WikiArtSite(works(90), genre=genre_of, style=lambda n: "cubism" if n % 3 else "realism")])
    items = found(museum, genre="portrait", style="cubism")
    assert len(items) == len([n for n in range(90) if n % 4 and n % 3])
    assert {item.tags for item in items} == {("portrait", "cubism")}


def test_artists_are_walked_by_name_and_held_out_together_on_request(found: Found) -> None:
    museum = capped()
    items = found(museum, artists=["nne-3", "nne-5"], group="artist")
    assert {item.author for item in items} == {"Änne 3", "Änne 5"} == {item.group for item in items}
    assert len(items) == 120
    with pytest.raises(Gone, match="nobody/mode/all-paintings is gone"):
        found(museum, artists=["nobody"])


def test_a_search_finds_what_it_shows(found: Found) -> None:
    assert len(found(capped(), search="änne 2")) == 60


def test_the_walk_goes_on_from_its_mark_without_what_the_listing_showed(found: Found) -> None:
    museum = capped()
    whole = {item.key for item in found(museum, genre="portrait")}
    rest = found(museum, genre="portrait", cursor={"artists": 4, "count": 315})
    listed = {item.key for item in found(museum, 120, genre="portrait")}
    assert rest
    assert not listed & {item.key for item in rest}
    assert {item.author for item in rest} <= {f"Änne {n}" for n in range(7)}
    assert len({item.author for item in rest}) == 3
    assert {item.key for item in rest} < whole


def test_the_original_is_taken_and_restricted_works_are_refused_by_name(tmp_path: Path) -> None:
    museum = Museum([WikiArtSite(works(40), restricted=lambda n: n % 10 == 3)])
    rows = collect(tmp_path / "raw", museum, "wikiart")
    assert len(rows) == 40
    assert {row.reason for row in rows if row.outcome != "kept"} == {"restricted work"}
    assert sum(row.outcome == "refused" for row in rows) == 4
    assert not [asked for asked in museum.log if "/Content/" in asked.path]
    kept = [row for row in rows if row.outcome == "kept"]
    assert not [row for row in kept if "!" in row.origin.url]
    assert all("étude" in row.origin.url for row in kept)


def test_where_the_original_is_gone_the_large_one_is_taken(tmp_path: Path) -> None:
    museum = Museum([WikiArtSite(works(5))])
    museum.faults.append(Fault("404", r"\(work-00002\)\.jpg$"))
    urls = {row.origin.url for row in collect(tmp_path / "raw", museum, "wikiart")}
    assert len([url for url in urls if url.endswith("(work-00002).jpg!Large.jpg")]) == 1
    assert len(urls) == 5


def test_rights_are_asked_on_demand_alone(found: Found) -> None:
    mixed = [replace(work, licence="CC0" if n % 2 else "Fair Use") for n, work in enumerate(works(20))]
    museum = Museum([WikiArtSite(mixed)])
    assert {item.licence for item in found(museum, genre="portrait")} == {"unknown"}
    assert not [asked for asked in museum.log if "/work-" in asked.path]
    asked = [item.licence for item in found(museum, genre="portrait", rights="asked")]
    assert asked == ["fair use", "public domain"] * 10
    assert len(found(museum, genre="portrait", rights="public domain")) == 10


class TestTheApi:
    def test_it_finds_the_same_works_through_lists_and_records(self, found: Found) -> None:
        museum = capped(200)
        keys = [item.key for item in found(museum, genre="portrait", access="api")]
        assert len(keys) == len(set(keys))
        assert set(keys) == portraits(200)
        assert len([asked for asked in museum.log if asked.path.endswith("/login")]) == 1
        some = found(museum, artists=["nne-3"], access="api")
        assert len(some) == 29
        assert all(item.page.startswith("https://www.wikiart.org.museum.test/en/nne-3/work-") for item in some)
        assert len(found(museum, search="änne 2", access="api")) == 29

    def test_a_session_that_ends_is_opened_once_more(self, found: Found) -> None:
        site = WikiArtSite(works(150))
        museum = Museum([Ending(site, after=6)])
        assert len(found(museum, artists=["nne-3", "nne-4"], genre="portrait", access="api")) == 42
        assert len([asked for asked in museum.log if asked.path.endswith("/login")]) == 2

    def test_wrong_keys_are_said_at_once_and_missing_ones_before(
        self, found: Found, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        museum = Museum([WikiArtSite(works(5))])
        museum.faults.append(Fault("403", "Api/2/login"))
        with pytest.raises(Blocked, match=r"does not take WIKIART_ACCESS_CODE and WIKIART_SECRET_CODE \(status 403\)"):
            found(museum, artists=["nne-3"], access="api")
        assert len(museum.log) == 1
        for name in catalogue.KEYS:
            monkeypatch.delenv(name, raising=False)
        settings = Scrape(use="wikiart", limit=1, contact="me@example.org")
        query = WikiArt.Query(artists=("nne-3",), access="api")
        with pytest.raises(ParamsError, match="without WIKIART_ACCESS_CODE and WIKIART_SECRET_CODE"):
            collecting.require_means(WikiArt(), query, settings, "contact")
        collecting.require_means(WikiArt(), WikiArt.Query(genre="portrait"), settings, "contact")

    def test_an_artist_it_does_not_know_is_named(self, found: Found) -> None:
        with pytest.raises(Gone, match="knows no artist 'nobody'"):
            found(capped(100), artists=["nne-3", "nobody"], access="api")

    def test_it_is_asked_400_times_an_hour(self) -> None:
        source = WikiArt()
        assert source.manners_for(WikiArt.Query(genre="portrait", access="api")).per_hour == 400


class Ending:
    """A WikiArt whose session ends after some calls."""

    def __init__(self, site: WikiArtSite, after: int) -> None:
        self.hosts, self._site, self._left = site.hosts, site, after

    def answer(self, asked: Asked) -> Answer:
        self._left -= 1
        if self._left == 0:
            self._site.end_session()
        return self._site.answer(asked)


@pytest.mark.parametrize(("block", "words"), [
    ({}, "give one of genre, style, artists and search"),
    ({"search": "sea", "artists": ["x"]}, "not both"),
    ({"genre": "portrait", "rights": "all"}, "query.rights is 'all'"),
])  # fmt: skip
def test_an_impossible_query_is_one_sentence(block: dict[str, Any], words: str) -> None:
    with pytest.raises(ParamsError, match=words):
        WikiArt.Query.read(block, "query")


def test_a_listing_that_counts_works_and_shows_none_is_a_changed_page(found: Found) -> None:
    museum = Museum([WikiArtSite(works(90), pages=0)])
    with pytest.raises(ShapeChanged, match=r"paintings-by-genre/portrait counts 90 works and shows none"):
        found(museum, genre="portrait")


def test_a_listing_without_works_is_empty(found: Found) -> None:
    assert found(capped(), search="no such words") == []


def test_a_page_that_comes_again_for_ever_ends_the_listing(found: Found) -> None:
    museum = Museum([Stuck(WikiArtSite(works(130), overlap=0))])
    assert len(found(museum, artists=["nne-3"])) == 19
    assert len(museum.log) <= 6


class Stuck:
    """A WikiArt that gives the first page whatever page is asked for."""

    def __init__(self, site: WikiArtSite) -> None:
        self.hosts, self._site = site.hosts, site

    def answer(self, asked: Asked) -> Answer:
        return self._site.answer(
            Asked(asked.method, asked.host, asked.path, {**asked.fields, "page": "1"}, asked.headers)
        )


ADDRESS = "https://www.wikiart.org/en/paintings-by-genre/portrait"


def listing() -> str:
    """One page of a listing, as the museum gives it."""
    asked = Asked(
        "GET",
        "www.wikiart.org",
        "/en/paintings-by-genre/portrait",
        {"json": "2"},
        {"X-Requested-With": "XMLHttpRequest"},
    )
    return WikiArtSite(works(9)).answer(asked).body.decode()


def record() -> str:
    return WikiArtSite(works(9)).answer(Asked("GET", "www.wikiart.org", "/en/nne-3/work-00003", {}, {})).body.decode()


def told(reading: Callable[[], Any]) -> Any:
    """What is read, or what is said where it cannot be."""
    try:
        return reading()
    except ShapeChanged as error:
        return str(error)


class One:
    """A web that gives one answer, whatever is asked."""

    session = type("Session", (), {"headers": {}})

    def __init__(self, text: str) -> None:
        self.text = text

    def at(self, url: str) -> str:
        return url

    def json(self, url: str, **params: Any) -> Any:
        return json.loads(self.text)


def read(text: str) -> list[tuple[str, str]]:
    web: Any = One(text)
    page = catalogue.BySite(web, {"genre": "portrait"}, (), "").page("paintings-by-genre/portrait", None)
    return [(item.key, item.shots[0].url) for item in page.items]


API = {"authSessionKey": "0123456789ab"}


def api_answer(what: str, **fields: str) -> str:
    site = WikiArtSite(works(70))
    return site.answer(Asked("GET", "www.wikiart.org", f"/en/api/2/{what}", {**API, **fields}, {})).body.decode()


def read_list(text: str) -> tuple[list[tuple[str, str, str]], Any]:
    web: Any = One(text)
    api = catalogue.ByApi(web, {}, (), "sea")
    api._session = API["authSessionKey"]
    page = api.page("PaintingSearch?term=sea", None)
    return [(item.key, item.page, item.shots[0].url) for item in page.items], page.further


@pytest.mark.parametrize("key", sorted(set(re.findall(r'"(\w+)":', api_answer("PaintingSearch")))))
def test_with_any_one_key_renamed_a_list_of_the_api_says_so_or_loses_nothing(key: str) -> None:
    whole = read_list(api_answer("PaintingSearch"))
    assert (len(whole[0]), whole[1]) == (60, "60=")
    found = told(lambda: read_list(api_answer("PaintingSearch").replace(f'"{key}":', f'"{key}New":')))
    assert found == whole or ("/api/2/PaintingSearch" in found and f"lacks '{key}'" in found)


@pytest.mark.parametrize("key", ["genres", "styles", "title", "id"])
def test_with_any_one_key_renamed_a_record_of_the_api_says_so_or_tells_the_same(key: str) -> None:
    work = Item(work_id(works(1)[0]), "https://www.wikiart.org", ())
    record = api_answer("Painting", id=work.key)

    def kinds(text: str) -> Any:
        web: Any = One(text)
        api = catalogue.ByApi(web, {}, (), "sea")
        api._session = API["authSessionKey"]
        return api.kinds(work)

    assert kinds(record) == {"genre": {"portrait"}, "style": {"realism"}}
    found = told(lambda: kinds(record.replace(f'"{key}":', f'"{key}New":')))
    assert found == kinds(record) or (f"Painting lacks '{key}'" in found)


@pytest.mark.parametrize("key", sorted(set(re.findall(r'"(\w+)":', listing()))))
def test_with_any_one_key_renamed_a_listing_says_so_or_loses_nothing(key: str) -> None:
    assert len(read(listing())) == 9
    found = told(lambda: read(listing().replace(f'"{key}":', f'"{key}New":')))
    assert found == read(listing()) or (ADDRESS in found and f"lacks '{key}'" in found)


PAGE = "https://www.wikiart.org/en/nne-3/work-00003"


@pytest.mark.parametrize(
    "name",
    ["wiki-layout-artwork-info", "paintings-by-genre", "paintings-by-style", "Genre:", "dictionary-values", "li"],
)
def test_with_any_one_name_changed_a_works_page_says_so_or_tells_the_same(name: str) -> None:
    changed = re.sub(rf"\b{name}(?=\W)", "renamed", record())
    assert changed != record()
    found = told(lambda: catalogue.read_kinds(changed, PAGE))
    assert found == {"genre": {"portrait"}, "style": {"realism"}} or (PAGE in found and name in found)


@pytest.mark.parametrize("name", ["copyright-wrapper", "copyright", "copyright-icon-public-domain", "Public domain"])
def test_a_rights_label_that_moved_is_said_and_never_taken_for_none(name: str) -> None:
    assert catalogue.read_rights(record(), PAGE) == "public domain"
    found = told(lambda: catalogue.read_rights(re.sub(rf"\b{name}(?![\w-])", "renamed", record()), PAGE))
    assert found == "public domain" or (PAGE in found and ".copyright-wrapper .copyright" in found)


ODD: tuple[Any, ...] = ([], "text", None, *({"Paintings": [row], "AllPaintingsCount": 1} for row in (7, {}, None)))


@pytest.mark.parametrize("answer", ODD)
def test_json_of_another_form_is_a_changed_page(answer: Any) -> None:
    with pytest.raises(ShapeChanged, match=f"{ADDRESS} lacks"):
        read(json.dumps(answer))
