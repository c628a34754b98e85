"""kill -9 of worker, stage or server at random moments: what the next run makes of it, and what is left running."""

import hashlib
import os
import random
import re
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from benchmarks.operations_project import Server, descendants, flows, make_project, tiny

VICTIMS = ("worker", "stage", "server")
EXACT = ("1-raw", "2-prepared", "3-shards", "5-metrics/portraits/metrics.json")  # byte for byte, the clock apart
MOMENT = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+:.\dZ]*")  # of a batch: all that two runs may differ in
FOLDERS = {"scrape": "1-raw", "prepare": "2-prepared", "shard": "3-shards", "evaluate": "5-metrics"}
PATIENCE = 90.0  # seconds after a kill in which what it left has to end by itself


def kills(folder: Path, server: Server, num: int, seed: int = 0) -> dict[str, Any]:
    """Kill `num` runs, each at a moment and of a victim drawn from `seed`, and let the next run finish."""
    chance = random.Random(seed)
    whole = make_project(folder / "whole", tiny())
    seconds = flows("rebuild", project=whole, server=server).seconds
    stages = len(_finished(whole))
    expected = contents(whole)
    equal = orphans = too_early = tried = 0
    while tried < num:
        victim = VICTIMS[tried % len(VICTIMS)]
        project = make_project(folder / "killed", tiny())
        killed = _kill_one(project, server, victim, chance, stages, seconds / stages)
        left = _left_behind(project)
        if killed:
            wrong = _recorded_too_early(project, expected)
            done = len(_finished(project))
            if victim == "server":
                server.stop()
                server.start()
            flows("rebuild", project=project, server=server)
            same = contents(project) == expected
            tried, equal = tried + 1, equal + same
            orphans, too_early = orphans + len(left), too_early + len(wrong)
            print(
                f"kill {tried}: {killed} after {done} of {stages} stages; {len(left)} left running; afterwards "
                f"{'the same data' if same else 'OTHER DATA'}" + (f"; recorded too early: {wrong}" if wrong else ""),
                flush=True,
            )
        shutil.rmtree(project)
    return {
        "kills_tried": tried, "kills_equal": equal, "orphans": orphans, "recorded_too_early": too_early,
        "killed_run_s": round(seconds, 1),
    }  # fmt: skip


def _kill_one(project: Path, server: Server, victim: str, chance: random.Random, stages: int, pace: float) -> str:
    """Begin a rebuild, kill `victim` at a random moment, and wait until the rebuild's own process is gone.

    The moment is drawn in stages, `pace` seconds each: a run's length varies with what else the machine does. Gives the
    command that was killed; "" where the run was over before.
    """
    moment = chance.uniform(0, stages)
    worker = server.start_flow(project, "rebuild")
    while len(_finished(project)) < int(moment) and worker.poll() is None:
        time.sleep(0.02)
    time.sleep(moment % 1 * pace)
    below: list[int] = []
    while victim == "stage" and not below and worker.poll() is None:  # between two stages there is none
        below = [process for process in descendants(worker.pid)[1:] if " pipelines " in _command(process)]
        time.sleep(0.02)
    if worker.poll() is not None:
        return ""
    killed = {"worker": [worker.pid], "stage": below[-1:], "server": server.processes()}[victim]
    told = _command(killed[-1])
    for process in killed:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    worker.wait()
    return f"{victim} ({told[:60].strip()})"


def _finished(project: Path) -> list[str]:
    path = project / ".scratch/runs.jsonl"
    return path.read_text().splitlines() if path.exists() else []


def _left_behind(project: Path) -> list[str]:
    """The processes that still work in `project` when the time to end by themselves is over."""
    deadline = time.monotonic() + PATIENCE
    while (left := _working_in(project)) and time.monotonic() < deadline:
        time.sleep(0.2)
    for process in left:
        os.kill(process, signal.SIGKILL)
    return [_command(process) for process in left]


def _working_in(project: Path) -> list[int]:
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if (path / "cwd").readlink() == project and (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except OSError:
            continue
    return found


def _command(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def contents(project: Path) -> dict[str, str]:
    """The hash of each file up to the shards, and of the metrics; without the moments at which batches were opened."""
    found: dict[str, str] = {}
    for place in EXACT:
        top = project / "data" / place
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.is_file():
                data = path.read_bytes()
                if path.suffix in (".json", ".jsonl"):
                    data = MOMENT.sub(b"then", data)
                found[str(path.relative_to(project))] = hashlib.sha256(data).hexdigest()
    return found


def _recorded_too_early(project: Path, expected: dict[str, str]) -> set[str]:
    """The stages that dvc.lock records although their outputs are not what a whole run ends with."""
    path = project / "dvc.lock"
    stages = yaml.safe_load(path.read_text())["stages"] if path.exists() else {}
    here = contents(project)
    found: set[str] = set()
    for stage in stages:
        step, _, name = stage.partition("@")
        prefix = f"data/{FOLDERS[step]}/{name}/" if step in FOLDERS else "nowhere"
        wanted, is_there = (
            {file: hash for file, hash in files.items() if file.startswith(prefix)} for files in (expected, here)
        )
        if wanted != is_there:
            found.add(stage)
    return found
