"""Scraping: what is collected once stays, byte for byte, whatever kills the run in between."""

import csv
import io
import json
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from tasks import scrape
from tasks.errors import BarenError, ParamsError, PictureRefused, Stopped
from tasks.files import read_json, sha256_file
from tasks.progress import Progress
from tasks.rows import Scraped, read_scraped
from tasks.scrape import collect, ledger, members, sample
from tasks.scrape.look import look
from tasks.scrape.source import Item, Mark, Shot, Source, Web
from tasks.settings import Settings

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(out: Path, now: datetime = NOON, **block: Any) -> list[Scraped]:
    settings = scrape.Scrape.read({"limit": 12, **block}, "pictures.photos.scrape")
    scrape.run(picture_set="photos", settings=settings, out=out, progress=Progress(io.StringIO()), now=lambda: now)
    return list(read_scraped(out / "items"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def picture(side: int = 20, colour: tuple[int, int, int] = (200, 30, 30), kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(file, kind)
    return file.getvalue()


def test_the_sample_gives_the_photographs_themselves_and_many_distinct_pictures(tmp_path: Path) -> None:
    rows = run(tmp_path / "raw", use="sample", limit=30, query={"photographs": ["astronaut", "coffee", "rocket"]})
    assert len(rows) == 30
    assert {row.outcome for row in rows} == {"kept"}
    assert len({row.sha256 for row in rows}) == 30
    assert [row.id for row in rows] == sorted(row.id for row in rows)
    assert {row.group for row in rows} == {"sample:astronaut", "sample:coffee", "sample:rocket"}
    for row in rows:
        path = tmp_path / "raw" / str(row.file)
        assert sha256_file(path) == row.sha256
        assert path.stat().st_size == row.bytes
        with Image.open(path) as opened:
            assert opened.size == (row.width, row.height)
        assert row.origin.licence != ""
    whole = next(row for row in rows if row.id == "sample:rocket")
    assert (tmp_path / "raw" / str(whole.file)).read_bytes() == sample._path("rocket").read_bytes()


def test_the_woodblock_sample_shares_no_bytes_with_the_plain_one_and_says_what_it_is(tmp_path: Path) -> None:
    plain = run(tmp_path / "a", use="sample", query={"photographs": ["china"]})
    prints = run(tmp_path / "b", use="sample", query={"photographs": ["china"], "rendering": "woodblock"})
    assert not {row.id for row in plain} & {row.id for row in prints}
    assert not {row.sha256 for row in plain} & {row.sha256 for row in prints}
    assert all("woodblock-like rendering" in row.origin.title for row in prints)


def test_every_photograph_of_the_sample_is_there() -> None:
    for name in sample.PHOTOGRAPHS:
        assert sample.pixels(name).shape[2] == 3


def test_a_second_run_changes_nothing_and_a_higher_limit_fetches_only_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = {"photographs": ["chelsea", "coffee"]}
    run(tmp_path / "raw", use="sample", query=query)
    before = contents(tmp_path / "raw")
    made: list[tuple[str, int]] = []
    real = sample.picture_bytes

    def counted(name: str, number: int, *rest: Any) -> bytes:
        made.append((name, number))
        return real(name, number, *rest)

    monkeypatch.setattr(sample, "picture_bytes", counted)
    later = datetime(2026, 2, 2, tzinfo=UTC)
    run(tmp_path / "raw", later, use="sample", query=query)
    assert contents(tmp_path / "raw") == before
    rows = run(tmp_path / "raw", later, use="sample", query=query, limit=15)
    assert len(made) == 3
    assert [row.batch for row in rows] == [1] * 12 + [2] * 3
    after = contents(tmp_path / "raw")
    assert after.keys() - before.keys() >= {"items/00002.jsonl"}
    assert after["items/00001.jsonl"] == before["items/00001.jsonl"]


def test_a_changed_query_adds_rows_of_its_own_and_coming_back_costs_nothing(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    run(raw, use="sample", query={"photographs": ["chelsea"]})
    first = read_json(raw / "query.json")["query"]
    rows = run(raw, use="sample", query={"photographs": ["chelsea", "coffee"]})
    second = read_json(raw / "query.json")["query"]
    assert first != second
    of_second = [row for row in rows if row.query == second]
    assert len(of_second) == 12
    shared = {row.id for row in rows if row.query == first} & {row.id for row in of_second}
    assert len(shared) == 6  # settled by the first query already: taken over, not fetched again
    before = contents(raw)
    run(raw, use="sample", query={"photographs": ["chelsea"]})
    assert read_json(raw / "query.json")["query"] == first
    assert contents(raw)["items/00001.jsonl"] == before["items/00001.jsonl"]


class Nothing(Settings):
    pass


class Scripted(Source[Nothing]):
    """Items of which some are no pictures; it notes what was asked of it, and dies where it is told to."""

    name = "scripted"
    Query = Nothing

    def __init__(self, script: str) -> None:
        self.script = script
        self.asked: list[int] = []

    def discover(self, query: Nothing, web: Web, cursor: Mapping[str, Any] | None) -> Iterator[Item | Mark]:
        for number in range(cursor["next"] if cursor else 0, len(self.script)):
            data = {".": picture(20 + number), "x": b"no picture", "d": picture(7)}[self.script[number]]

            def read(number: int = number, data: bytes = data) -> bytes:
                self.asked.append(number)
                return data

            yield Item(f"{97 * number % 31:02}", "page", (Shot("url"),), bytes_of=read)
            if number % 3 == 2:
                yield Mark({"next": number + 1})


def test_half_a_character_at_the_end_of_a_title_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class CutShort(Scripted):
        def discover(self, query: Nothing, web: Web, cursor: Mapping[str, Any] | None) -> Iterator[Item | Mark]:
            titles = json.loads(r'["Fuji \ud83d\uddfb", "Fuji \ud83d"]')
            for found, title in zip(super().discover(query, web, cursor), titles, strict=False):
                assert isinstance(found, Item)
                yield replace(found, title=title, tags=(title,), shots=(Shot(f"http://x/{title}"),))

    monkeypatch.setattr(collect, "find", lambda use: CutShort(".."))
    origins = [row.origin for row in run(tmp_path / "raw", use="scripted")]
    assert sorted(origin.title for origin in origins) == ["Fuji \ufffd", "Fuji \U0001f5fb"]
    for origin in origins:
        assert origin.tags == (origin.title,)
        assert origin.url == f"http://x/{origin.title}"


class Killed(BaseException):
    pass


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    script=st.text(alphabet="..xd", min_size=1, max_size=12).filter(lambda text: text.strip("x")),
    limit=st.integers(1, 12),
    kills=st.lists(st.integers(0, 40), max_size=4),
)
def test_killed_anywhere_and_run_again_equals_an_undisturbed_run(
    script: str, limit: int, kills: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every write of the ledger is a place to die: before it, after it, or in the middle of a line."""
    for name in ("whole", "broken", ".scratch"):
        shutil.rmtree(tmp_path / name, ignore_errors=True)
    source = Scripted(script)
    monkeypatch.setattr(collect, "find", lambda use: source)
    run(tmp_path / "whole", use="scripted", limit=limit)
    asked = list(source.asked)
    source.asked.clear()
    for kill in kills:
        with monkeypatch.context() as patch:
            _die_at(kill, patch)
            try:
                run(tmp_path / "broken", use="scripted", limit=limit)
            except Killed:
                continue
    run(tmp_path / "broken", use="scripted", limit=limit)
    assert contents(tmp_path / "broken") == contents(tmp_path / "whole")
    again = len(source.asked) - len(set(source.asked))
    assert set(source.asked) == set(asked)
    assert again <= 2 * len(kills)  # those in flight, at each kill


def _die_at(step: int, patch: pytest.MonkeyPatch) -> None:
    left = [step]

    def dying(real: Any) -> Any:
        def write(*args: Any, **kwargs: Any) -> Any:
            left[0] -= 1
            if left[0] == -1:
                raise Killed
            value = real(*args, **kwargs)
            left[0] -= 1
            if left[0] == -1:
                raise Killed
            return value

        return write

    for name in ("write_json", "write_json_lines", "write_bytes", "_move"):
        patch.setattr(ledger, name, dying(getattr(ledger, name)))
    patch.setattr(collect, "fetch", dying(collect.fetch))
    patch.setattr(ledger.shutil, "rmtree", dying(shutil.rmtree))
    real_write = ledger.Ledger._write

    def torn(self: ledger.Ledger, row: Scraped) -> None:
        left[0] -= 1
        if left[0] == -1:
            self._sound = False
            with self._lines.open("a") as file:
                file.write('{"id": "scripted:')
            raise Killed
        real_write(self, row)

    patch.setattr(ledger.Ledger, "_write", torn)


def test_stopping_keeps_what_was_collected_and_writes_nothing_that_looks_finished(tmp_path: Path) -> None:
    progress = Progress(io.StringIO())
    settings = scrape.Scrape.read({"use": "sample", "limit": 50}, "pictures.photos.scrape")
    progress.stop_requested = 15
    with pytest.raises(Stopped):
        scrape.run(picture_set="photos", settings=settings, out=tmp_path / "raw", progress=progress, now=lambda: NOON)
    assert not (tmp_path / "raw").exists()


def test_a_folder_gives_names_as_tags_and_its_sidecar_as_provenance(tmp_path: Path) -> None:
    (tmp_path / "mine" / "sea").mkdir(parents=True)
    (tmp_path / "mine" / "a.png").write_bytes(picture())
    (tmp_path / "mine" / "sea" / "b.jpg").write_bytes(picture(kind="JPEG"))
    (tmp_path / "mine" / "sea" / "broken.jpg").write_bytes(b"<html>")
    (tmp_path / "mine" / "notes.txt").write_text("not asked for")
    with (tmp_path / "mine" / "about.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["file", "author", "licence", "group"], ["sea/b.jpg", "Ran", "CC0", "one"]])
    rows = run(tmp_path / "raw", use="folder", query={"path": "mine", "metadata": "mine/about.csv"})
    by_name = {row.id.split(":")[1].split("@")[0]: row for row in rows}
    assert by_name["sea/b.jpg"].origin.author == "Ran"
    assert by_name["sea/b.jpg"].origin.licence == "CC0"
    assert by_name["sea/b.jpg"].origin.tags == ("sea",)
    assert by_name["sea/b.jpg"].group == "folder:one"
    assert by_name["a.png"].origin.licence == "unknown"
    assert (by_name["sea/broken.jpg"].outcome, by_name["sea/broken.jpg"].reason) == ("refused", "not a picture")
    assert len(rows) == 3


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_an_archive_is_read_without_unpacking_and_its_tricks_are_refused(tmp_path: Path, kind: str) -> None:
    members = {"ok/a.png": picture(), "../out.png": picture(30), "/root.png": picture(31)}
    place = tmp_path / f"mine.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(place, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
    else:
        with tarfile.open(place, "w:gz" if kind == "tar.gz" else "w") as archive:
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
            link = tarfile.TarInfo("link.png")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
    rows = run(tmp_path / "raw", use="folder", query={"path": str(place)})
    assert [row.origin.tags for row in rows if row.outcome == "kept"] == [("ok",)]
    assert {row.reason for row in rows if row.outcome == "refused"} == {"path leads outside"}
    assert len(rows) == (3 if kind == "zip" else 4)


def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "secret.png").write_bytes(picture())
    (tmp_path / "mine" / "a.png").write_bytes(picture(21))
    (tmp_path / "mine" / "b.png").symlink_to(tmp_path / "secret.png")
    rows = run(tmp_path / "raw", use="folder", query={"path": "mine"})
    assert [row.reason for row in rows] == ["", "path leads outside"]


def test_bombs_are_refused_by_what_they_claim_and_by_what_they_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "MAX_BYTES", 2_000)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", picture())
        archive.writestr("b.png", bytes(1_000_000))
    (tmp_path / "wide").mkdir()
    Image.new("1", (30_000, 3_000)).save(tmp_path / "wide" / "wide.png")
    (tmp_path / "wide" / "a.png").write_bytes(picture())
    rows = run(tmp_path / "raw", use="folder", query={"path": "bomb.zip"})
    assert [row.reason for row in rows] == ["", "too many bytes"]
    monkeypatch.setattr(members, "MAX_BYTES", 2_000_000)
    rows = run(tmp_path / "raw2", use="folder", query={"path": "wide"}, max_pixels=1_000_000)
    assert [row.reason for row in rows] == ["", "too many pixels"]


def test_what_a_picture_may_be_is_the_settings_to_say_not_pillows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 89_478_485)  # what Pillow begins with; it refuses twice as many
    header = struct.pack(">4sIIBBBBB", b"IHDR", 15_000, 13_000, 8, 2, 0, 0, 0)
    chunks = [b"\0\0\0\r" + header, b"\0\0\0\0IDAT", b"\0\0\0\0IEND"]
    path = tmp_path / "wide.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(one + struct.pack(">I", zlib.crc32(one[4:])) for one in chunks))
    assert look(path, 200_000_000).width == 15_000
    with pytest.raises(PictureRefused, match="too many pixels: 15000 x 13000"):
        look(path, 190_000_000)


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"use": "nowhere"}, "there is no source 'nowhere'; known: .*folder.*sample"),
        ({"use": "sample", "query": {"photograph": []}}, "photos.scrape.query.photograph is no setting; known there"),
        ({"use": "sample", "query": {"photographs": ["mona"]}}, "no photograph 'mona'; known: astronaut"),
        ({"use": "sample", "query": {"sides": [90, 20]}}, "sides: .90, 20. must be two lengths"),
        ({"use": "sample", "limit": 0}, "photos.scrape.limit is 0; "),
        ({"use": "sample", "max_pixels": 10**9}, "photos.scrape.max_pixels is 1000000000; .* 268435456"),
        ({"use": "folder", "query": {"path": "not-there"}}, "folder: not-there is not there"),
        ({"use": "folder", "query": {"path": "$NOT_SET_AT_ALL/x"}}, "environment variable that is not set"),
        ({"use": "folder", "query": {}}, "photos.scrape.query.path is missing"),
        ({"use": "./mine.py:Mine"}, "there is no file mine.py"),
    ],
)
def test_a_wrong_setting_is_one_sentence(tmp_path: Path, block: dict[str, Any], words: str) -> None:
    with pytest.raises(ParamsError, match=words):
        run(tmp_path / "raw", **block)
    assert not (tmp_path / "raw").exists()


def test_an_empty_folder_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(BarenError, match=r"no pictures for photos: folder .* has none for this query"):
        run(tmp_path / "raw", use="folder", query={"path": "mine"})
    (tmp_path / "mine" / "a.png").write_bytes(b"")
    with pytest.raises(BarenError, match=r"none of its candidates could be kept \(1 not a picture\)"):
        run(tmp_path / "raw", use="folder", query={"path": "mine"})
    assert not (tmp_path / "raw").exists()


def test_a_source_that_gives_nothing_good_without_end_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> bytes:
        raise PictureRefused("not a picture")

    monkeypatch.setattr(sample, "picture_bytes", refused)
    with pytest.raises(BarenError, match="1,000 candidates in a row"):
        run(tmp_path / "raw", use="sample")


def test_a_source_can_be_a_file_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from tasks.scrape.source import Item, Shot, Source\n"
        "from tasks.settings import Settings\n"
        "class Query(Settings):\n    pass\n"
        "class Mine(Source[Query]):\n"
        "    name, Query = 'mine', Query\n"
        "    def discover(self, query, web, cursor):\n"
        f"        yield Item('1', 'page', (Shot('url'),), bytes_of=lambda: {picture()!r})\n"
    )
    assert [row.id for row in run(tmp_path / "raw", use="./mine.py:Mine")] == ["mine:1"]
    with pytest.raises(ParamsError, match="has no source 'Other'; it holds: Mine"):
        run(tmp_path / "raw", use="./mine.py:Other")


def test_real_pictures_pass_through_byte_for_byte(tmp_path: Path, real_pictures: Path) -> None:
    query = {"path": "$BAREN_PICTURES/photos", "metadata": "$BAREN_PICTURES/MANIFEST.csv"}
    rows = run(tmp_path / "raw", use="folder", limit=20, query=query)
    assert rows
    for row in rows:
        assert (tmp_path / "raw" / str(row.file)).read_bytes() == (
            real_pictures / "photos" / row.id.partition(":")[2].rpartition("@")[0]
        ).read_bytes()
