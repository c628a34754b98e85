"""The loop: exact resume, what a run writes, and what it says when it cannot go on."""

import copy
import errno
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from pipelines import travelgan
from tasks import train
from tasks.errors import CheckpointError, NoRoom, ParamsError, Stopped, TrainingFailed
from tasks.files import sha256_file
from tasks.progress import Progress
from tasks.train import checkpoint
from tasks.train.average import averaged_copy, decay_at, update_average
from tasks.train.board import as_grid
from tasks.train.judge import judge
from tasks.train.precision import Precision, seed_chance
from tasks.train.recipe import Recipe
from tasks.train.spectral import SpectralNormed, fold_spectrum, normalise_spectrum
from tasks.train.watch import repeats

SIDE = 32


@dataclass(frozen=True)
class Shown:
    images: Tensor


class Pictures:
    """A feed held in memory: smooth pictures, drawn from a seed."""

    def __init__(self, seed: int, num_items: int = 12, batch: int = 4) -> None:
        chance = torch.Generator().manual_seed(seed)
        coarse = torch.rand(num_items, 3, 4, 4, generator=chance) * 2 - 1
        self.pictures = nn.functional.interpolate(coarse, size=(SIDE, SIDE), mode="bilinear")
        self.num_items, self.size, self.fingerprint = num_items, batch, f"pictures-{seed}"
        self.steps_per_epoch = num_items // batch

    def batch(self, step: int) -> Shown:
        order = torch.randperm(self.num_items, generator=torch.Generator().manual_seed(step))
        return Shown(self.pictures[order[: self.size]])


class StopAfter(Progress):
    """Asks for the end before step `num_steps` of this run, as Ctrl-C would."""

    def __init__(self, num_steps: int) -> None:
        super().__init__()
        self.left = num_steps

    def check(self) -> None:
        if self.left == 0:
            self.stop_requested = 2
        self.left -= 1
        super().check()


def small(**changes: Any) -> travelgan.Train:
    values = {"epochs": 2, "batch": 4, "layout": "contiguous", "log_every": 2, "preview_pictures": 4, **changes}
    return travelgan.Train(**values)


def shapes(**changes: Any) -> travelgan.Networks:
    values = {"side": SIDE, "filters": 4, "levels": 2, "latent": 8, "spectral": ("generator", "critic"), **changes}
    return travelgan.Networks(**values)


def trained(
    tmp: Path, settings: travelgan.Train, progress: Progress | None = None, recipe: Recipe | None = None,
    start: Path | None = None,
) -> Path:  # fmt: skip
    train.run(
        recipe=recipe or travelgan.build(shapes(), settings),
        feeds={"from": Pictures(1), "to": Pictures(2)},
        settings=settings,
        out=tmp / "out",
        scratch=tmp / "scratch",
        progress=progress or Progress(),
        record={"params": {"epochs": settings.epochs}, "data": {"photos": "abc"}},
        start=start,
    )
    return tmp / "out"


def weights(folder: Path) -> str:
    return sha256_file(folder / "weights.safetensors")


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
    assert [group["lr"] for group in recipe.critic_optimizer.param_groups] == [1e-4]
    assert [line.split(",")[0] for line in (out / "losses.csv").read_text().splitlines()[1:]] == list("123456")


def test_a_disk_that_fills_while_saving_leaves_the_last_checkpoint_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = small(save_every=1e-9)
    whole = trained(tmp_path / "whole", settings)
    saves, save_file = [], checkpoint.save_file

    def full(*arguments: Any) -> None:
        saves.append(1)
        if len(saves) == 4:
            Path(arguments[1]).write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        save_file(*arguments)

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(NoRoom, match="the disk filled up while"):
        trained(tmp_path / "parts", settings)
    monkeypatch.undo()
    assert weights(trained(tmp_path / "parts", settings) / "last") == weights(whole / "last")


def test_stop_after_saves_and_stops_and_the_next_run_goes_on(tmp_path: Path) -> None:
    settings = small()
    whole = trained(tmp_path / "whole", settings)
    hurried = settings.model_copy(update={"stop_after": "0s"})
    for _ in range(6):  # a step each time
        with pytest.raises(Stopped) as stopped:
            trained(tmp_path / "parts", hurried)
    assert stopped.value.exit_code > 128
    assert weights(trained(tmp_path / "parts", hurried) / "last") == weights(whole / "last")
    assert small(stop_after="1.5h").seconds_allowed == 5400
    with pytest.raises(ParamsError, match=r"train.stop_after is 'soon'"):
        travelgan.Train.read({"stop_after": "soon"}, "recipes.travelgan.train")


def test_more_epochs_go_on_from_a_finished_run_to_the_same_bits(tmp_path: Path) -> None:
    four = trained(tmp_path / "four", small(epochs=4))
    two = trained(tmp_path / "two", small(epochs=2))
    more = trained(tmp_path / "more", small(epochs=4), start=two / "last")
    assert weights(more / "last") == weights(four / "last")


def test_other_pictures_fine_tune_a_finished_run(tmp_path: Path) -> None:
    first = trained(tmp_path / "first", small())
    settings = small(epochs=1, rate_critic=1e-5)
    recipe = travelgan.build(shapes(), settings)
    train.run(
        recipe=recipe, feeds={"from": Pictures(8), "to": Pictures(9)}, settings=settings, out=tmp_path / "out",
        scratch=tmp_path / "scratch", progress=Progress(told := io.StringIO()), record={}, start=first / "last",
    )  # fmt: skip
    assert "begins with the weights of" in told.getvalue()
    assert recipe.critic_optimizer.param_groups[0]["lr"] == 1e-5  # the params' rate, not the checkpoint's
    assert json.loads((tmp_path / "out/last/checkpoint.json").read_text())["step"] == 3
    with pytest.raises(CheckpointError, match="nowhere holds no checkpoint"):
        trained(tmp_path / "lost", small(), start=tmp_path / "nowhere")


def test_too_few_pictures_for_a_batch_is_said(tmp_path: Path) -> None:
    settings = small(batch=16)
    with pytest.raises(TrainingFailed, match=r"learn 'from' has 12 pictures to train on and a batch takes 16"):
        trained(tmp_path, settings)
    assert not (tmp_path / "out").exists()


def test_a_gpu_that_is_absent_is_said() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(ParamsError, match="PyTorch sees no GPU here"):
        Precision.of(small(device="cuda"))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"recipe": "cyclegan"}, "is a checkpoint of cyclegan, not of travelgan"),
        ({"side": 64}, "was trained at 64 px and the params say 32 px"),
        ({"version": 99}, "is a checkpoint of version 99"),
    ],
)
def test_a_foreign_checkpoint_is_refused(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    settings = small()
    out = trained(tmp_path, settings)
    about = json.loads((out / "last/checkpoint.json").read_text())
    (out / "last/checkpoint.json").write_text(json.dumps({**about, **change}))
    with pytest.raises(CheckpointError, match=sentence):
        train.load_painter(out / "last", travelgan.build(shapes(), settings))


def test_a_checkpoint_of_other_networks_is_refused(tmp_path: Path) -> None:
    settings = small()
    out = trained(tmp_path, settings)
    with pytest.raises(CheckpointError, match=r"of shape \(4,\) where the params make \(8,\)"):
        train.load_painter(out / "last", travelgan.build(shapes(filters=8), settings))


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    settings = small()
    out = trained(tmp_path, settings)
    data = bytearray((out / "last/weights.safetensors").read_bytes())
    data[-1] ^= 1
    (out / "last/weights.safetensors").write_bytes(data)
    with pytest.raises(CheckpointError, match="is damaged"):
        train.load_painter(out / "last", travelgan.build(shapes(), settings))
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        train.load_painter(out / "nowhere", travelgan.build(shapes(), settings))


def test_the_painter_of_a_checkpoint_paints_as_the_average_did(tmp_path: Path) -> None:
    settings = small()
    recipe = travelgan.build(shapes(), settings)
    out = trained(tmp_path, settings, recipe=recipe)
    photos = Pictures(5).pictures
    before = recipe.paint({"from": photos})
    recipe.painter()
    painter = train.load_painter(out / "last", travelgan.build(shapes(), settings.model_copy(update={"seed": 9})))
    painted = painter(photos)
    assert painted.shape == photos.shape
    # folding makes the spectral norm exact, which in so short a run it was not quite
    assert torch.allclose(painted, recipe.paint({"from": photos}), atol=0.02)
    assert not any(isinstance(module, SpectralNormed) for module in painter.modules())
    assert torch.equal(recipe.paint({"from": photos}), before)  # the recipe itself is as it was


def test_chance_is_a_function_of_seed_and_step() -> None:
    def drawn(seed: int, step: int) -> tuple[float, float]:
        seed_chance(seed, step)
        return float(torch.rand(())), float(np.random.rand())

    assert drawn(1, 2) == drawn(1, 2)
    assert len({drawn(1, 2), drawn(1, 3), drawn(2, 2), drawn(2, 1)}) == 4


def test_the_average_moves_by_its_decay_and_takes_buffers_whole() -> None:
    network = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    average = averaged_copy(network)
    with torch.no_grad():
        network[0].weight.fill_(1.0)
        average[0].weight.fill_(0.0)
        network[1].running_mean.fill_(5.0)
    update_average(average, network, 0.75)
    assert float(average[0].weight) == 0.25
    assert float(average[1].running_mean) == 5.0
    assert decay_at(0, 32, 1000) < 1e-6  # the first weights are forgotten at once
    assert decay_at(10**6, 32, 1000) == 0.5 ** (32 / 1000)
    assert decay_at(10**6, 32, 0) == 0.0


@pytest.mark.parametrize(
    "make",
    [lambda: nn.Conv2d(3, 5, 4, 2, 1), lambda: nn.ConvTranspose2d(6, 4, 4, 2, 1), lambda: nn.Linear(7, 3)],
    ids=["convolution", "transposed", "linear"],
)
def test_spectral_norm_brings_the_largest_singular_value_to_one(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)  # how fast power iteration settles depends on the weights drawn
    layer = make()
    network = normalise_spectrum(nn.Sequential(layer))
    folded = fold_spectrum(copy.deepcopy(network))
    assert type(folded[0]) is type(layer)
    weight = folded[0].weight.detach()
    matrix = (weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight).flatten(1)
    assert float(torch.linalg.matrix_norm(matrix, 2)) == pytest.approx(1, abs=1e-3)


def test_a_network_runs_in_bfloat16_and_answers_in_float32() -> None:
    seen: list[torch.dtype] = []
    network = nn.Sequential(nn.Conv2d(3, 4, 3))
    network.register_forward_hook(lambda _net, _inputs, output: seen.append(output.dtype))
    precision = Precision.of(small(precision="bfloat16", device="cpu"))
    assert precision.run(network, torch.zeros(1, 3, 8, 8)).dtype == torch.float32
    assert seen == [torch.bfloat16]


def test_a_grid_lays_rows_of_pictures_on_white() -> None:
    black, white = -torch.ones(2, 3, 4, 4), torch.ones(2, 3, 4, 4)
    grid = as_grid([black, white])
    assert grid.shape == (14, 14, 3)
    assert grid[2:6, 2:6].max() == 0
    assert grid[8:12].min() == 255


def test_paintings_that_repeat_each_other_or_the_pictures_are_told() -> None:
    def noise(seed: int) -> Tensor:
        return torch.rand(32, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1

    learned, photos = noise(1), noise(2)
    assert repeats(noise(3), learned, photos).warning() == ""
    collapsed = noise(4)[:2].repeat(16, 1, 1, 1)
    assert "100% of the paintings have a twin" in repeats(collapsed, learned, photos).warning()
    assert "100% of the paintings have a twin" in repeats(collapsed, learned, None).warning()
    assert repeats(collapsed, learned, noise(5)[:2].repeat(16, 1, 1, 1)).warning() == ""  # painted from twins
    assert "100% of the paintings repeat a picture" in repeats(learned, learned, None).warning()


def test_the_judgement_sees_a_change_of_colour_and_one_of_texture() -> None:
    pictures, others = Pictures(1, 64).pictures, Pictures(3, 64).pictures
    same = judge(pictures, others)
    assert judge(pictures, pictures).distance == 0
    recoloured = judge(pictures, (others + 0.5).clamp(-1, 1))
    assert recoloured.palette > 2 * same.palette
    roughened = judge(pictures, (others + 0.3 * torch.randn_like(others)).clamp(-1, 1))
    assert roughened.swd > 2 * same.swd
    assert min(recoloured.distance, roughened.distance) > same.distance
