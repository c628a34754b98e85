"""Bytes judged before are not opened again, and nothing else is remembered of a run."""

import shutil
import signal
import sqlite3
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from test_prepare import Here, broken_decoder, prepared, raw_folder

from tasks.errors import Stopped
from tasks.files import read_json, sha256_file
from tasks.workers import Renewable

SIZES = [(50, 40), (20, 20), (90, 70), (64, 64), (120, 33)]


class Counting(Here):
    """Counts what it is given, and stops the run at the one numbered `last`."""

    def __init__(self, last: int = 1000) -> None:
        self.count, self.last = 0, last

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.count += 1
        if self.count > self.last:
            raise Stopped(signal.SIGTERM)
        return super().submit(fn, *args, **kwargs)


def judged(raw: Path, out: Path, cache: Path, **settings: Any) -> int:
    """How many files were opened to prepare `raw`."""
    executor = Counting()
    prepared(raw, out, executor, cache=cache, **settings)
    return executor.count


def same(one: Path, other: Path) -> bool:
    names = sorted(str(path.relative_to(one)) for path in one.rglob("*") if path.is_file())
    assert names == sorted(str(path.relative_to(other)) for path in other.rglob("*") if path.is_file())
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


@pytest.mark.parametrize("crop", ["centre", "tiles", "fit", "whole"])
def test_the_ledger_is_the_same_from_memory(crop: str, tmp_path: Path) -> None:
    raw, cache = raw_folder(tmp_path / "raw", SIZES), tmp_path / "cache"
    prepared(raw, tmp_path / "without", crop=crop)
    assert judged(raw, tmp_path / "first", cache, crop=crop) == len(SIZES)
    assert judged(raw, tmp_path / "second", cache, crop=crop) == 0
    assert same(tmp_path / "without", tmp_path / "first")
    assert same(tmp_path / "without", tmp_path / "second")
    assert read_json(tmp_path / "second/report.json")["palette"], "colours came back too"


def test_what_is_new_is_judged_and_what_is_gone_is_left_out(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    judged(raw_folder(tmp_path / "raw", SIZES[:3]), tmp_path / "first", cache)
    more = raw_folder(tmp_path / "more", SIZES)
    prepared(more, tmp_path / "without")
    assert judged(more, tmp_path / "out", cache) == 2
    assert same(tmp_path / "without", tmp_path / "out")
    assert judged(tmp_path / "raw", tmp_path / "again", cache) == 0
    assert same(tmp_path / "first", tmp_path / "again")
    (file,) = cache.iterdir()
    with closing(sqlite3.connect(file)) as known:
        kept = {key for (key,) in known.execute("SELECT file FROM judgements")}
    assert kept == {sha256_file(path) for path in (tmp_path / "raw").rglob("*.png")}
    assert judged(more, tmp_path / "back", cache) == 2, "nothing is remembered of what is gone"


def test_other_settings_judge_anew_and_those_the_rows_decide_do_not(tmp_path: Path) -> None:
    raw, cache = raw_folder(tmp_path / "raw", SIZES), tmp_path / "cache"
    judged(raw, tmp_path / "out", cache)
    assert judged(raw, tmp_path / "out", cache, duplicates=-1) == 0
    assert judged(raw, tmp_path / "out", cache, licences=("unknown",), duplicates=8) == 0
    assert judged(raw, tmp_path / "out", cache, side=16) == len(SIZES)
    assert judged(raw, tmp_path / "out", cache, worth={"max_aspect": float("inf")}) == len(SIZES)
    assert len(list(cache.iterdir())) == 1, "what other settings judged is not kept for ever"


def test_a_persons_word_is_heard_over_an_earlier_judgement(tmp_path: Path) -> None:
    raw, cache, words = raw_folder(tmp_path / "raw", SIZES), tmp_path / "cache", tmp_path / "words.csv"
    worth: dict[str, Any] = {"worth": {"max_aspect": 1.5}}
    before = prepared(raw, tmp_path / "before", cache=cache, **worth)
    assert before[4].reason == "odd aspect"
    words.write_text("id,verdict,reason\nfolder:0004,keep,a pillar print\nfolder:0000,reject,blurred\n")
    after = prepared(raw, tmp_path / "after", cache=cache, curation=words, **worth)
    assert [row.reason for row in after] == ["rejected by hand", *(row.reason for row in before[1:4]), ""]


def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    raw, cache = raw_folder(tmp_path / "raw", [(50, 40)] * 80), tmp_path / "cache"
    with pytest.raises(Stopped):
        prepared(raw, tmp_path / "out", Counting(70), cache=cache)
    assert not (tmp_path / "out").exists()
    left = judged(raw, tmp_path / "out", cache)
    assert 10 <= left < 80


@pytest.mark.parametrize("at", [0, 5000])
def test_a_damaged_memory_is_begun_anew(at: int, tmp_path: Path) -> None:
    raw, cache = raw_folder(tmp_path / "raw", SIZES * 8), tmp_path / "cache"
    judged(raw, tmp_path / "first", cache)
    (file,) = cache.iterdir()
    content = bytearray(file.read_bytes())
    assert len(content) > 5000, "pages beyond the schema's"
    content[at:] = b"not a database, whatever its name says" * (len(content) // 30)
    file.write_bytes(content)
    assert judged(raw, tmp_path / "second", cache) == 8 * len(SIZES)
    assert judged(raw, tmp_path / "second", cache) == 0
    assert same(tmp_path / "first", tmp_path / "second")
    shutil.rmtree(cache)
    assert judged(raw, tmp_path / "third", cache) == 8 * len(SIZES)


def test_a_memory_that_cannot_be_used_takes_nothing_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw, cache = raw_folder(tmp_path / "raw", SIZES), tmp_path / "cache"
    judged(raw, tmp_path / "first", cache)
    (file,) = cache.iterdir()
    more = raw_folder(tmp_path / "more", [*SIZES, (77, 66)])
    prepared(more, tmp_path / "without")
    with closing(sqlite3.connect(file)) as other:
        other.execute("BEGIN EXCLUSIVE")  # another run's; a full disk is an OperationalError too
        monkeypatch.setattr("tasks.prepare.cache.PATIENCE", 0.1)
        assert judged(more, tmp_path / "second", cache) == len(SIZES) + 1
    assert same(tmp_path / "second", tmp_path / "without")
    assert judged(more, tmp_path / "second", cache) == 1, "what was there before is there still"
    file.unlink()
    file.mkdir()  # no file can be opened there
    assert judged(more, tmp_path / "third", cache) == len(SIZES) + 1
    assert same(tmp_path / "third", tmp_path / "without")


@pytest.mark.parametrize("what", ["missing", "truncated"])
def test_a_file_that_is_not_what_was_scraped_is_judged_for_now_alone(what: str, tmp_path: Path) -> None:
    raw, cache = raw_folder(tmp_path / "raw", SIZES), tmp_path / "cache"
    prepared(raw, tmp_path / "without")
    file = raw / "pictures/0000.png"
    sound = file.read_bytes()
    if what == "missing":
        file.unlink()
    else:
        file.write_bytes(sound[: len(sound) // 2])
    assert prepared(raw, tmp_path / "out", cache=cache)[0].outcome == "refused"
    file.write_bytes(sound)
    assert judged(raw, tmp_path / "out", cache) == 1
    assert same(tmp_path / "out", tmp_path / "without")


def test_a_picture_that_kills_its_decoder_is_tried_again_the_next_time(tmp_path: Path) -> None:
    raw, cache = raw_folder(tmp_path / "raw", [(50, 40)] * 4), tmp_path / "cache"
    with Renewable(lambda: ProcessPoolExecutor(2, get_context("forkserver"), broken_decoder)) as executor:
        rows = prepared(raw, tmp_path / "out", executor, cache=cache)
    assert [row.reason for row in rows] == ["", "decoder crash", "", ""]
    assert judged(raw, tmp_path / "out", cache) == 1
