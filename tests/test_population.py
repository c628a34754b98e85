"""Several seeds: judged alike, the best kept, the reasons told, and resumed like a single run."""

import io
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_run import StopAfter, small, trained, weights
from torch import Tensor

from pipelines import travelgan
from tasks import report
from tasks.errors import DeviceLost, ParamsError, Stopped, TrainingFailed
from tasks.progress import Progress
from tasks.report.settings import Report
from tasks.train.board import Board
from tasks.train.population import Member, chosen
from tasks.train.preview import Look, Preview
from tasks.train.settings import Population

MANY = {"epochs": 2, "population": Population(seeds=3, keep=2, epoch=1)}


def rows(out: Path) -> list[dict[str, Any]]:
    return json.loads((out / "population.json").read_text())


def member(seed: int, distance: float | None, collapsed: bool = False) -> Member:
    return Member(seed, 1.0, distance, distance, distance, collapsed, kept=False, why="it exploded")


def test_the_best_seeds_are_kept_and_the_collapsed_come_last() -> None:
    members = [member(0, 3.0), member(1, 1.0, collapsed=True), member(2, 2.0), member(3, None)]
    assert [m.seed for m in chosen(members, 2) if m.kept] == [0, 2]
    assert [m.seed for m in chosen(members, 4) if m.kept] == [0, 1, 2]
    told = {m.seed: m.why for m in chosen(members, 1)}
    assert told[0] == "place 2 of 4 at epoch 1, with palette 3.00 and sliced Wasserstein 3.0: dropped, since 1 is kept"
    assert told[2].endswith(": kept")
    assert "signs of collapse" in told[1]
    assert told[3] == "it exploded"


def test_more_kept_than_begun_is_refused() -> None:
    with pytest.raises(ParamsError, match="population: keep is 3 of 2 seeds; keep fewer or begin more"):
        small().read({"population": {"seeds": 2, "keep": 3}}, "recipes.travelgan.train")


def test_a_population_keeps_what_each_seed_alone_would_have_become(tmp_path: Path) -> None:
    out = trained(tmp_path / "many", small(**MANY))
    table = rows(out)
    assert [row["seed"] for row in table] == [0, 1, 2]
    kept = [row for row in table if row["kept"]]
    assert sorted(row["distance"] for row in table)[:2] == sorted(row["distance"] for row in kept)
    first = min(kept, key=lambda row: row["best"])
    assert [row["seed"] for row in table if row["chosen"]] == [first["seed"]]
    alone = trained(tmp_path / "alone", small(epochs=2, seed=first["seed"]))
    assert weights(out / "last") == weights(alone / "last")
    for row in table:
        home = out / f"seed-{row['seed']}"
        assert (home / "samples/step-000003.png").exists()
        assert (home / "best").exists() == (home / "last").exists() == row["kept"]
        assert row["why"] in (out / "CARD.md").read_text()
    shutil.copytree(out, tmp_path / "data/4-models/travelgan")
    report.run(data=tmp_path / "data", out=tmp_path / "report", settings=Report(), progress=Progress(io.StringIO()))
    page = (tmp_path / "report/index.html").read_text()
    assert f"seed {first['seed']}, painted with: {first['why']}" in page
    assert page.count('<figure class="seed">') == 3


def test_a_stopped_population_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", small(**MANY))
    for steps in (1, 4, 4):  # within the first seed, within the second, and after the choice
        with pytest.raises(Stopped):
            trained(tmp_path / "parts", small(**MANY), StopAfter(steps))
    parts = trained(tmp_path / "parts", small(**MANY))
    assert rows(parts) == rows(whole)
    for which in ("best", "last"):
        assert weights(parts / which) == weights(whole / which)


def test_a_population_of_which_every_seed_fails_is_said(tmp_path: Path) -> None:
    with pytest.raises(TrainingFailed, match=r"travelgan: no seed came to its end; .* became nan before step"):
        trained(tmp_path, small(**MANY, loss="wgan", rate_generator=1e30, rate_critic=1e30, log_every=1))


def once(
    monkeypatch: pytest.MonkeyPatch, at: int, mishap: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]
) -> None:
    """Let `mishap` befall the losses of step `at` of the first seed that comes there."""
    step, befallen = travelgan.TravelGan.step, []

    def mishandled(recipe: travelgan.TravelGan, number: int, *rest: Any) -> Mapping[str, Tensor]:
        losses = step(recipe, number, *rest)
        if number == at and not befallen:
            befallen.append(number)
            return mishap(losses)
        return losses

    monkeypatch.setattr(travelgan.TravelGan, "step", mishandled)


def test_a_seed_that_explodes_right_before_the_choice_goes_back_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(preview: Preview, board: Board, at: int, epoch: float) -> Look:
        return replace(looked(preview, board, at, epoch), is_best=at != 6)  # what is not the best is not saved then

    looked = Preview.look
    monkeypatch.setattr(Preview, "look", look)
    once(monkeypatch, 5, lambda losses: {**losses, "critic": torch.tensor(float("nan"))})
    many = {"epochs": 3, "population": Population(seeds=2, keep=2, epoch=2)}
    out = trained(tmp_path, small(**many, log_every=100), Progress(told := io.StringIO()))
    assert "gone back to step 0 with all rates halved, this once" in told.getvalue()
    assert all(row["distance"] is not None for row in rows(out))


def test_a_gpu_that_vanishes_is_no_fault_of_a_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def vanish(losses: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        raise torch.AcceleratorError("CUDA error: GPU is lost", 0)

    whole = trained(tmp_path / "whole", small(**MANY))
    for at in (1, 4):  # before the choice, and after it
        with monkeypatch.context() as patch:
            once(patch, at, vanish)
            with pytest.raises(DeviceLost):
                trained(tmp_path / "parts", small(**MANY))
    assert rows(trained(tmp_path / "parts", small(**MANY))) == rows(whole)


def test_stop_after_counts_for_all_seeds_together(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(Stopped):
            trained(tmp_path, small(**MANY, stop_after="0s"))
    assert [path.name for path in (tmp_path / "scratch").glob("seed-*")] == ["seed-0"]
