"""Taking down: the picture leaves every step's data, never comes back, and what learned from it is named."""

import io
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipelines import sources
from tasks import scrape
from tasks.credits import write_credits
from tasks.errors import ParamsError
from tasks.progress import Progress
from tasks.rows import Scraped, read_packed, read_prepared, read_scraped
from tasks.scrape.takedown import take_down
from tests.visits import collect, museum_of

ROOT = Path(__file__).parents[1]
PARAMS = """
pictures:
  photos:
    scrape: {use: sample, limit: 24, query: {photographs: [astronaut, coffee, rocket, china]}}
    prepare: {side: 64}
    shard: {held_out: 0.5}
recipes: {travelgan: {}}
report: {}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BAREN_EXECUTOR", "threads:1")
    (tmp_path / "params.yaml").write_text(PARAMS)
    (tmp_path / "curation").mkdir()
    (tmp_path / "curation" / "photos.csv").write_bytes((ROOT / "curation" / "photos.csv").read_bytes())
    return tmp_path


def scrape_again() -> list[Scraped]:
    settings = scrape.Scrape.read(
        {"use": "sample", "limit": 24, "query": {"photographs": ["astronaut", "coffee", "rocket", "china"]}}, "x"
    )
    out = Path("data/1-raw/photos")
    now = datetime(2026, 3, 4, tzinfo=UTC)
    scrape.run(picture_set="photos", settings=settings, out=out, progress=Progress(io.StringIO()), now=lambda: now)
    return list(read_scraped(out / "items"))


def test_a_picture_taken_down_is_in_no_step_and_never_asked_for_again(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = scrape_again()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for step in ("prepare", "shard"):
        subprocess.run([sys.executable, "-m", "pipelines", step, "photos"], check=True, env=environment)
    packed = list(read_packed(Path("data/3-shards/photos/items")))
    doomed = next(row for row in rows if row.id == packed[3].picture)
    write_credits(Path("data/6-prints/travelgan"), [doomed.origin])
    write_credits(
        Path("data/5-metrics/other"), [packed[0].origin] if packed[0].origin.page != doomed.origin.page else []
    )
    assert sources.main(["takedown", "photos", doomed.id]) == 0
    told = capsys.readouterr().out
    assert "data/6-prints/travelgan learned from them" in told
    assert "data/5-metrics/other" not in told
    assert "dvc gc" in told
    assert not (Path("data/1-raw/photos") / str(doomed.file)).exists()
    assert doomed.id not in {row.picture for row in read_packed(Path("data/3-shards/photos/items"))}
    kept = [row for row in read_prepared(Path("data/2-prepared/photos/items")) if row.outcome == "kept"]
    assert doomed.id not in {row.picture for row in kept}
    again = scrape_again()
    assert [(row.outcome, row.reason) for row in again if row.id == doomed.id] == [("refused", "taken down")]
    assert sum(row.outcome == "kept" for row in again) == 24  # another one takes its place
    assert [row.id for row in again[: len(rows)]] == [row.id for row in rows]


@pytest.mark.parametrize("width", [960, 1280, 0])
def test_no_setting_brings_a_work_back_and_none_keeps_it(width: int, project: Path) -> None:
    """At each width a picture of Commons has a key of its own; both that are there go, and a third does not come."""
    raw = project / "data/1-raw/test"
    wide, both = (collect(raw, museum_of(5), "commons", width=width) for width in (1280, 960))
    page = wide[0].origin.page
    assert sum(row.origin.page == page for row in both) == 2
    assert len(take_down(raw, [wide[0].id])) == 2
    rows = collect(raw, museum_of(6), "commons", width=width)
    assert {(row.outcome, row.reason) for row in rows if row.origin.page == page} == {("refused", "taken down")}
    assert sum(row.outcome == "kept" for row in rows) == (13 if width == 0 else 9)  # of five works, and a sixth


def test_an_unknown_id_changes_nothing(project: Path) -> None:
    scrape_again()
    before = Path("data/1-raw/photos/items/00001.jsonl").read_bytes()
    with pytest.raises(ParamsError, match="has no 'sample:nobody'; ids are those of its lines"):
        take_down(Path("data/1-raw/photos"), ["sample:nobody"])
    assert Path("data/1-raw/photos/items/00001.jsonl").read_bytes() == before


def test_an_open_batch_is_finished_first(project: Path) -> None:
    rows = scrape_again()
    Path(".scratch/scrape-photos/open").mkdir(parents=True)
    Path(".scratch/scrape-photos/open/rows.jsonl").write_text("")
    with pytest.raises(ParamsError, match="a batch of photos is still open"):
        take_down(Path("data/1-raw/photos"), [rows[0].id])


def test_twice_is_harmless(project: Path) -> None:
    rows = scrape_again()
    take_down(Path("data/1-raw/photos"), [rows[0].id])
    once = Path("data/1-raw/photos/items/00001.jsonl").read_bytes()
    take_down(Path("data/1-raw/photos"), [rows[0].id])
    assert Path("data/1-raw/photos/items/00001.jsonl").read_bytes() == once
