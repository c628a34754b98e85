"""kill -9 of worker, stage or server at random moments: what the next run makes of it, and what is left running."""

import hashlib
import os
import random
import re
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.operations_project import Server, descendants, flows, make_project, tiny

VICTIMS = ("worker", "stage", "server")
EXACT = ("1-raw", "2-prepared", "3-shards", "5-metrics/portraits/metrics.json")  # byte for byte, the clock apart
MOMENT = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+:.\dZ]*")  # of a batch: all that two runs may differ in
FOLDERS = {"scrape": "1-raw", "prepare": "2-prepared", "shard": "3-shards", "evaluate": "5-metrics"}
PATIENCE = 90.0  # seconds after a kill in which what it left has to end by itself


def kills(folder: Path, server: Server, num: int) -> dict[str, Any]:
    """Kill `num` runs, each at a moment and of a victim drawn from a seed, and let the next run finish."""
    chance = random.Random(0)
    whole = make_project(folder / "whole", tiny())
    length = flows("rebuild", project=whole, server=server).seconds
    expected = contents(whole)
    equal = orphans = wrongly_recorded = 0
    for number in range(num):
        victim = VICTIMS[number % len(VICTIMS)]
        project = make_project(folder / f"killed-{number}", tiny())
        moment = chance.uniform(0.15, 0.95) * length
        killed = _kill_one(project, server, victim, moment, chance)
        left = _left_behind(project)
        orphans += len(left)
        wrong = _recorded_too_early(project, expected)
        wrongly_recorded += len(wrong)
        if victim == "server":
            server.stop()
            server.start()
        flows("rebuild", project=project, server=server)
        same = contents(project) == expected
        equal += same
        early = f"; recorded too early: {wrong}" if wrong else ""
        print(
            f"kill {number + 1}: {killed} after {moment:.1f} of about {length:.0f} s; {len(left)} left running, "
            f"{'the same data' if same else 'OTHER DATA'} afterwards{early}",
            flush=True,
        )
        if same and not left:
            shutil.rmtree(project)
    return {"kills_tried": num, "kills_equal": equal, "orphans": orphans, "recorded_too_early": wrongly_recorded}


def _kill_one(project: Path, server: Server, victim: str, moment: float, chance: random.Random) -> str:
    """Begin a rebuild, kill `victim` after `moment` seconds, and wait until the rebuild's own process is gone."""
    began = time.monotonic()
    worker = server.start_flow(project, "rebuild")
    while time.monotonic() - began < moment and worker.poll() is None:
        time.sleep(0.05)
    stages: list[int] = []
    while victim == "stage" and not stages and worker.poll() is None:  # between two stages there is none
        stages = [process for process in descendants(worker.pid)[1:] if " pipelines " in _command(process)]
        time.sleep(0.02)
    killed = {"worker": [worker.pid], "stage": [chance.choice(stages)] if stages else [], "server": server.processes()}
    told = f"{victim} ({_command(killed[victim][-1])[-40:].strip()})" if killed[victim] else f"no {victim} was left"
    for process in killed[victim]:
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue
    worker.wait()
    return told


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
