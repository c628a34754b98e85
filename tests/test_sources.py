"""Every registered source, from the museum over real HTTP: nothing missing, nothing twice, each failure named."""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks import scrape
from tasks.errors import Blocked, Exhausted, ParamsError, ShapeChanged, Transient
from tasks.progress import Progress
from tasks.rows import read_scraped
from tasks.scrape import flickr
from tasks.scrape.museum.faults import Fault
from tasks.scrape.museum.flickr import FlickrSite
from tasks.scrape.museum.server import Museum
from tasks.scrape.registry import find, known
from tasks.scrape.source import Item, Mark, Source
from tasks.scrape.web import PoliteWeb
from tasks.settings import Settings
from tests.visits import ON_THE_WEB, SOURCES, collect, items_of, lay_out, museum_of, picture, visiting, works


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in flickr.Flickr.secrets:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def visit(tmp_path: Path) -> Iterator[Callable[..., tuple[Source[Any], Settings, PoliteWeb, Museum]]]:
    """A source, its query, its web and the museum behind it."""
    with ExitStack() as stack:

        def enter(name: str, museum: Museum | None = None) -> tuple[Source[Any], Settings, PoliteWeb, Museum]:
            lay_out()
            museum = museum or museum_of(SOURCES[name].many, overlap=3)
            return visiting(name, museum, tmp_path / "pages", stack)

        yield enter


@pytest.mark.parametrize("name", list(known()))
def test_a_source_gives_sound_items_and_the_same_ones_again(name: str, visit: Any) -> None:
    source, query, web, _ = visit(name)
    first = items_of(source.discover(query, web, None), 40)
    assert first
    for item in first:
        assert item.key
        assert item.shots
        assert json.loads(json.dumps([item.key, item.page, item.title, item.author, item.tags, item.licence]))
        if source.manners.hosts:
            assert item.page.startswith("https://")
            assert all(shot.url.startswith("http") for shot in item.shots)
        areas = [shot.width * shot.height for shot in item.shots if shot.width]
        assert areas == sorted(areas, reverse=True)
    assert first == items_of(source.discover(query, web, None), 40)


@pytest.mark.parametrize("name", list(known()))
def test_a_source_refuses_a_query_it_does_not_know(name: str) -> None:
    with pytest.raises(ParamsError, match="nonsense is no setting"):
        find(name).Query.read({**SOURCES[name].query, "nonsense": 1}, "query")


@pytest.mark.parametrize("name", ON_THE_WEB)
def test_a_source_is_lazy_and_asks_only_its_own_hosts(name: str, visit: Any) -> None:
    source, query, web, museum = visit(name)
    next(item for item in source.discover(query, web, None) if isinstance(item, Item))
    assert len([asked for asked in museum.log if asked.path != "/robots.txt"]) <= 2
    allowed = source.manners.hosts
    assert all(any(asked.host == host or asked.host.endswith("." + host) for host in allowed) for asked in museum.log)


@pytest.mark.parametrize("name", ON_THE_WEB)
def test_from_any_mark_on_nothing_is_missing_and_nothing_before_is_asked_again(name: str, visit: Any) -> None:
    source, query, web, museum = visit(name)
    whole: list[Item | Mark] = []
    asked: dict[int, int] = {}  # how much had been asked at each mark
    for found in source.discover(query, web, None):
        if isinstance(found, Mark):
            asked[len(whole)] = len(museum.log)
        whole.append(found)
    in_all = len(museum.log)
    assert asked
    for at in list(asked)[:-1]:
        mark = whole[at]
        assert isinstance(mark, Mark)
        shutil.rmtree(web._pages, ignore_errors=True)
        museum.log.clear()
        rest = items_of(source.discover(query, web, json.loads(json.dumps(mark.cursor))))
        before = [item for item in whole[:at] if isinstance(item, Item)]
        assert {item.key for item in before} | {item.key for item in rest} == {
            item.key for item in whole if isinstance(item, Item)
        }
        assert len(museum.log) <= in_all - asked[at] + 1  # a search that tells all at once is asked again


@pytest.mark.parametrize("name", ON_THE_WEB)
def test_pages_that_overlap_give_each_picture_once(name: str, tmp_path: Path) -> None:
    many = SOURCES[name].many
    rows = collect(tmp_path / "raw", museum_of(many, overlap=5), name, limit=2_000)
    assert len(rows) == many
    assert len({row.id for row in rows}) == many
    assert {row.outcome for row in rows} == {"kept"}
    assert all(row.id.startswith(f"{name}.museum:") for row in rows)


@pytest.mark.parametrize("name", ON_THE_WEB)
def test_a_limit_asks_for_no_picture_more(name: str, tmp_path: Path) -> None:
    museum = museum_of(SOURCES[name].many)
    rows = collect(tmp_path / "raw", museum, name, limit=7)
    assert len(rows) == 7
    assert len([asked for asked in museum.log if asked.path.endswith(".jpg")]) == 7


@pytest.mark.parametrize("name", ON_THE_WEB)
def test_with_one_answer_in_twenty_failing_nothing_is_lost(name: str, tmp_path: Path) -> None:
    museum = museum_of(SOURCES[name].many)
    museum.faults += [Fault("500", share=0.025, seed=1), Fault("429", share=0.025, retry_after=1, seed=2)]
    rows = collect(tmp_path / "raw", museum, name)
    assert len(rows) == SOURCES[name].many
    assert {row.outcome for row in rows} == {"kept"}
    assert all(fault.struck for fault in museum.faults)


@pytest.mark.parametrize("name", ON_THE_WEB)
@pytest.mark.parametrize(("kind", "error", "words"), [
    ("captcha", (Blocked, Transient), "keeps machines out|no JSON"),
    ("changed", (ShapeChanged, Transient), "must follow|no JSON"),
    ("500", Transient, "gave status 500 6 times"),
    ("403", Blocked, "not given to us"),
])  # fmt: skip
def test_a_page_that_is_no_answer_is_an_error_and_never_no_results(
    name: str, kind: Any, error: Any, words: str, tmp_path: Path
) -> None:
    museum = museum_of(SOURCES[name].many)
    museum.faults.append(Fault(kind, SOURCES[name].listings, after=4 if name == "met" else 1))  # after the first works
    with pytest.raises(error, match=words):
        collect(tmp_path / "raw", museum, name)
    assert not (tmp_path / "raw").exists()
    asked = {asked.path for asked in museum.log if asked.path.endswith(".jpg")}
    assert asked
    museum = museum_of(SOURCES[name].many)
    assert len(collect(tmp_path / "raw", museum, name)) == SOURCES[name].many
    assert not asked & {asked.path for asked in museum.log if asked.path.endswith(".jpg")}  # what was fetched stayed


@pytest.mark.parametrize(
    ("kind", "outcome", "reason"),
    [
        ("404", "refused", "gone"),
        ("noai", "refused", "X-Robots-Tag noai"),
        ("wrong extension", "failed", "a page instead of a picture"),
        ("elsewhere", "failed", "not given to us"),
        ("lying", "failed", "cut short"),
        ("endless", "refused", "too many bytes"),
        ("truncated", "kept", ""),
    ],
)
def test_each_picture_ends_under_a_name(kind: Any, outcome: str, reason: str, tmp_path: Path) -> None:
    museum = museum_of(12)
    museum.faults.append(Fault(kind, r"50000000003_", times=None if outcome != "kept" else 2))
    rows = {row.id: row for row in collect(tmp_path / "raw", museum, "flickr")}
    assert len(rows) == 12
    row = rows["flickr.museum:50000000003"]
    assert (row.outcome, row.reason) == (outcome, reason)


def test_a_deleted_photo_of_flickrs_is_refused_by_where_it_leads(tmp_path: Path) -> None:
    museum = museum_of(5)
    museum.faults.append(Fault("placeholder", "50000000002_"))
    rows = {row.id: row for row in collect(tmp_path / "raw", museum, "flickr")}
    assert rows["flickr.museum:50000000002"].reason == "photo unavailable"
    assert all("yimg" not in asked.host for asked in museum.log)


def test_the_next_batch_tries_the_failed_again_and_the_refused_never(tmp_path: Path) -> None:
    museum = museum_of(9)
    museum.faults += [Fault("wrong extension", "50000000001_"), Fault("404", "50000000002_")]
    rows = collect(tmp_path / "raw", museum, "flickr")
    before = (tmp_path / "raw/items/00001.jsonl").read_bytes()
    assert sorted(row.outcome for row in rows) == ["failed"] + ["kept"] * 7 + ["refused"]
    museum = museum_of(9)
    rows = collect(tmp_path / "raw", museum, "flickr")
    assert [asked.path for asked in museum.log if ".jpg" in asked.path] == ["/65535/50000000001_abc0000001_o.jpg"]
    assert (tmp_path / "raw/items/00001.jsonl").read_bytes() == before
    assert (rows[-1].id, rows[-1].outcome, rows[-1].batch) == ("flickr.museum:50000000001", "kept", 2)


def test_the_same_picture_under_many_keys_is_an_alarm(tmp_path: Path) -> None:
    same = [replace(work, read=lambda: picture(3)) if n >= 4 else work for n, work in enumerate(works(100))]
    rows = collect(tmp_path / "raw", Museum([FlickrSite(same)]), "flickr")
    assert sum(row.outcome == "kept" for row in rows) == 3
    assert {row.reason for row in rows if row.outcome == "refused"} == {"same picture under many keys"}
    assert len(rows) == 100


def test_ten_thousand_photos_pass_flickrs_cap(visit: Any) -> None:
    source, query, web, museum = visit("flickr", museum_of(10_000))
    keys = [item.key for item in items_of(source.discover(query, web, None), 20_000)]
    assert len(keys) == len(set(keys)) == 10_000
    assert len(museum.log) <= 60


@pytest.mark.parametrize("beyond", ["repeat", "error"])
def test_the_museum_has_flickrs_cap(visit: Any, beyond: str) -> None:
    """Without windows the same search loses what lies past 4,000."""
    _, query, web, _ = visit("flickr", museum_of(4_600, beyond=beyond))
    search = flickr._search_with(web)
    first = search(flickr._asked(query, 0, 2**31, 1))
    assert first.total == 4_600
    if beyond == "error":
        with pytest.raises(ShapeChanged, match="Excessive photo offset"):
            search(flickr._asked(query, 0, 2**31, 9))
    else:
        assert search(flickr._asked(query, 0, 2**31, 9)).photos[0]["id"] == first.photos[0]["id"]


@pytest.mark.parametrize(
    ("kind", "words"),
    [("key", "does not take the key in FLICKR_API_KEY .*invalid format"), ("expired", "Key has expired")],
)
def test_a_wrong_key_is_said_at_once(kind: Any, words: str, tmp_path: Path) -> None:
    museum = museum_of(5)
    museum.faults.append(Fault(kind, "rest/"))
    with pytest.raises(Blocked, match=words):
        collect(tmp_path / "raw", museum, "flickr")
    assert len(museum.log) == 1


def test_an_exhausted_quota_says_when_to_come_back(tmp_path: Path) -> None:
    museum = museum_of(5)
    museum.faults.append(Fault("429", "rest/", retry_after=5_000))
    with pytest.raises(Exhausted, match=r"gives no more until .* UTC"):
        collect(tmp_path / "raw", museum, "flickr")


def test_a_missing_key_or_contact_is_said_before_anything_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = {"use": "flickr", "limit": 3, "query": {"text": "sea"}}

    def run(**more: Any) -> None:
        settings = scrape.Scrape.read({**block, **more}, "pictures.sea.scrape")
        scrape.run(picture_set="sea", settings=settings, out=tmp_path / "raw", progress=Progress(io.StringIO()))

    with pytest.raises(ParamsError, match=r"pictures.sea.scrape.contact is missing"):
        run()
    monkeypatch.setenv("FLICKR_API_KEY", "secret-key")
    with pytest.raises(ParamsError, match="without FLICKR_API_SECRET in the environment"):
        run(contact="me@example.org")


def test_a_photo_without_an_id_is_a_changed_api_and_one_without_extras_is_not(visit: Any) -> None:
    _, _, web, _ = visit("flickr")
    bare = {"id": "1", "owner": "2@N00", "secret": "s", "server": "3", "width_o": "wide"}
    assert flickr.read_photo(bare, "photo", web).shots[0].url.endswith("/3/1_s_b.jpg")
    with pytest.raises(ShapeChanged, match="lacks 'id'"):
        flickr.read_photo({"owner": "2@N00"}, "photo", web)


def test_ukiyoe_takes_full_pictures_of_allowed_holdings_and_groups_impressions(tmp_path: Path) -> None:
    museum = museum_of(30)
    rows = collect(tmp_path / "raw", museum, "ukiyoe", holdings=("metro",))
    assert {row.origin.tags for row in rows} == {("metro",)}
    assert len(rows) == 10
    assert all("/images/" in row.origin.url for row in rows)
    assert not [asked for asked in museum.log if "thumbs" in asked.path or "/image/" in asked.path]
    assert rows[0].origin.licence == "unknown"
    assert "Wörk" in rows[0].origin.title


def test_ukiyoe_falls_back_to_the_scaled_picture_and_asks_details_on_demand(tmp_path: Path) -> None:
    museum = museum_of(6)
    museum.faults.append(Fault("404", "/images/work-00001"))
    rows = {row.id: row for row in collect(tmp_path / "raw", museum, "ukiyoe", details=True)}
    assert "/scaled/" in rows["ukiyoe.museum:demo/work-00001"].origin.url
    assert {row.origin.date for row in rows.values()} == {"2026"}


@pytest.mark.parametrize(
    ("kind", "outcome", "asked"), [("noai", "refused", ["images"]), ("wrong extension", "kept", ["images", "scaled"])]
)
def test_a_picture_that_is_not_to_be_learned_from_is_not_taken_in_another_size(
    kind: Any, outcome: str, asked: list[str], tmp_path: Path
) -> None:
    museum = museum_of(3)
    museum.faults.append(Fault(kind, "/images/work-00001"))
    rows = {row.id: row for row in collect(tmp_path / "raw", museum, "ukiyoe")}
    assert rows["ukiyoe.museum:demo/work-00001"].outcome == outcome
    paths = [one.path for one in museum.log if "work-00001" in one.path]
    assert [next(part for part in path.split("/") if part in ("images", "scaled")) for path in paths] == asked


@pytest.mark.parametrize("listing", [{"search": "", "artist": "nne-3"}, {"search": "", "source": "metro"}])
def test_ukiyoe_lists_by_artist_and_by_source(listing: dict[str, Any], tmp_path: Path) -> None:
    assert collect(tmp_path / "raw", museum_of(40), "ukiyoe", **listing)


def test_the_demonstrations_museum_is_opened_and_closed_by_the_step_itself(tmp_path: Path) -> None:
    settings = scrape.Scrape(use="ukiyoe", limit=3, site="museum", query={"search": "woodblock-like"})
    scrape.run(picture_set="prints", settings=settings, out=tmp_path / "raw", progress=Progress(io.StringIO()))
    rows = list(read_scraped(tmp_path / "raw" / "items"))
    assert len({row.sha256 for row in rows}) == 3
    assert all("museum.test" in row.origin.page and "woodblock-like" in row.origin.title for row in rows)


def test_importing_a_source_reaches_for_nothing_heavy() -> None:
    heavy = "print([name for name in ('torch', 'cv2', 'flickrapi') if name in sys.modules])"
    code = f"import sys, tasks.scrape.registry as registry; registry.known(); {heavy}"
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "[]"
