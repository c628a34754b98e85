"""The loop: exact resume, what a run writes, and what it says when it cannot go on."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tiny_run import Pictures, StopAfter, shapes, small, trained, weights
from torch import Tensor

from pipelines import cyclegan, progressive, travelgan
from tasks import train
from tasks.errors import CheckpointError, ParamsError, Stopped, TrainingFailed
from tasks.progress import Progress
from tasks.train.board import read_table
from tasks.train.loop import Training
from tasks.train.ranks import Ranks


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("stop", [1, 3, 5])
def test_a_stopped_run_goes_on_to_the_same_bits(tmp_path: Path, precision: str, stop: int) -> None:
    settings = small(precision=precision)
    whole = trained(tmp_path / "whole", settings)
    with pytest.raises(Stopped):
        trained(tmp_path / "parts", settings, StopAfter(stop))
    assert not (tmp_path / "parts" / "out").exists()
    parts = trained(tmp_path / "parts", settings)
    for which in ("last", "best"):
        assert weights(parts / which) == weights(whole / which)
    for table in ("losses.csv", "scores.csv"):
        assert (parts / table).read_text() == (whole / table).read_text()
    assert sorted(path.name for path in (parts / "samples").iterdir()) == [
        "reals.png", "step-000003.png", "step-000006.png", "untrained.png",
    ]  # fmt: skip


def test_a_run_killed_between_checkpoints_goes_on_from_the_last_one(tmp_path: Path) -> None:
    settings = small(save_every=1e-9)  # a checkpoint after each step
    whole = trained(tmp_path / "whole", settings)

    class Killed(Exception):
        pass

    recipe = travelgan.build(shapes(), settings)
    step = recipe.step

    def dying(number: int, *rest: Any) -> Any:
        if number == 4:
            raise Killed
        return step(number, *rest)

    recipe.step = dying  # type: ignore[method-assign]
    with pytest.raises(Killed):
        trained(tmp_path / "parts", settings, recipe=recipe)
    assert weights(trained(tmp_path / "parts", settings) / "last") == weights(whole / "last")


def test_a_checkpoint_that_a_kill_left_aside_is_gone_on_from(tmp_path: Path) -> None:
    """As in a file system that swaps no folders, between the two renames that it takes there."""
    with pytest.raises(Stopped):
        trained(tmp_path, small(), StopAfter(3))
    last = tmp_path / "scratch" / "last"
    last.rename(last.with_name(f".last.{2**22 + 1}.old"))  # no process has that number
    recipe = travelgan.build(shapes(), small())
    step, taken = recipe.step, list[int]()

    def counted(number: int, *rest: Any) -> Any:
        taken.append(number)
        return step(number, *rest)

    recipe.step = counted  # type: ignore[method-assign]
    trained(tmp_path, small(), recipe=recipe)
    assert taken == [3, 4, 5]


def test_a_run_says_how_to_repeat_it_and_shows_itself(tmp_path: Path) -> None:
    out = trained(tmp_path, small(seed=7))
    run = json.loads((out / "run.json").read_text())
    assert run["seed"] == 7
    assert run["params"] == {"epochs": 2}
    assert run["data"] == {"photos": "abc"}
    assert run["versions"]["torch"] == str(torch.__version__)
    assert len(run["git_revision"]) in (7, 40, 41)
    with Image.open(out / "samples" / "reals.png") as grid:
        assert grid.size == (4 * 34 + 2, 2 * 34 + 2)
    assert (out / "losses.csv").read_text().splitlines()[0] == "step,epoch,critic,adversarial,siamese,travel"
    assert [line.split(",")[0] for line in (out / "losses.csv").read_text().splitlines()[1:]] == ["2", "4", "6"]
    assert any((out / "board").iterdir())
    assert not (tmp_path / "scratch").exists()
    card = (out / "CARD.md").read_text()
    assert "- last: step 6" in card
    assert "- data.photos: abc" in card


def test_what_is_recorded_is_there_before_the_first_step(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        trained(tmp_path, small(), StopAfter(0))
    names = {str(path.relative_to(tmp_path / "scratch")) for path in (tmp_path / "scratch").rglob("*.*")}
    assert {"run.json", "samples/reals.png", "samples/untrained.png"} <= names


def test_a_loss_that_is_no_number_stops_the_run_and_spoils_no_checkpoint(tmp_path: Path) -> None:
    settings = small(save_every=1e-9, log_every=1)
    recipe = travelgan.build(shapes(), settings)
    step = recipe.step

    def exploding(number: int, *rest: Any) -> Mapping[str, Tensor]:
        losses = step(number, *rest)
        return losses if number < 2 else {**losses, "critic": torch.tensor(float("nan"))}

    recipe.step = exploding  # type: ignore[method-assign]
    with pytest.raises(TrainingFailed, match=r"travelgan: the loss 'critic' became nan before step 3; lower the rates"):
        trained(tmp_path, settings, recipe=recipe)
    assert json.loads((tmp_path / "scratch/last/checkpoint.json").read_text())["step"] == 2


def test_a_request_to_stop_is_heard_though_a_loss_just_became_no_number(tmp_path: Path) -> None:
    settings = small(log_every=100)
    recipe = travelgan.build(shapes(), settings)
    step, stop = recipe.step, StopAfter(100)

    def exploding(number: int, *rest: Any) -> Mapping[str, Tensor]:
        losses = step(number, *rest)
        if number < 3:
            return losses
        stop.left = 0
        return {**losses, "critic": torch.tensor(float("nan"))}

    recipe.step = exploding  # type: ignore[method-assign]
    with pytest.raises(Stopped):
        trained(tmp_path, settings, stop, recipe)
    assert json.loads((tmp_path / "scratch/last/checkpoint.json").read_text())["step"] == 0


def test_a_loss_that_explodes_once_goes_back_to_the_last_checkpoint_with_rates_halved(tmp_path: Path) -> None:
    settings = small(log_every=1)
    recipe = travelgan.build(shapes(), settings)
    step, exploded = recipe.step, []

    def exploding(number: int, *rest: Any) -> Mapping[str, Tensor]:
        losses = step(number, *rest)
        if number == 2 and not exploded:
            exploded.append(number)
            return {**losses, "critic": torch.tensor(1e30)}
        return losses

    recipe.step = exploding  # type: ignore[method-assign]
    told = io.StringIO()
    out = trained(tmp_path, settings, Progress(told), recipe)
    assert "gone back to step 0 with all rates halved, this once" in told.getvalue()
    assert [group["lr"] for group in recipe.optimizers["critic"].param_groups] == [1e-4]
    assert [line.split(",")[0] for line in (out / "losses.csv").read_text().splitlines()[1:]] == list("123456")


def test_stop_after_saves_and_stops_and_the_next_run_goes_on(tmp_path: Path) -> None:
    settings = small()
    whole = trained(tmp_path / "whole", settings)
    hurried = settings.model_copy(update={"stop_after": "0s"})
    for _ in range(5):  # a step each time, and the sixth is the last
        with pytest.raises(Stopped) as stopped:
            trained(tmp_path / "parts", hurried)
    assert stopped.value.exit_code > 128
    assert weights(trained(tmp_path / "parts", hurried) / "last") == weights(whole / "last")
    assert small(stop_after="1.5h").seconds_allowed == 5400
    with pytest.raises(ParamsError, match=r"train.stop_after is 'soon'"):
        travelgan.Train.read({"stop_after": "soon"}, "recipes.travelgan.train")


@pytest.mark.parametrize(
    ("block", "sentence"),
    [
        ({"compute": "graphs", "micro_batch": 4}, "compute is 'graphs' and micro_batch 4, and parts of a batch are"),
        ({"compute": "compiled", "micro_batch": 4}, "take compute eager or auto, or leave micro_batch out"),
        ({"epochs": 20, "population": {"seeds": 2}}, "population.epoch is 30 and a run ends after 20, so no seed"),
        ({"start": "HEAD", "population": {"seeds": 2}}, "start is 'HEAD' and population.seeds 2: all would begin with"),
    ],
)
def test_settings_without_effect_are_said(block: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ParamsError, match=f"params.yaml: recipes.travelgan.train: .*{sentence}"):
        travelgan.Train.read(block, "recipes.travelgan.train")


def test_what_one_seed_does_not_ask_for_is_no_mistake() -> None:
    one = travelgan.Train.read({"epochs": 20, "start": "HEAD", "compute": "auto", "micro_batch": 4}, "train")
    assert one.population.epoch > one.epochs


def test_more_epochs_go_on_from_a_finished_run_to_the_same_bits(tmp_path: Path) -> None:
    four = trained(tmp_path / "four", small(epochs=4))
    two = trained(tmp_path / "two", small(epochs=2))
    more = trained(tmp_path / "more", small(epochs=4), start=two / "last")
    assert weights(more / "last") == weights(four / "last")


def test_a_run_that_begins_with_another_takes_its_own_settings(tmp_path: Path) -> None:
    two = trained(tmp_path / "two", small(epochs=2, augment=("mirror",), strength=0.9))
    settings = small(epochs=3, beta1=0.0, beta2=0.9, rate_critic=1e-5, micro_batch=2, augment=("mirror",), strength=0.1)
    recipe = travelgan.build(shapes(), settings)
    out = trained(tmp_path / "more", settings, recipe=recipe, start=two / "last")
    assert read_table(out / "losses.csv")[-1]["strength"] == pytest.approx(0.1)
    (group,) = recipe.optimizers["critic"].param_groups
    assert (tuple(group["betas"]), group["lr"]) == ((0.0, 0.9), 1e-5)
    assert json.loads((out / "run.json").read_text())["engine"]["micro_batch"] == 2
    assert json.loads((out / "last/checkpoint.json").read_text())["step"] == 9


def test_rates_stay_halved_where_networks_grow_after_an_explosion(tmp_path: Path) -> None:
    settings = progressive.Train(epochs=4, batch=4, log_every=1, preview_pictures=4, rate_critic=1e-3)
    networks = progressive.Networks(side=32, first=16, filters=4, widest=8, noise=8)
    recipe = progressive.build(networks, settings)
    step, rates = recipe.step, []

    def exploding(number: int, *rest: Any) -> Mapping[str, Tensor]:
        rates.append((number, recipe.optimizers["critic"].param_groups[0]["lr"]))
        losses = step(number, *rest)
        return {**losses, "critic": torch.tensor(1e30)} if len(rates) == 8 else losses

    recipe.step = exploding  # type: ignore[method-assign]
    trained(tmp_path, settings, recipe=recipe)
    assert rates[:8] == [(number, 1e-3) for number in range(8)]  # the second level begins at step 6
    assert rates[8:] == [(number, 5e-4) for number in range(12)]


def test_rates_fall_at_the_end_of_a_run(tmp_path: Path) -> None:
    recipe = travelgan.build(shapes(), settings := small(steady=0.5, rate_critic=0.25))
    step, rates = recipe.step, []

    def noting(number: int, *rest: Any) -> Mapping[str, Tensor]:
        rates.append(recipe.optimizers["critic"].param_groups[0]["lr"])
        return step(number, *rest)

    recipe.step = noting  # type: ignore[method-assign]
    trained(tmp_path, settings, recipe=recipe)
    assert rates == pytest.approx([0.25] * 4 + [0.25 * 2 / 3, 0.25 / 3])


def test_other_pictures_fine_tune_a_finished_run(tmp_path: Path) -> None:
    first = trained(tmp_path / "first", small())
    settings = small(epochs=1, rate_critic=1e-5)
    recipe = travelgan.build(shapes(), settings)
    train.run(
        recipe=recipe, feeds={"from": Pictures(8), "to": Pictures(9)}, settings=settings, out=tmp_path / "out",
        scratch=tmp_path / "scratch", progress=Progress(told := io.StringIO()), record={}, start=first / "last",
    )  # fmt: skip
    assert "begins with the weights of" in told.getvalue()
    assert recipe.optimizers["critic"].param_groups[0]["lr"] == 1e-5  # the params' rate, not the checkpoint's
    assert json.loads((tmp_path / "out/last/checkpoint.json").read_text())["step"] == 3
    with pytest.raises(CheckpointError, match="nowhere holds no checkpoint"):
        trained(tmp_path / "lost", small(), start=tmp_path / "nowhere")


def test_too_few_pictures_for_a_batch_is_said(tmp_path: Path) -> None:
    settings = small(batch=16)
    with pytest.raises(TrainingFailed, match=r"learn 'from' has 12 pictures to train on and a batch takes 16"):
        trained(tmp_path, settings)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("few", ["from", "to"])
def test_a_single_picture_is_too_few_though_a_batch_is_one(tmp_path: Path, few: str) -> None:
    settings = cyclegan.Train(epochs=1, batch=1, preview_pictures=1, device="cpu")
    recipe = cyclegan.build(cyclegan.Networks(side=32, filters=2, blocks=1, critic_layers=2), settings)

    def run(num: int) -> None:
        feeds = {key: Pictures(1, num if key == few else 2, batch=1) for key in ("from", "to")}
        train.run(
            recipe=recipe, feeds=feeds, settings=settings, out=tmp_path / "out", scratch=tmp_path / "scratch",
            progress=Progress(io.StringIO()), record={},
        )  # fmt: skip

    with pytest.raises(
        TrainingFailed, match=f"learn '{few}' has 1 pictures to train on and a batch takes 1, a preview two"
    ):
        run(1)
    run(2)


@pytest.mark.parametrize(("named", "apart"), [(None, 201), (1, 3), (5, 15)])
def test_looks_are_two_hundred_steps_apart_unless_the_settings_name_epochs(
    tmp_path: Path, named: int | None, apart: int
) -> None:
    settings = small(epochs=400, preview_every=named)
    feeds = {"from": Pictures(1), "to": Pictures(2)}  # of three steps an epoch
    training = Training(travelgan.build(shapes(), settings), feeds, settings, tmp_path, Progress(), Ranks())
    assert training.look_every == apart


def test_a_run_that_stays_collapsed_is_stopped_once_patience_is_over(tmp_path: Path) -> None:
    settings = small(epochs=4, patience=2)
    recipe = travelgan.build(shapes(), settings)
    recipe.paint = lambda pictures: torch.zeros_like(pictures["from"])  # type: ignore[method-assign]
    told = io.StringIO()
    with pytest.raises(TrainingFailed, match=r"step 6: .* the generator may be collapsing, at 2 previews in a row"):
        trained(tmp_path, settings, Progress(told), recipe)
    assert told.getvalue().count("may be collapsing") == 1
    assert not (tmp_path / "out").exists()
