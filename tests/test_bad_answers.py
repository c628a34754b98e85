"""What a site should never answer: one sentence that a person can act on, and what was fetched stays."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.errors import BarenError, Blocked, ShapeChanged
from tasks.scrape import session
from tasks.scrape.museum.faults import Fault
from tasks.scrape.museum.flickr import FlickrSite
from tasks.scrape.museum.server import Answer, Asked, Museum
from tasks.scrape.museum.ukiyoe import UkiyoeSite
from tests.visits import collect, museum_of, works

PAGES = {"flickr": "rest/", "ukiyoe": "/search"}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("use", PAGES)
def test_a_listing_of_ten_gigabytes_is_read_no_further_than_one_can_be(
    use: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "MAX_PAGE", 1_000_000)
    museum = museum_of(5)
    museum.faults.append(Fault("endless", PAGES[use]))
    with pytest.raises(
        ShapeChanged, match="gave a page of more than 1,000,000 bytes, which no listing has; look at it"
    ):
        collect(tmp_path / "raw", museum, use)


@pytest.mark.parametrize("use", PAGES)
def test_a_listing_that_breaks_off_is_asked_for_again(use: str, tmp_path: Path) -> None:
    museum = museum_of(5)
    museum.faults.append(Fault("truncated", PAGES[use], times=2))
    assert len(collect(tmp_path / "raw", museum, use)) == 5


@pytest.mark.parametrize("use", PAGES)
def test_a_captcha_is_named_and_the_site_is_left_alone(use: str, tmp_path: Path) -> None:
    museum = museum_of(5)
    museum.faults.append(Fault("captcha", PAGES[use]))
    with pytest.raises(Blocked, match=r"keeps machines out .*; what was fetched stays, leave the site alone"):
        collect(tmp_path / "raw", museum, use)
    assert sum(asked.path != "/robots.txt" for asked in museum.log) == 1


@pytest.mark.parametrize("use", PAGES)
def test_where_every_picture_failed_the_reason_is_told_and_the_next_run_tries_again(use: str, tmp_path: Path) -> None:
    museum = museum_of(5)
    museum.faults.append(Fault("wrong extension", r"\.jpg"))
    told = r"\(5 failed \(a page instead of a picture\)\); run it again later, or change pictures.test.scrape"
    with pytest.raises(BarenError, match=told):
        collect(tmp_path / "raw", museum, use)
    assert [row.outcome for row in collect(tmp_path / "raw", museum_of(5), use)] == ["kept"] * 5


class Endless(FlickrSite):
    """Gives the same photos for whatever dates, and counts more than it ever gives."""

    def answer(self, asked: Asked) -> Answer:
        dates = {"min_upload_date": "0", "max_upload_date": str(2**40)}
        answer = super().answer(replace(asked, fields={**asked.fields, **dates}))
        if asked.host != "api.flickr.com":
            return answer
        photos = json.loads(answer.body)
        photos["photos"]["total"] = 5_000
        return replace(answer, body=json.dumps(photos).encode())


def test_a_listing_without_end_is_left_when_it_gives_nothing_new(tmp_path: Path) -> None:
    museum = Museum([Endless(works(20))])
    with pytest.raises(ShapeChanged, match=r"100 searches in a row with photos it gave before.*narrow the query"):
        collect(tmp_path / "raw", museum, "flickr")
    assert len(museum.log) < 150


TRICKS = [
    "../../out",
    "..\\..\\out",
    "a/../../../out",
    "/etc/out",
    "C:out",
    "out\u202egpj",
    "out" * 100,
    "%2e%2e%2fout",
]


def test_no_name_of_a_print_leads_out_of_the_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "deep" / "home"
    home.mkdir(parents=True)
    monkeypatch.chdir(home)
    shown = [replace(work, name=name) for name, work in zip(TRICKS, works(len(TRICKS)), strict=True)]
    rows = collect(home / "raw", Museum([UkiyoeSite([*shown, *works(11)[8:]])]), "ukiyoe")
    assert len(rows) == 10  # the address of the first is none of a print
    assert sum(row.outcome == "kept" for row in rows) >= 3
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert all(path.is_relative_to(home / "raw") or path.is_relative_to(home / ".scratch") for path in written)
    for row in rows:
        assert row.file is None or row.file == f"pictures/{row.sha256[:2]}/{row.sha256}.jpg"
