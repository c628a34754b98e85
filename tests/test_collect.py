"""Collecting night by night: what is new, what is rebuilt, what a site's budget allows, and when to raise an alarm."""

from pathlib import Path
from threading import Event

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from served import Start, artifacts, finish
from toy import PARAMS

from flows.budget import set_budgets, spend
from flows.harvest import Harvest, asked_since, remember, silent

SETS = list(PARAMS["pictures"])


def test_a_night_brings_only_what_is_new_and_leaves_training_alone(server: str, start: Start, toy: Path) -> None:
    (toy / "web").write_text("3")
    code, said = finish(start("collect"))
    assert code == 0, said
    assert f"collect: {3 * len(SETS)} new pictures; brought up to date: " in said
    ran = (toy / "ran").read_text().splitlines()
    assert {f"scrape {name}" for name in SETS} < set(ran)
    assert not [stage for stage in ran if stage.startswith(("train", "evaluate", "infer"))]
    assert {(row["picture set"], row["new"]) for row in artifacts(server, "harvest")} == {(name, 3) for name in SETS}

    (toy / "ran").unlink()
    code, said = finish(start("collect", SETS[0]))
    assert code == 0, said
    assert "collect: nothing new; everything was up to date" in said
    assert (toy / "ran").read_text().split("\n")[:-1] == [f"scrape {SETS[0]}"]


def test_an_unknown_set_is_one_sentence(start: Start) -> None:
    code, said = finish(start("collect", "nowhere"))
    assert code == 1
    assert f"baren: 'nowhere' is no picture set of params.yaml; known there: {', '.join(SETS)}" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("nights", "alarm"),
    [
        ([5, 0, 0, 0], True),
        ([5, 0, 0], False),  # not long enough
        ([0, 0, 0, 0], False),  # never brought anything
        ([5, 0, 1, 0, 0], False),
        ([5, 0, 0, 1, 0, 0, 0], True),
    ],
)
def test_a_source_that_falls_silent_is_noticed_on_the_third_night(
    tmp_path: Path, nights: list[int], alarm: bool
) -> None:
    record = tmp_path / "nights.jsonl"
    for number, new in enumerate(nights):
        night = Harvest(f"2030-01-{number + 1:02}T03:00:00Z", "prints", "ukiyoe", new, 0, 0, False)
        remember([night, Harvest(night.night, "full", "flickr", 3 if number == 0 else 0, 0, 0, True)], record)
    sets = {"prints": {"scrape": {"use": "ukiyoe"}}, "full": {"scrape": {"use": "flickr"}}}
    assert [harvest.source for harvest in silent(sets, record)] == (["ukiyoe"] if alarm else [])
    assert not silent({"full": sets["full"]}, record)  # a set that was taken out is missed no longer
    assert not silent({**sets, "prints": {"scrape": {"use": "wikiart"}}}, record)


def test_nights_that_are_made_up_for_in_one_day_are_one_night(tmp_path: Path) -> None:
    record = tmp_path / "nights.jsonl"
    for day, hour, new in ((1, 3, 5), (9, 3, 0), (9, 4, 0), (9, 5, 0)):
        remember([Harvest(f"2030-01-{day:02}T{hour:02}:00:00Z", "prints", "ukiyoe", new, 0, 0, False)], record)
    assert not silent({"prints": {"scrape": {"use": "ukiyoe"}}}, record)
    now = "2030-01-09T05:01:00Z"
    assert asked_since("2030-01-08T03:00:00Z", now, record) == {"prints"}
    assert not asked_since("2030-01-09T05:00:01Z", now, record)
    assert not asked_since("2030-01-08T03:00:00Z", "2030-01-08T04:00:00Z", record)  # told by a clock that jumped


def test_a_sites_budget_is_kept_by_the_server(server: str) -> None:
    said: list[str] = []
    stopping = Event()

    def say(line: str) -> None:
        said.append(line)
        stopping.set()

    asked = {"use": "google_images", "limit": 60}
    with temporary_settings({PREFECT_API_URL: server}):
        set_budgets([asked, {"use": "folder", "limit": 10**9}])
        spend(asked, 0, say, stopping)
        assert said == []
        spend({"use": "folder", "limit": 10**9}, 0, say, stopping)  # on this machine: no budget
        spend({**asked, "limit": 1000}, 40, say, stopping)
        museum = {"use": "openverse", "site": "museum", "limit": 60}
        set_budgets([{**museum, "site": "web"}, museum])  # two sets of one source: the museum's takes no budget away
        spend({**museum, "site": "web"}, 0, say, Event())
    assert said == ["waiting for 100 of the 100 requests an hour that google_images is asked"]
