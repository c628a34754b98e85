"""python -m pipelines: quick to help, one sentence for a mistake, never 0 for what did not finish."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from PIL import Image

from pipelines.__main__ import main
from pipelines.executor import make_executor
from tasks.errors import ParamsError
from tasks.workers import Renewable

ROOT = Path(__file__).parent.parent


def door(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "pipelines", *arguments], cwd=ROOT, capture_output=True, text=True)


def test_help_comes_without_torch() -> None:
    code = (
        "import sys; from pipelines.__main__ import main\n"
        "try: main(['--help'])\nexcept SystemExit: print('torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert answer.stdout.endswith("False\n"), answer.stderr
    assert "scrape" in answer.stdout


def test_an_unknown_step_is_an_error() -> None:
    answer = door("scrap", "photos")
    assert answer.returncode == 2
    assert "invalid choice: 'scrap'" in answer.stderr


def test_an_unknown_set_is_one_sentence(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["prepare", "nowhere"]) == 1
    assert capsys.readouterr().err.startswith("baren: params.yaml has no picture set 'nowhere'; it has: photos")


def test_raw_data_that_is_recorded_but_not_here_is_never_scraped_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    (tmp_path / "dvc.lock").write_text(
        "stages:\n  scrape@photos:\n    outs:\n    - {path: data/1-raw/photos, nfiles: 3}\n"
    )
    monkeypatch.chdir(tmp_path)
    assert main(["scrape", "photos"]) == 1
    assert "dvc pull" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_a_new_picture_set_has_all_that_dvc_asks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    Image.new("RGB", (80, 80)).save(tmp_path / "one.png")
    block = {"use": "folder", "limit": 9, "query": {"path": str(tmp_path)}}
    params["pictures"]["mine"] = {"scrape": block, "prepare": {"side": 64}, "shard": {}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tasks.progress.Progress.listen", lambda self: None)
    monkeypatch.setattr("pipelines.__main__._end_with_parent", lambda: None)
    assert main(["scrape", "mine"]) == 0
    assert Path("curation/mine.csv").read_text() == "id,verdict,reason\n"


def test_a_place_that_cannot_be_written_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").write_text("no folder")
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    assert main(["report"]) == 1
    assert capsys.readouterr().err.startswith("baren: data: file exists; choose another place")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_step_ends_with_the_signals_code(tmp_path: Path, signum: signal.Signals) -> None:
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text().replace("limit: 480", "limit: 200000"))
    step = subprocess.Popen(
        [sys.executable, "-m", "pipelines", "scrape", "photos"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".scratch/**/*.jpg")) and time.monotonic() < deadline:
        time.sleep(0.05)
    step.send_signal(signum)
    _, told = step.communicate(timeout=30)
    assert step.returncode == 128 + signum, told
    assert f"stopped by {signum.name}" in told
    assert not (tmp_path / "data/1-raw/photos/items").exists()


def test_a_step_ends_when_its_parent_dies(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text().replace("limit: 480", "limit: 200000"))
    code = (
        "import subprocess, sys, time\n"
        "step = subprocess.Popen([sys.executable, '-m', 'pipelines', 'scrape', 'photos'])\n"
        "print(step.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".scratch/**/*.jpg")) and time.monotonic() < deadline:
            time.sleep(0.05)
        parent.kill()
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_executor_is_chosen_by_name() -> None:
    with make_executor("threads:2") as threads, make_executor("processes:1") as processes:
        assert isinstance(threads, ThreadPoolExecutor)
        assert isinstance(processes, Renewable)
        assert processes.submit(len, "four").result() == 4


@pytest.mark.parametrize("choice", ["cluster", "threads:0", "processes:many"])
def test_an_unknown_executor_is_one_sentence(choice: str) -> None:
    with pytest.raises(ParamsError, match="BAREN_EXECUTOR"):
        make_executor(choice)
