"""Several processes: the same losses as one with the same batch, whatever a loss looks at."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import ranked_run
import torch
from safetensors.numpy import load_file
from tiny_run import weights
from toy import ROOT, environment

from tasks.errors import TrainingFailed
from tasks.files import read_json
from tasks.train.board import read_table
from tasks.train.ranks import Ranks


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Every recipe of ranked_run trained by one process, and by two."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    ranked_run.train_all(one, Ranks())
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1"]
    paths = f"{ROOT}:{ROOT / 'tests'}"
    done = subprocess.run(
        [*torchrun, "--master-port", "0", "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0",
         f"{ROOT / 'tests/ranked_run.py'}", f"{two}"],
        env=environment(OMP_NUM_THREADS="1", PYTHONPATH=paths), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return one, two


@pytest.mark.parametrize("recipe", list(ranked_run.RECIPES))
def test_two_processes_lose_as_one_does(runs: tuple[Path, Path], recipe: str) -> None:
    alone, together = (read_table(folder / recipe / "out/losses.csv") for folder in runs)
    assert len(alone) == len(together) == 6
    for one, two in zip(alone, together, strict=True):
        assert two == pytest.approx(one, rel=2e-3, abs=1e-4)
    alone, together = (load_file(folder / recipe / "out/last/weights.safetensors") for folder in runs)
    for name, weight in alone.items():
        np.testing.assert_allclose(together[name], weight, rtol=0.02, atol=2e-3, err_msg=name)


def test_two_processes_train_a_seed_each_to_the_same_bits(runs: tuple[Path, Path]) -> None:
    for which in ("best", "last", "seed-0/last", "seed-1/last"):
        assert weights(runs[0] / "population/out" / which) == weights(runs[1] / "population/out" / which)


def test_two_processes_go_back_together_though_their_clocks_differ(runs: tuple[Path, Path]) -> None:
    assert "gone back to step 20 with all rates halved" in (runs[1] / "exploding/told").read_text()
    assert read_json(runs[1] / "exploding/out/last/checkpoint.json")["step"] == 30


@pytest.mark.parametrize(("device", "backend", "places"), [("cpu", "gloo", []), ("cuda", "nccl", [1])])
def test_processes_speak_as_the_device_of_their_networks_needs(
    monkeypatch: pytest.MonkeyPatch, device: str, backend: str, places: list[int]
) -> None:
    """Whatever GPUs there are: a run on the processor beside them is one of gloo."""
    chosen: list[str] = []
    taken: list[int] = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.set_device", taken.append)
    monkeypatch.setattr("torch.distributed.init_process_group", chosen.append)
    monkeypatch.setattr("torch.distributed.new_group", lambda backend: None)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 1)
    ranks = Ranks.joined(torch.device(device))
    assert (chosen, taken, ranks.number, ranks.world) == ([backend], places, 1, 2)


def test_a_batch_that_cannot_be_shared_is_said() -> None:
    ranks = Ranks()
    ranks.world = 3
    with pytest.raises(TrainingFailed, match="a batch of 4 pictures cannot be shared by 3 processes"):
        ranks.share(torch.zeros(4, 3, 8, 8))
