"""A project in small for the benchmark of operations, and the Prefect server it is run on."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
PROJECT = ("flows", "pipelines", "tasks", "dvc.yaml", ".dvcignore")
SERVE = """
import sys
from flows.server import own_server
with own_server(serving=True) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


def tiny() -> dict[str, Any]:
    """Params of which every stage takes a second or two: 24 drawn pictures twice, a recipe from noise on one set."""
    pictures = {
        name: {
            "scrape": {
                "use": "drawn",
                "limit": 24,
                "contact": "",
                "query": {"what": "abstract", "side": 48, "seed": seed},
            },
            "prepare": {"side": 32},
            "shard": {"held_out": 0.3, "seed": 0, "per_shard": 8},
        }
        for seed, name in enumerate(("one", "two"))
    }
    recipe = {
        "from": "one",
        "to": "one",
        "networks": {"side": 32, "filters": 4, "noise": 8, "features": 16},
        "train": {"epochs": 2, "batch": 8, "preview_every": 1, "device": "cpu", "save_every": 0.01},
        "evaluate": {"pictures": 8, "known": 32, "floors": 1},
        "infer": {"draw": 16, "keep": 4},
    }
    return {"pictures": pictures, "recipes": {"portraits": recipe}, "report": {}}


def make_project(folder: Path, params: Mapping[str, Any]) -> Path:
    """A git checkout of this program with `params`, in which nothing was built yet."""
    folder.mkdir(parents=True)
    for name in PROJECT:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    (folder / "params.yaml").write_text(yaml.safe_dump(dict(params), sort_keys=False))
    (folder / "curation").mkdir()
    for name in params["pictures"]:
        (folder / f"curation/{name}.csv").write_text("id,verdict,reason\n")
    (folder / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc/config", folder / ".dvc")
    (folder / ".dvc/config.local").write_text(f"[core]\n    site_cache_dir = {folder}/.dvc/site\n")
    (folder / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n/site\n")
    (folder / ".gitignore").write_text("/data/\n/.scratch/\n__pycache__/\n/spin\n/together.py\n/came/\n")
    run(["git", "init", "-q", "-b", "main"], folder)
    run(["git", "add", "."], folder)
    run(["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first"], folder)
    return folder


def environment(**more: str) -> dict[str, str]:
    """Ours, with the environment's programs first on PATH and one thread a process, so that CPU runs are repeatable."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    known = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    return {**known, "PATH": path, "OMP_NUM_THREADS": "1", **more}


def run(command: list[str], folder: Path, env: Mapping[str, str] | None = None) -> str:
    """What a command that has to succeed says."""
    done = subprocess.run(
        command, cwd=folder, env=dict(env or environment()), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-3000:]}"
    return done.stdout


class Server:
    """A real Prefect server on loopback, with a database of its own; it can be killed and started again."""

    def __init__(self, home: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._home = home
        self.start()

    def start(self) -> None:
        """Serve, from the same database as before."""
        env = environment(PREFECT_HOME=f"{self._home}", PREFECT_SERVER_API_PORT=f"{self._port}")
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVE], env=env, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        assert self.url, "the Prefect server did not start"
        # A server that was killed stays away until the run has ended: no need for the run to wait for it for minutes.
        patience = {"PREFECT_CLIENT_MAX_RETRIES": "1"}
        self.environment = environment(PREFECT_HOME=f"{self._home}", PREFECT_API_URL=self.url, **patience)

    def stop(self) -> None:
        """End it, and everything it started."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def processes(self) -> list[int]:
        """The processes of the server."""
        return descendants(self._process.pid)

    def start_flow(self, project: Path, *arguments: str) -> subprocess.Popen[bytes]:
        """Begin `python -m flows ARGUMENTS`."""
        return subprocess.Popen(
            [sys.executable, "-m", "flows", *arguments], cwd=project, env=self.environment,
            stdout=subprocess.DEVNULL, stderr=(project / ".flows.log").open("ab"),
        )  # fmt: skip

    def task_times(self, since: float) -> list[tuple[float, float]]:
        """Start and end of every task run that began after `since`, in seconds since the epoch."""
        after = {"start_time": {"after_": f"{datetime.fromtimestamp(since, UTC):%Y-%m-%dT%H:%M:%S.%fZ}"}}
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:  # the server learns of states a moment later
            runs = self._ask("task_runs/filter", {"task_runs": after})
            if runs and all(run["end_time"] for run in runs):
                return [tuple(map(_epoch, (run["start_time"], run["end_time"]))) for run in runs]  # type: ignore[misc]
            time.sleep(0.5)
        raise AssertionError("the server never learned how the stages ended")

    def _ask(self, path: str, body: Any) -> Any:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/{path}", data=json.dumps(body).encode(), headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


@dataclass(frozen=True)
class Flown:
    """A flow run from its first process to its last."""

    seconds: float
    said: str


def flows(*arguments: str, project: Path, server: Server) -> Flown:
    """Run `python -m flows ARGUMENTS` to its good end."""
    began = time.monotonic()
    said = run([sys.executable, "-m", "flows", *arguments], project, server.environment)
    return Flown(time.monotonic() - began, said)


def descendants(process: int) -> list[int]:
    """A process and all below it."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        parents.setdefault(parent, []).append(int(path.name))
    found = [process]
    for each in found:
        found.extend(parents.get(each, []))
    return found


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
