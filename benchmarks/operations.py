"""Operations: what the flows cost over plain DVC, what kill -9 does to them, whether every night can be brought back.

A real Prefect server, real stages, a project in small that is made for the occasion. Wall-clock figures want a quiet
machine; kills and nights do not.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from benchmarks.operations_kills import kills
from benchmarks.operations_nights import nights
from benchmarks.operations_project import ROOT, Server, flows, make_project, run, tiny

SPIN = """
import sys, time
from pathlib import Path

if sys.argv[1] == "check":
    sys.exit()
folder = Path("data/1-raw", sys.argv[2])
end = time.process_time() + float(Path("spin").read_text())
while time.process_time() < end:
    sum(range(10_000))
folder.mkdir(parents=True, exist_ok=True)
(folder / "made").write_text("spun")
"""


def main(quick: bool) -> dict[str, Any]:
    """Time, kill and count; `quick` takes 5 kills, 6 nights and the small project for the overhead."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="baren-operations-") as name:
        folder = Path(name)
        server = Server(folder / "prefect")
        parts: list[Callable[[], dict[str, Any]]] = [
            lambda: _overhead(folder, server, tiny() if quick else _demonstration()),
            lambda: _side_by_side(folder, server, seconds=10.0 if quick else 30.0),
            lambda: _two_at_once(folder, server),
            lambda: kills(folder / "kills", server, num=5 if quick else 20),
            lambda: nights(folder / "nights", server, num=6 if quick else 24),
        ]
        try:
            for part in parts:
                told = part()
                for key, value in told.items():
                    print(f"{key:24}{value}", flush=True)
                figures |= told
        finally:
            server.stop()
    return figures


def _demonstration() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))


def _overhead(folder: Path, server: Server, params: dict[str, Any]) -> dict[str, Any]:
    """The same params once by `dvc repro` and once by a rebuild; then a rebuild with nothing to do."""
    plain, flown = make_project(folder / "plain", params), make_project(folder / "flown", params)
    began = time.monotonic()
    run(["dvc", "repro"], plain)
    by_dvc = time.monotonic() - began
    by_flow = flows("rebuild", project=flown, server=server).seconds
    noop = min(flows("rebuild", project=flown, server=server).seconds for _ in range(2))
    stages = len(yaml.safe_load((flown / "dvc.lock").read_text())["stages"])
    shutil.rmtree(plain)
    shutil.rmtree(flown)
    return {
        "noop_rebuild_s": round(noop, 2),
        "overhead_s": round(by_flow - by_dvc, 2),
        "overhead_bound_s": 5.0 + stages,
        "dvc_repro_s": round(by_dvc, 2),
    }


def _side_by_side(folder: Path, server: Server, seconds: float) -> dict[str, Any]:
    """Two stages that each burn CPU in one thread, together and one of them alone, by Prefect's own times."""
    project = make_project(folder / "spins", tiny())
    (project / "pipelines/__main__.py").write_text(SPIN)
    (project / "spin").write_text(f"{seconds}")
    (project / "together.py").write_text(TOGETHER)
    alone = _spanned(project, server, "one")
    together = _spanned(project, server, "one", "two")
    shutil.rmtree(project)
    return {"parallel_over_longest": round(together / alone, 3)}


TOGETHER = """
import sys
from flows.dag import Dag
from flows.rebuild import checkout, walk
from prefect import flow

@flow(name="together")
def together():
    with checkout("a measurement") as bench:
        stages = {f"scrape@{name}": () for name in sys.argv[1:]}
        return walk(Dag(stages, {stage: ("forced",) for stage in stages}), bench, frozenset(stages))

print(together(return_state=True).message)
"""


def _spanned(project: Path, server: Server, *names: str) -> float:
    """Seconds from the start of the first stage to the end of the last."""
    before = time.time()
    run([sys.executable, "together.py", *names], project, server.environment)
    times = server.task_times(since=before)
    assert len(times) == len(names), f"{len(names)} stages were run, and Prefect tells of {len(times)}"
    return max(end for _, end in times) - min(start for start, _ in times)


def _two_at_once(folder: Path, server: Server) -> dict[str, Any]:
    """Two rebuilds started at the same moment: how many end well, with a sound lock file and a sound cache."""
    project = make_project(folder / "twice", tiny())
    pair = [server.start_flow(project, "rebuild") for _ in range(2)]
    codes = [process.wait() for process in pair]
    said = run(["dvc", "status"], project)
    assert "up to date" in said, said
    shutil.rmtree(project)
    return {"two_at_once_ended_well": codes.count(0)}
