"""Where a training begins: at a path, at a git revision through DVC's cache, and never silently at zero."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from shard_sets import originals, pack
from toy import environment

from pipelines import start
from pipelines.__main__ import main
from tasks.errors import ParamsError
from tasks.files import sha256_file

MODEL = Path("data/4-models/portraits")
TRAIN = {"epochs": 2, "batch": 8, "log_every": 1, "preview_pictures": 4, "device": "cpu"}
SAID: list[str] = []
STAGE = {"train": {"foreach": ["portraits"], "do": {"cmd": "true", "outs": [f"{MODEL}"]}}}


def write_params(**train: Any) -> None:
    recipe = {
        "from": "tiny", "to": "tiny", "networks": {"side": 16, "filters": 4, "features": 8},
        "train": {**TRAIN, **train}, "evaluate": {}, "infer": {},
    }  # fmt: skip
    sets = {
        "tiny": {
            "scrape": {"use": "folder", "limit": 24, "contact": "", "query": {"path": "."}},
            "prepare": {"side": 16},
            "shard": {},
        }
    }
    Path("params.yaml").write_text(yaml.safe_dump({"pictures": sets, "recipes": {"portraits": recipe}, "report": {}}))


def trained(**train: Any) -> int:
    write_params(**train)
    return main(["train", "portraits"])


def did(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, env=environment())


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which a picture set is packed and nothing is trained."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tasks.progress.Progress.listen", lambda self: None)
    monkeypatch.setattr("tasks.progress.Progress.say", lambda self, sentence: SAID.append(sentence))
    SAID.clear()
    shards = pack(tmp_path / "made", originals(tmp_path / "made", range(24)))
    Path("data/3-shards").mkdir(parents=True)
    shards.rename("data/3-shards/tiny")
    return tmp_path


@pytest.fixture
def kept(checkout: Path) -> str:
    """The same with a run of two epochs finished, in DVC's cache and in git; gives what its last weights hash to."""
    assert trained() == 0
    weights = sha256_file(MODEL / "last/weights.safetensors")
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": STAGE}))
    did("git", "init", "--quiet")
    did("dvc", "init", "--quiet")
    (checkout / ".dvc/config").write_text(f"[core]\n    analytics = false\n    site_cache_dir = {checkout}/.dvc/site\n")
    did("dvc", "commit", "--force", "--quiet")
    did("git", "add", "dvc.lock")
    did("git", "-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "--quiet", "--message", "kept")
    shutil.rmtree(MODEL)
    return weights


def test_a_git_revision_goes_on_exactly(kept: str) -> None:
    assert sha256_file(start.find("HEAD", "portraits") / "weights.safetensors") == kept
    assert trained(epochs=4, start="HEAD") == 0
    assert any(line.startswith("portraits goes on from step 4 of 8") for line in SAID)
    more = sha256_file(MODEL / "last/weights.safetensors")
    assert trained(epochs=4) == 0
    assert sha256_file(MODEL / "last/weights.safetensors") == more
    assert start.find("workspace:best", "portraits").name == "best"
    with pytest.raises(ParamsError, match="the model of HEAD holds no checkpoint 'first'; take last or best"):
        start.find("HEAD:first", "portraits")


def test_a_finished_run_is_no_start_by_hand_and_gives_its_weights_to_a_schedule(
    kept: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained(start="HEAD") == 1
    assert "has all the 4 steps that the params ask for; raise train.epochs" in capsys.readouterr().err
    monkeypatch.setenv("BAREN_START", str(start.find("HEAD", "portraits")))
    assert trained() == 0
    assert any("begins with the weights of" in line and "which has all its steps, at step 0" in line for line in SAID)
    assert (MODEL / "losses.csv").read_text().count("\n") == 5
    assert sha256_file(MODEL / "last/weights.safetensors") != kept


def test_a_changed_schedule_says_what_it_leaves_behind(kept: str) -> None:
    assert trained(epochs=3, stop_after="0s") > 128
    assert SAID[-3].startswith(
        "portraits begins at step 0: the finished run that dvc.lock records had other settings ("
    )
    assert "train.epochs 2 -> 3" in SAID[-3]
    assert "set recipes.portraits.train.start to workspace" in SAID[-3]
    SAID.clear()
    assert trained(epochs=4, stop_after="0s") > 128
    told = " ".join(SAID)
    assert "an unfinished run of other settings (train.epochs 3 -> 4) lies in .scratch/train-portraits/" in told
    assert "at step 1; set recipes.portraits.train.start to .scratch/train-portraits/" in told
    SAID.clear()
    assert trained(epochs=4, stop_after="1h") == 0
    assert not any("begins at step 0" in line for line in SAID)  # it went on


def test_two_processes_find_a_start_at_once(kept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one looks for the same while ours is at a file: none of them may ever miss one that was there."""
    link, folder = Path.symlink_to, start.find("HEAD", "portraits")
    missed: list[str] = []

    def meanwhile(path: Path, target: Path) -> None:
        missed.extend(file for file in ("state.pt", "weights.safetensors") if not (folder / file).exists())
        with monkeypatch.context() as patch:
            patch.setattr(Path, "symlink_to", link)
            patch.setattr("os.getpid", lambda: 1)
            start.find("HEAD", "portraits")
        link(path, target)

    monkeypatch.setattr(Path, "symlink_to", meanwhile)
    assert sha256_file(start.find("HEAD", "portraits") / "weights.safetensors") == kept
    assert missed == []


def test_a_lock_with_the_marks_of_a_merge_is_said(kept: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = Path("dvc.lock").read_text()
    Path("dvc.lock").write_text(f"<<<<<<< HEAD\n{text}=======\n{text}>>>>>>> other\n")
    assert trained(epochs=3) == main(["scrape", "tiny"]) == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert all("dvc.lock is damaged, as a merge" in line for line in told)


def test_a_model_that_the_cache_lost_is_said(kept: str) -> None:
    shutil.rmtree(".dvc/cache")
    with pytest.raises(
        ParamsError, match=r"is not in DVC's cache; fetch it \(dvc get \. data/4-models/portraits --rev"
    ):
        start.find("HEAD", "portraits")
    with pytest.raises(ParamsError, match="which is no folder of a checkpoint and no git revision"):
        start.find("yesterday", "portraits")
