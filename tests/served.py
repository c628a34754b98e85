"""A real Prefect server for the tests, one a worker, and `python -m flows` beside it in a toy checkout."""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from toy import ROOT, environment, make_toy, run

SERVER = """
import sys
from flows.server import own_server
with own_server(serving=True) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Prefect server with its own database."""
    home = tmp_path_factory.mktemp("prefect")
    env = environment(PREFECT_HOME=str(home), PREFECT_SERVER_API_PORT=str(free_port()))
    env.pop("PREFECT_API_URL", None)
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER], env=env, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    (tmp_path / "toy").mkdir()
    return make_toy(tmp_path / "toy")


@pytest.fixture(scope="session")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_toy(tmp_path_factory.mktemp("built"))
    done = run("dvc", "repro", cwd=root)
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture
def built(built_once: Path, toy: Path) -> Path:
    """The toy checkout in which everything is built; one stage made stale is then all that a rebuild runs."""
    shutil.copytree(built_once, toy, dirs_exist_ok=True)
    (toy / "ran").unlink()
    return toy


def make_stale(root: Path, *keys: str) -> None:
    """Change one setting of params.yaml, `keys` deep."""
    params = yaml.safe_load((root / "params.yaml").read_text())
    block = params
    for key in keys[:-1]:
        block = block[key]
    block[keys[-1]] = 1 + block.get(keys[-1], 0)
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(server: str, toy: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts `python -m flows ...` in the toy checkout; whatever still runs at the end of a test is ended."""
    started: list[subprocess.Popen[str]] = []

    def go(*arguments: str, program: Sequence[str] = ("-m", "flows")) -> subprocess.Popen[str]:
        env = environment(PREFECT_HOME=str(tmp_path / "home"), PREFECT_API_URL=server)
        process = subprocess.Popen(
            [sys.executable, *program, *arguments], cwd=toy, env=env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        started.append(process)
        return process

    yield go
    for process in started:
        process.kill()
        process.communicate()


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    said, _ = process.communicate(timeout=240)
    return process.returncode, said


def artifacts(server: str, key: str) -> Any:
    """The latest table left under `key`."""
    found = post(server, "artifacts/filter", {"artifacts": {"key": {"any_": [key]}}, "sort": "CREATED_DESC"})
    return json.loads(found[0]["data"])


def post(server: str, path: str, body: Any) -> Any:
    request = urllib.request.Request(
        f"{server}/{path}", data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    for patience in (1, 2, 4, None):  # the server says 503 while its database is busy
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code != 503 or patience is None:
                raise
            time.sleep(patience)
    raise AssertionError


def wait_until(true: Callable[[], bool], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
