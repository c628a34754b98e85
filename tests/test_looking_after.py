"""Looking after a checkout that runs for a year: plans, a doctor, tidying up, logs, a full disk, somebody told."""

import json
import logging
import os
import shutil
import sys
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from prefect.events import emit_event
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL, temporary_settings
from served import post, wait_until
from test_versions import NOW, SET, checkout, git, night, raw
from toy import ROOT, environment, run

from flows import doctor, lock, plan, room, tidy
from flows.__main__ import main
from flows.dag import Dag
from flows.doctor import Finding
from flows.history import Run, remember, usual_seconds
from flows.logs import JsonLines
from flows.notify import notify
from flows.publish import hand_on, others
from flows.settings import Operations
from flows.tidy import piles, remote_piles
from flows.turn import holder, turn
from flows.versions import keep_version
from tasks.errors import BarenError, NoRoom

__all__ = ["checkout"]  # fixture

DAG = Dag(
    {"scrape@prints": (), "prepare@prints": ("scrape@prints",), "report": ("prepare@prints",)},
    {"scrape@prints": ("changed deps: params.yaml",), "prepare@prints": ("changed outs: data/2-prepared deleted",)},
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder we stand in, whose params name one set of a site that is asked politely."""
    monkeypatch.chdir(tmp_path)
    scrape = {"use": "google_images", "limit": 250, "contact": "", "query": {"words": "print"}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"pictures": {"prints": {"scrape": scrape}}}))
    return tmp_path


def test_a_plan_says_why_how_long_and_how_much_is_asked(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "ask", lambda: DAG)
    lock.put({"scrape@prints": {}, "prepare@prints": {"outs": [{"path": "data/2-prepared/prints", "size": 10**9}]}})
    for seconds in (400.0, 30.0, 60.0, 50.0, 70.0, 80.0):
        remember(Run("prepare@prints", "2030-01-01T00:00:00Z", seconds))
    with Path(".scratch/runs.jsonl").open("a") as file:
        file.write('{"stage": "prepare@pri')  # a killed process's last words
    assert usual_seconds() == {"prepare@prints": 60.0}
    assert plan.told().splitlines() == [
        "scrape@prints: 250 requests to google_images",
        "    changed deps: params.yaml",
        "prepare@prints: about 60 s",
        "    changed outs: data/2-prepared deleted",
        "    follows scrape@prints",
        "report",
        "    never run here",
        "    follows prepare@prints",
        "",
        "3 stages: about 60 s one after another and 2 that no flow has timed yet; at most 2.3 GB of disk",
        "google_images: 250 requests at 100 an hour, so 3 hours or more",
    ]


def test_a_stage_that_would_fill_the_disk_is_not_begun(here: Path) -> None:
    lock.put({"shard@prints": {"outs": [{"path": "data/3-shards/prints", "size": 10**15}]}})
    with pytest.raises(NoRoom, match=r"shard@prints needs about 2,000,000,100 MB in data and .* MB are free"):
        room.require("shard@prints")
    room.require("prepare@prints")  # of which nothing is known


def test_the_doctor_names_what_is_missing_and_how_to_get_it(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "requirements.lock").write_text("pytest==1.0 \\\n    --hash=x\nolder==2 ; python_full_version < '3' \\\n")
    monkeypatch.setenv("PREFECT_API_URL", "")
    monkeypatch.setattr(doctor, "_CHECKS", (doctor._versions, doctor._params, doctor._disk, doctor._git))
    versions, params, disk, in_git = doctor.examine()
    assert versions.state == "missing"
    assert versions.said == f"pytest is {pytest.__version__}, locked is 1.0; `make setup` installs what is locked"
    assert params == Finding("params", "missing", "params.yaml: the file lacks the key 'recipes'; add it")
    assert disk.state in ("well", "note")
    assert in_git == Finding("git", "note", "this is no git checkout, so no version is kept; `git init` makes it one")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"pictures: [", "params.yaml is no YAML in UTF-8: while parsing a flow node"),
        ("# gemälde\n".encode("latin-1"), "params.yaml is no YAML in UTF-8: 'utf-8' codec can't decode"),
        (b"- pictures", "params.yaml is ['pictures']; it must be a block with the keys pictures, recipes, report"),
        (None, "params.yaml is not here; run this from the project's root"),
    ],
)
def test_a_broken_params_file_is_one_sentence(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, content: bytes | None, told: str
) -> None:
    (here / "params.yaml").unlink() if content is None else (here / "params.yaml").write_bytes(content)
    for command in ("status", "tidy"):
        assert main([command]) == 1
        assert capsys.readouterr().err.startswith(f"baren: {told}")
    monkeypatch.setattr(doctor, "_CHECKS", (doctor._params, doctor._keys))
    params, keys = doctor.examine()
    assert params.state == keys.state == "missing"
    assert params.said.startswith("params.yaml")
    assert keys.said.startswith(told)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("recipes: {}", "pictures is None; it must be a block of names, each with its settings"),
        ("{pictures: {}, recipes: 3}", "recipes is 3; it must be a block of names, each with its settings"),
    ],
)
def test_a_params_file_that_lacks_a_block_has_no_state(
    here: Path, capsys: pytest.CaptureFixture[str], content: str, told: str
) -> None:
    (here / "params.yaml").write_text(content)
    assert main(["status"]) == 1
    assert capsys.readouterr().err == f"baren: params.yaml: {told}\n"


def test_the_doctor_misses_keys_and_a_contact(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLICKR_API_KEY", raising=False)
    scrape = {"use": "flickr", "limit": 1, "contact": "", "query": {"text": "sea"}}
    sets = {"photos": {"scrape": scrape}, "museum": {"scrape": {**scrape, "site": "museum"}}}
    (here / "params.yaml").write_text(yaml.safe_dump({"pictures": sets}, sort_keys=False))
    found = list(doctor._keys())
    del scrape["contact"]  # which may be left out, like a query
    sets["drawn"] = {"scrape": {"use": "sample", "limit": 3}}
    (here / "params.yaml").write_text(yaml.safe_dump({"pictures": sets}, sort_keys=False))
    assert list(doctor._keys()) == [*found, Finding("keys", "well", "sample has what it needs for drawn")]
    assert [finding.state for finding in found] == ["missing", "missing", "well"]
    assert "pictures.photos.scrape.contact of params.yaml is empty" in found[0].said
    assert "FLICKR_API_KEY" in found[1].said


def test_the_doors_of_pipelines_leads_to_what_only_flows_can_tell(here: Path) -> None:
    (here / "params.yaml").write_text(yaml.safe_dump({"pictures": {}, "recipes": {}}))
    done = run(sys.executable, "-m", "pipelines", "status", cwd=here, env=environment(PYTHONPATH=f"{ROOT}"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["at work: nobody", "kept: nothing yet"]


def test_who_holds_the_checkout_can_be_seen_from_beside(here: Path) -> None:
    assert holder() == ""
    with turn("a trial", print):
        assert holder().startswith(f"a trial (process {os.getpid()}, since ")
    assert holder() == ""


def test_each_line_of_a_run_is_written_down_as_json(tmp_path: Path) -> None:
    handler = JsonLines(tmp_path)
    record = logging.LogRecord("prefect.task_runs", logging.WARNING, "", 0, "%d of %d", (1, 2), None)
    record.flow_name, record.flow_run_name, record.task_run_name = "rebuild", "quiet-owl", "train travelgan"
    handler.emit(record)
    [path] = tmp_path.glob("*.jsonl")
    told = json.loads(path.read_text())
    assert told.pop("when").startswith(path.stem)
    assert told == {
        "level": "WARNING", "flow": "rebuild", "run": "quiet-owl", "task": "train travelgan", "message": "1 of 2",
    }  # fmt: skip


def keep_nights(checkout: Path, operations: Operations, nights: dict[int, int]) -> list[str]:
    """A version for each number of pictures, so many days after NOW, handed on; their tags."""
    for number, days in nights.items():
        night(checkout, number)
        keep_version("kept", f"night {number}", NOW + timedelta(days=days), checkout)
        hand_on(operations, str, checkout)
    return git(checkout, "tag").splitlines()


def test_tidying_shows_first_and_what_is_kept_can_still_be_brought_back(
    checkout: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout)
    tags = keep_nights(checkout, Operations(), {2: 0, 3: 300, 5: 400})
    old = checkout / ".scratch/train-travelgan/0123"
    old.mkdir(parents=True)
    os.utime(old, (0, 0))
    (checkout / ".scratch/logs").mkdir()
    (checkout / ".scratch/logs/2029-01-01.jsonl").write_text("{}\n")
    flow = post(server, "flows/", {"name": "rebuild"})["id"]
    ended = post(server, "flow_runs/", {"flow_id": flow, "state": {"type": "COMPLETED"}})["id"]
    asked = {"flow_runs": {"id": {"any_": [ended]}}}
    before = objects(checkout / ".dvc/cache")
    with temporary_settings({PREFECT_API_URL: server}):
        shown = [pile.said for pile in piles(Operations(), NOW + timedelta(days=401))]
        assert [said.split(":")[0] for said in shown] == ["versions", "unfinished", "logs", "Prefect"]
        assert shown[0].startswith(f"versions: 1 of 3 are older than 365 days ({tags[0]} to {tags[0]})")
        assert git(checkout, "tag").splitlines() == tags
        assert old.exists()
        assert objects(checkout / ".dvc/cache") == before
        assert post(server, "flow_runs/filter", asked)
        cleared: list[str] = []
        for pile in piles(Operations(), NOW + timedelta(days=401)):
            cleared.append(pile.said.split(":")[0])
            pile.clear()
        assert not post(server, "flow_runs/filter", asked)
    assert cleared == ["versions", "cache", "unfinished", "logs", "Prefect"]
    assert git(checkout, "tag").splitlines() == tags[1:]
    assert not old.exists()
    assert not list((checkout / ".scratch/logs").iterdir())
    assert objects(checkout / ".dvc/cache") < before
    git(checkout, "stash", "--include-untracked")
    for tag, pictures in zip(tags[1:], (3, 5), strict=True):
        git(checkout, "checkout", "-q", tag)
        assert run("dvc", "checkout", "--force", f"data/1-raw/{SET}", cwd=checkout).returncode == 0
        assert len(raw(checkout).splitlines()) == pictures


def test_from_a_remote_goes_only_what_no_checkout_names_any_more(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout)
    store, later = tmp_path / "store", NOW + timedelta(days=401)
    run("dvc", "remote", "add", "--local", "-d", "store", f"{store}", cwd=checkout)
    with pytest.raises(BarenError, match=r"'s3://elsewhere' is not the address of the default DVC remote, which is"):
        next(remote_piles(Operations(), later, "s3://elsewhere"))
    with pytest.raises(BarenError, match=r"only a git remote on which all of them publish"), others(Operations()):
        pytest.fail("nobody was asked")
    shared = Operations(publish=f"{tmp_path}/shared")
    with pytest.raises(BarenError, match=r"git fetch failed: "), others(shared):
        pytest.fail("nobody answered")
    git(tmp_path, "init", "-q", "--bare", "shared")
    tags = keep_nights(checkout, shared, {2: 0, 5: 400})
    twin = tmp_path / "twin"  # another checkout, which keeps a night of its own that this one never saw
    git(tmp_path, "clone", "-q", str(checkout), str(twin))
    (twin / ".dvc/config.local").write_text(f"[core]\n    site_cache_dir = {twin}/.dvc/site\n")
    run("dvc", "remote", "add", "--local", "-d", "store", f"{store}", cwd=twin)
    git(twin, "fetch", "-q", "origin", "kept:kept")
    keep_nights(twin, shared, {7: 401})

    stray = store / "files/md5/00/11223344556677889900aabbccddee"
    stray.parent.mkdir(exist_ok=True)
    stray.write_text("another project's")
    before = objects(store)
    with pytest.raises(BarenError, match=r"1 objects of .* were never named by a commit that is known here"):
        list(remote_piles(shared, later, f"{store}"))
    stray.unlink()
    for pile in remote_piles(shared, later, f"{store}"):
        pile.clear()
    assert objects(store) < before - {stray.name}
    assert git(tmp_path / "shared", "tag").splitlines() == git(checkout, "tag").splitlines()
    assert tags[0] not in git(checkout, "tag")
    shutil.rmtree(twin / ".dvc/cache")
    git(twin, "stash", "--include-untracked")
    for tag, pictures in ((tags[1], 5), ("kept", 7)):
        git(twin, "checkout", "-q", tag)
        pulled = run("dvc", "pull", "--force", f"data/1-raw/{SET}", cwd=twin)
        assert pulled.returncode == 0, pulled.stderr
        assert len(raw(twin).splitlines()) == pictures


def test_painting_scratch_and_dangling_links_can_go_and_what_is_remembered_stays(here: Path) -> None:
    link = here / ".scratch/start-travelgan/0123/last/weights.safetensors"  # as where the cache let go of a start
    canvas = here / ".scratch/infer/4567/canvas"
    photograph = here / ".scratch/paint/photographs/89ab/hill.jpg"
    young = here / ".scratch/infer/cdef/canvas"
    memory = here / ".scratch/prepare-prints/judged.sqlite"
    for path in (link, canvas, photograph, young, memory):
        path.parent.mkdir(parents=True)
        path.symlink_to(here / "gone") if path == link else path.write_bytes(bytes(10**6))
        for made in (path, *path.parents[: len(path.relative_to(here).parts) - 1]):
            os.utime(made, (0, 0), follow_symlinks=False)
    os.utime(young)
    [pile] = tidy._unfinished(datetime(2000, 1, 1, tzinfo=UTC))
    assert pile.said.startswith("unfinished: 3 folders of .scratch that nobody wrote to since ")
    assert pile.said.endswith(", 2.0 MB")
    pile.clear()
    assert not any(path.parent.exists() for path in (link, canvas, photograph))
    assert young.exists()
    assert memory.exists()


def test_the_pictures_that_a_run_left_in_prefect_go_with_it(server: str) -> None:
    flow = post(server, "flows/", {"name": "collect"})["id"]
    done = post(server, "flow_runs/", {"flow_id": flow, "state": {"type": "COMPLETED"}})["id"]
    post(server, "artifacts/", {"key": "contact-sheet", "data": "a large one", "flow_run_id": done})
    asked = {"artifacts": {"flow_run_id": {"any_": [done]}}}
    assert len(post(server, "artifacts/filter", asked)) == 1
    with temporary_settings({PREFECT_API_URL: server}):
        [pile] = tidy._flow_runs(datetime.now(UTC) + timedelta(days=1))
        assert pile.said.endswith("with their logs and artifacts")
        pile.clear()
        assert not list(tidy._flow_runs(datetime.now(UTC) + timedelta(days=1)))
    assert post(server, "artifacts/filter", asked) == []


def objects(root: Path) -> set[str]:
    return {path.name for path in (root / "files").rglob("*") if path.is_file()}


def test_somebody_is_told_of_a_source_that_falls_silent(server: str) -> None:
    told: list[str] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    webhook = HTTPServer(("127.0.0.1", 0), Webhook)
    threading.Thread(target=webhook.serve_forever, daemon=True).start()
    try:
        with temporary_settings({PREFECT_API_URL: server}):
            for _ in range(2):  # the second time in place of the first
                names = notify(f"http://127.0.0.1:{webhook.server_port}/")
            wait_until(lambda: len(post(server, "automations/filter", {})) == len(names))
            resource = {"prefect.resource.id": "baren.source.ukiyoe"}
            emit_event("baren.source.silent", resource=resource, payload={"picture_set": "prints"})
            EventsWorker.drain_all(timeout=5)
            wait_until(lambda: bool(told), seconds=60)
    finally:
        webhook.shutdown()
        webhook.server_close()
    assert len(told) == 1
    assert "baren.source.silent: baren.source.ukiyoe" in told[0]
