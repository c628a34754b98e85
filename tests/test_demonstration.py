"""The demonstration's picture sets: collected from the museum over HTTP, and what is held out of them, whole."""

import io
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from pipelines.params import Params
from tasks import scrape
from tasks.progress import Progress
from tasks.rows import Scraped, read_scraped
from tasks.scrape.museum import works
from tasks.shard.plan import split_of

PARAMS = yaml.safe_load((Path(__file__).parent.parent / "params.yaml").read_text())
SETS = {"photos": (works.PHOTOGRAPHS, {"china", "coffee"}), "prints": (works.PRINTS, {"camera"})}


@pytest.fixture(params=SETS)
def picture_set(request: pytest.FixtureRequest) -> str:
    """The name of one set of the first recipe."""
    return request.param


@pytest.fixture
def rows(picture_set: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Scraped]:
    """What the scrape step brings of the set: two pictures of each original."""
    monkeypatch.chdir(tmp_path)
    limit = 2 * len(SETS[picture_set][0])
    settings = Params(PARAMS).picture_set(picture_set).scrape.model_copy(update={"limit": limit})
    scrape.run(picture_set=picture_set, settings=settings, out=tmp_path / "raw", progress=Progress(io.StringIO()))
    rows = list(read_scraped(tmp_path / "raw/items"))
    assert len(rows) == limit
    return rows


def test_each_original_is_there_whole_and_in_one_group_with_its_details(picture_set: str, rows: list[Scraped]) -> None:
    sides = defaultdict[str, list[int]](list)
    for row in rows:
        assert row.origin.page.startswith("https://")
        assert "museum.test" in row.origin.page
        sides[row.group].append(min(row.width, row.height))
    assert len(sides) == len(SETS[picture_set][0])
    assert all(max(both) >= 300 > works.SIDES[1] >= min(both) for both in sides.values())


def test_it_holds_out_the_originals_that_params_say(picture_set: str, rows: list[Scraped]) -> None:
    shown = works.photographs(each=1) if picture_set == "photos" else works.prints(each=1)
    original = {work.title: work.original for work in shown}
    settings = Params(PARAMS).picture_set(picture_set).shard
    out = {row for row in rows if split_of(row.group, settings.seed, settings.held_out) == "held_out"}
    assert {original[row.origin.title] for row in out} == SETS[picture_set][1]


def test_no_photograph_hangs_in_both_wings() -> None:
    assert not set(works.PHOTOGRAPHS) & set(works.PRINTS)
