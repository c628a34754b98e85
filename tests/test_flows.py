"""The flows on a real Prefect server: side by side, cached, failed, stopped, waiting their turn, on schedule."""

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.settings import PREFECT_API_URL, temporary_settings
from served import Start, artifacts, finish, free_port, make_stale, post, read, wait_until
from toy import PARAMS, ROOT, environment, run

from flows.dag import Dag
from flows.departed import begin_again, mark_departed
from flows.deploy import NIGHTLY, WEEKLY, deploy_to_pool, planned
from flows.steps import HABITS, Workbench, accelerators_here
from flows.train import ready
from tasks.errors import BarenError

RECIPE = next(iter(PARAMS["recipes"]))
SETS = list(PARAMS["pictures"])


def test_a_rebuild_runs_what_is_stale_and_shows_the_rest_as_cached(server: str, start: Start, toy: Path) -> None:
    code, said = finish(start("rebuild"))
    assert code == 0, said
    assert (toy / "data/7-report/made").exists()
    assert f"working on train {RECIPE}" in said
    everything = states(server, said)
    assert len(everything) == 3 * len(SETS) + 3 * len(PARAMS["recipes"]) + 1
    assert set(everything.values()) == {"Completed"}
    assert f"working on train {RECIPE}" in " ".join(logs(server, said))
    assert artifacts(server, f"metrics-{RECIPE}") == [{"metric": "swd", "value": 1.5}]

    make_stale(toy, "report", "changed")
    code, said = finish(start("rebuild"))
    assert code == 0, said
    assert {stage for stage, state in states(server, said).items() if state != "Cached"} == {"report"}


def test_one_recipe_is_rebuilt_with_what_it_needs_and_no_more(start: Start, built: Path) -> None:
    make_stale(built, "recipes", RECIPE, "infer", "photos")
    make_stale(built, "report", "changed")
    code, said = finish(start("rebuild", RECIPE))
    assert code == 0, said
    assert (built / "ran").read_text().splitlines() == [f"infer {RECIPE}"]


def test_a_mistake_in_params_is_told_before_anything_runs(start: Start, built: Path) -> None:
    make_stale(built, "recipes", RECIPE, "train", "seed")
    with (built / "params.yaml").open("a") as file:
        file.write("# a mistake\n")
    code, said = finish(start("rebuild"))
    assert code == 1
    assert "rebuild: params.yaml has a mistake; mend it" in said
    assert not (built / "ran").exists()
    assert (built / f"data/4-models/{RECIPE}").exists()


def test_a_recipe_needs_its_own_stages_and_what_they_wait_for() -> None:
    dag = Dag({"shard@prints": (), f"train@{RECIPE}": ("shard@prints",), "report": ()}, {})
    assert set(dag.part_of(RECIPE).waits_for) == {"shard@prints", f"train@{RECIPE}"}


@pytest.mark.parametrize(("left", "half"), [("modified", {"scrape@a"}), ("new", {"scrape@a"}), ("deleted", set[str]())])
def test_a_source_that_failed_holds_up_the_recipes_that_need_it(left: str, half: set[str]) -> None:
    dag = Dag(
        {
            "scrape@a": (), "shard@a": ("scrape@a",), "scrape@b": (), "shard@b": ("scrape@b",),
            "train@r": ("shard@a", "shard@b"), "train@s": ("shard@b",),
        },
        {"scrape@a": (f"changed outs: data/1-raw/a {left}",), "train@s": ("changed outs: data/4-models/s modified",)},
    )  # fmt: skip
    assert ready(["r", "s"], dag) == ["s"]
    assert [stage for stage in dag.waits_for if dag.may_run(stage, {"scrape"})] == ["scrape@b", "shard@b", "train@s"]
    assert dag.half_made() == half


@pytest.mark.parametrize(("command", "what"), [("rebuild", "recipe"), ("train", "recipe"), ("collect", "picture set")])
def test_an_unknown_name_is_one_sentence_before_a_server_is_asked(start: Start, command: str, what: str) -> None:
    code, said = finish(start(command, "unheard_of"))
    assert code == 1
    assert said.startswith(f"baren: 'unheard_of' is no {what} of params.yaml; known there: ")
    assert len(said.splitlines()) == 1


def test_a_failed_stage_fails_the_run_and_what_follows_is_not_run(server: str, start: Start, toy: Path) -> None:
    (toy / "fail").write_text(f"shard {SETS[0]}")
    code, said = finish(start("rebuild"))
    assert code == 1
    assert f"baren: shard {SETS[0]} cannot work" in said
    ran = (toy / "ran").read_text().splitlines()
    assert f"shard {SETS[1]}" in ran  # what does not depend on it went on
    assert not [stage for stage in ran if stage.startswith(("train", "evaluate", "infer", "report"))]
    recorded = yaml.safe_load((toy / "dvc.lock").read_text())["stages"]
    assert f"shard@{SETS[0]}" not in recorded
    assert states(server, said)[f"shard {SETS[0]}"] == "Failed"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_rebuild_leaves_no_process_and_records_nothing(
    how: signal.Signals, server: str, start: Start, built: Path
) -> None:
    before = (built / "dvc.lock").read_text()
    make_stale(built, "report", "changed")
    (built / "slow").write_text("report")
    process = start("rebuild")
    wait_until(lambda: "report" in read(built / "ran"))
    process.send_signal(how)
    code, said = finish(process)
    assert code in (128 + how, -how), said
    wait_until(lambda: not processes_in(built), seconds=60)
    assert (built / "dvc.lock").read_text() == before
    if how == signal.SIGKILL:
        (built / "slow").unlink()
        again = finish(start("rebuild"))
        assert again[0] == 0, again[1]
        assert f"marking {run_name(said)} as crashed" in again[1]
        assert set(states(server, said).values()) <= {"Cached", "Completed", "Crashed", "Pending"}
        assert (built / "dvc.lock").read_text() != before


def test_a_run_that_is_cancelled_in_prefect_ends_with_its_stages(server: str, start: Start, built: Path) -> None:
    make_stale(built, "report", "changed")
    (built / "slow").write_text("report")
    process = start("rebuild")
    wait_until(lambda: "report" in read(built / "ran"))
    [run] = post(server, "flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}}})
    asked = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
    post(server, f"flow_runs/{run['id']}/set_state", asked)
    code, said = finish(process)
    assert code == 1, said
    assert "rebuild: its stages were stopped, and nothing unfinished was kept as finished" in said
    assert not processes_in(built)
    [run] = post(server, "flow_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})
    assert run["state_type"] == "CANCELLED"


TRIED = """
from prefect import flow
from flows.dag import ask
from flows.rebuild import checkout, walk
from flows.steps import HABITS, Habit

@flow(name="tried")
def tried():
    with checkout("a trial") as bench:
        return walk(ask().only({"scrape@%s", "scrape@%s"}), bench, habits={**HABITS, "scrape": Habit(12.0, (0.5,))})

print(tried(return_state=True).message)
"""


def test_scraping_is_tried_again_where_it_may_help_and_ended_after_its_time(start: Start, toy: Path) -> None:
    (toy / "flaky").write_text(f"scrape {SETS[0]}")
    (toy / "slow").write_text(f"scrape {SETS[1]}")
    (toy / "tried.py").write_text(TRIED % (SETS[0], SETS[1]))
    code, said = finish(start(program=["tried.py"]))
    assert code == 0, said
    assert said.splitlines()[-1] == f"scrape@{SETS[1]} failed"
    assert (toy / "ran").read_text().count(f"scrape {SETS[0]}") == 2
    assert "try 1 of 2 failed" in said
    assert "was stopped after its time limit" in said


def test_a_second_rebuild_waits_for_the_first_and_says_so(start: Start, built: Path) -> None:
    make_stale(built, "report", "changed")
    (built / "slow").write_text("report")
    first = start("rebuild")
    wait_until(lambda: "report" in read(built / "ran"))
    second = start("rebuild")
    for line in second.stdout or ():
        if re.search(rf"waiting for a rebuild of everything \(process {first.pid}, since .* UTC\)", line):
            break
    else:
        pytest.fail("the second rebuild did not wait")
    (built / "slow").unlink()
    first.send_signal(signal.SIGTERM)
    finish(first)
    code, said = finish(second)
    assert code == 0, said
    assert "rebuild: brought up to date: report" in said


def test_no_more_stages_run_at_once_than_there_are_seats() -> None:
    bench = Workbench(0, accelerators=[""], num_seats=2)
    busy: list[str] = []
    most: list[int] = []

    def run(stage: str, *_: Any) -> str:
        busy.append(stage)
        most.append(len(busy))
        time.sleep(0.05)
        busy.remove(stage)
        return "ran"

    bench._run = run  # type: ignore[method-assign]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: bench.run(f"shard@{number}", print, HABITS["shard"]), range(8)))
    assert max(most) == 2
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda step: bench.run(f"{step}@one", str, HABITS[step]), ("train", "evaluate", "infer") * 2))
    assert len(most) == 14
    assert max(most[8:]) == 1, "what computes has an accelerator, or all processors, to itself"


def test_a_stage_computes_on_a_gpu_that_the_user_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def computed(num_runs: int) -> list[Mapping[str, str]]:
        seen: list[Mapping[str, str]] = []
        bench = Workbench(0)
        bench._run = lambda *given: seen.append(given[-1]) or "ran"  # type: ignore[method-assign]
        for _ in range(num_runs):
            bench.run("train@one", print, HABITS["train"])
        return seen

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", " 3, GPU-5c0f,")
    assert computed(3) == [{"CUDA_VISIBLE_DEVICES": name} for name in ("3", "GPU-5c0f", "3")]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    assert computed(1) == [{"CUDA_VISIBLE_DEVICES": "2"}]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # none, though there may be some
    assert computed(1) == [{}]
    assert accelerators_here() == [""]


def test_the_schedule_makes_scheduled_runs(server: str, start: Start) -> None:
    serving = start("deploy")
    scheduled: list[Any] = []

    def seen() -> bool:
        asked = {
            "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
            "flows": {"name": {"any_": ["collect", "train"]}},
        }
        scheduled[:] = [run for run in post(server, "flow_runs/filter", asked) if run["auto_scheduled"]]
        return {run["expected_start_time"][11:16] for run in scheduled} == {"03:00", "05:00"}

    wait_until(seen, seconds=180)
    assert scheduled
    # a place that the server keeps would never be free again once a run that holds it was killed with the server
    found = post(server, "deployments/filter", {"flows": {"name": {"any_": ["collect", "train"]}}})
    assert [each["global_concurrency_limit"] for each in found] == [None, None]
    serving.send_signal(signal.SIGTERM)
    serving.communicate(timeout=60)


def test_what_a_reboot_interrupted_is_begun_again_and_not_a_third_time(server: str) -> None:
    flow = post(server, "flows/", {"name": "train"})["id"]
    deployment = post(server, "deployments/", {"name": "rebooted", "flow_id": flow})["id"]
    gone = f"process:{socket.gethostname()}:1:0"  # no process began at the first tick of the machine
    running = {"type": "RUNNING"}
    due = {"name": "Scheduled", "type": "SCHEDULED", "state_details": {"scheduled_time": "2030-01-06T05:00:00Z"}}
    interrupted = post(server, f"deployments/{deployment}/create_flow_run", {"tags": [gone], "state": due})
    post(server, f"flow_runs/{interrupted['id']}/set_state", {"state": running, "force": True})
    by_hand = post(server, "flow_runs/", {"flow_id": flow, "tags": [gone], "state": running})
    asked = {"deployments": {"id": {"any_": [deployment]}}}
    said: list[str] = []
    with temporary_settings({PREFECT_API_URL: server}):
        found = mark_departed(said.append)
        assert {f"{run.id}" for run in found} == {interrupted["id"], by_hand["id"]}
        begin_again(found, said.append)
        [again] = [run for run in post(server, "flow_runs/filter", asked) if run["state_type"] == "SCHEDULED"]
        assert again["expected_start_time"][:16] == "2030-01-06T05:00"  # before the nights that it delayed
        assert said[-1] == f"{again['name']} does again what {interrupted['name']} was interrupted in"
        post(server, f"deployments/{deployment}/create_flow_run", {"tags": [gone, *again["tags"]], "state": running})
        begin_again(mark_departed(said.append), said.append)
    assert len(post(server, "flow_runs/filter", asked)) == 3


def test_schedules_are_handed_to_a_work_pool_of_the_server(server: str) -> None:
    with temporary_settings({PREFECT_API_URL: server}):
        with pytest.raises(
            BarenError, match=r"no work pool 'studio'; .* `prefect work-pool create .* studio` makes it"
        ):
            deploy_to_pool(planned(), "studio")
        post(server, "work_pools/", {"name": "studio", "type": "process"})
        deploy_to_pool(planned(), "studio")
    found = post(server, "deployments/filter", {"work_pools": {"name": {"any_": ["studio"]}}})
    assert {(each["name"], each["entrypoint"], each["schedules"][0]["schedule"]["cron"]) for each in found} == {
        ("nightly", "flows/collect.py:collect", NIGHTLY), ("weekly", "flows/train.py:train", WEEKLY),
    }  # fmt: skip


def test_a_schedule_that_is_none_is_one_sentence(start: Start) -> None:
    code, said = finish(start("deploy", "--nightly", "every night"))
    assert code == 1
    assert re.fullmatch(r"baren: --nightly is 'every night', which is no schedule; .*\n", said)


def test_without_its_server_nothing_goes_on_serving() -> None:
    ending = "import sys, time; from threading import Event; from flows.server import _end_with; import subprocess\n"
    ending += "_end_with(subprocess.Popen([sys.executable, '-c', 'pass'], text=True), Event()); time.sleep(60)"
    assert run(sys.executable, "-c", ending, cwd=ROOT).returncode == -signal.SIGTERM


def test_a_server_that_is_named_and_not_there_is_one_sentence(toy: Path, tmp_path: Path) -> None:
    env = environment(PREFECT_HOME=str(tmp_path / "home"), PREFECT_API_URL=f"http://127.0.0.1:{free_port()}/api")
    done = subprocess.run(
        [sys.executable, "-m", "flows", "rebuild"], cwd=toy, env=env, text=True, capture_output=True, check=False
    )
    assert done.returncode == 1
    assert re.fullmatch(r"baren: no Prefect server answers at PREFECT_API_URL=\S+; start it, correct .*\n", done.stderr)


def states(server: str, said: str) -> dict[str, str]:
    """The state of each task run of the flow run that `said` tells of, as the server knows it."""
    asked = {"flow_runs": {"name": {"any_": [run_name(said)]}}}
    runs: list[Any] = []

    def all_known() -> bool:
        runs[:] = post(server, "task_runs/filter", asked)
        return bool(runs) and not any(run["state_type"] in ("RUNNING",) for run in runs)

    wait_until(all_known)
    return {run["name"]: run["state_name"] for run in runs}


def logs(server: str, said: str) -> list[str]:
    [run] = post(server, "flow_runs/filter", {"flow_runs": {"name": {"any_": [run_name(said)]}}})
    asked = {"logs": {"flow_run_id": {"any_": [run["id"]]}}}
    return [line["message"] for line in post(server, "logs/filter", asked)]


def run_name(said: str) -> str:
    found = re.search(r"Beginning flow run '([^']+)'", said)
    assert found, said
    return found[1]


def processes_in(folder: Path) -> list[str]:
    """The command lines of the processes that work in `folder`."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder:
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found
