"""Every recipe, one row each: all its networks learn, and a stopped run goes on to identical numbers."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from pipelines import anime, cyclegan, portraits, progressive, travelgan
from tasks import train
from tasks.errors import CheckpointError, ParamsError, Stopped
from tasks.files import sha256_file
from tasks.progress import Progress
from tasks.train import checkpoint
from tasks.train.recipe import Recipe

SIDE = 32


@dataclass(frozen=True)
class Row:
    """A recipe at a size that trains in a second."""

    module: ModuleType
    networks: dict[str, Any]
    train: dict[str, Any]

    @property
    def side(self) -> int:
        return self.networks["side"]


ROWS = [
    Row(progressive, {"side": SIDE, "first": 16, "filters": 4, "widest": 16}, {"fade": 8, "augment": ("mirror",)}),
    Row(
        travelgan,
        {"side": SIDE, "filters": 4, "levels": 2, "latent": 8},
        {"loss": "bce", "augment": ("cutout",), "strength": None},
    ),
    Row(
        travelgan,
        {"side": SIDE, "filters": 4, "levels": 2, "latent": 8, "directions": "both"},
        {"frozen": 0.4, "calm": 1.0, "colours": 1.0, "r1": 1.0},
    ),
    Row(cyclegan, {"side": SIDE, "filters": 4, "blocks": 1}, {"pool": 6}),
    Row(
        cyclegan,
        {
            "side": SIDE,
            "filters": 4,
            "blocks": 1,
            "enlarge": "resized",
            "ground": "photo",
            "norm": "none",
            "critic_norm": "spectral",
        },
        {"calm": 1.0},
    ),
    Row(
        anime,
        {"side": 24, "filters": 4, "residual": 1},
        {"generator_every": 2, "augment": ("contrast",), "strength": None},
    ),
    Row(portraits, {"side": SIDE, "filters": 4, "features": 16}, {"strength": None, "adversarial": 0.1}),
    Row(portraits, {"side": SIDE, "filters": 4, "features": 16, "critic_norm": "spectral"}, {"strength": 0.0}),
]


SHAPED = [*ROWS, Row(progressive, {"side": SIDE, "form": "karras", "filters": 4, "widest": 16}, {})]


@dataclass(frozen=True)
class Shown:
    images: Tensor


class Pictures:
    num_items, steps_per_epoch = 12, 3

    def __init__(self, seed: int, side: int) -> None:
        self.fingerprint = f"pictures-{seed}"
        coarse = torch.rand(12, 3, 4, 4, generator=torch.Generator().manual_seed(seed)) * 2 - 1
        self.pictures = nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")

    def batch(self, step: int) -> Shown:
        return Shown(self.pictures[torch.randperm(12, generator=torch.Generator().manual_seed(step))[:4]])


class StopAfter(Progress):
    def __init__(self, num_steps: int) -> None:
        super().__init__()
        self.left = num_steps

    def check(self) -> None:
        self.stop_requested = 15 if self.left == 0 else None
        self.left -= 1
        super().check()


def made(row: Row) -> Recipe:
    settings = row.module.Train(epochs=2, batch=4, log_every=2, preview_pictures=4, **row.train)
    return row.module.build(row.module.Networks(**row.networks), settings)


def trained(row: Row, folder: Path, progress: Progress) -> Path:
    recipe: Any = made(row)
    feeds = {"from": Pictures(1, row.side), "to": Pictures(2, row.side)}
    train.run(
        recipe=recipe, feeds=feeds, settings=recipe.train, out=folder / "out", scratch=folder / "scratch",
        progress=progress, record={},
    )  # fmt: skip
    return folder / "out"


@pytest.fixture(params=ROWS, ids=lambda row: row.module.__name__.rpartition(".")[2])
def row(request: pytest.FixtureRequest) -> Row:
    return request.param


def test_it_is_whole(row: Row) -> None:
    recipe = made(row)
    assert all(hasattr(recipe, member) for member in Recipe.__annotations__)
    assert recipe.name == row.module.__name__.rpartition(".")[2]  # by which a checkpoint is told from another recipe's
    assert (row.module.KIND == "noise") == (recipe.reads == ("to",))
    assert recipe.side == row.side
    assert recipe.averages.keys() <= recipe.networks.keys()


def test_a_step_changes_every_network(row: Row) -> None:
    recipe = made(row)
    before = {name: [weight.detach().clone() for weight in net.parameters()] for name, net in recipe.networks.items()}
    pictures = {key: Pictures(seed, row.side).batch(0).images for key, seed in (("from", 1), ("to", 2))}
    for step in range(6):
        losses = recipe.step(step, pictures, lambda network, *inputs, **_: network(*inputs))
        assert all(loss.ndim == 0 and not loss.requires_grad for loss in losses.values())
    for name, network in recipe.networks.items():
        for old, new in zip(before[name], network.parameters(), strict=True):
            # a bias that only shifts all logits or latent vectors alike changes no loss
            assert old.numel() < 16 or not torch.equal(old, new), name
            assert new.requires_grad


def test_a_step_that_runs_out_of_memory_anywhere_leaves_all_networks_learning(row: Row) -> None:
    """The loop goes back and takes it again in smaller parts; a critic that was held would then stay as it is."""
    recipe = made(row)
    pictures = {key: Pictures(seed, row.side).batch(0).images for key, seed in (("from", 1), ("to", 2))}
    computed, room = 0, -1

    def run(network: nn.Module, *inputs: Any, **_: Any) -> Any:
        nonlocal computed
        computed += 1
        if computed > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return network(*inputs)

    while computed > room:
        computed, room = 0, room + 1
        with contextlib.suppress(torch.OutOfMemoryError):
            recipe.step(0, pictures, run)
        assert all(weight.requires_grad for network in recipe.networks.values() for weight in network.parameters())
    assert room >= len(recipe.networks)


def test_a_stopped_run_goes_on_to_identical_numbers(row: Row, tmp_path: Path) -> None:
    whole = trained(row, tmp_path / "whole", Progress())
    with pytest.raises(Stopped):
        trained(row, tmp_path / "parts", StopAfter(3))
    parts = trained(row, tmp_path / "parts", Progress())
    for file in ("last/weights.safetensors", "best/weights.safetensors", "losses.csv", "scores.csv"):
        assert sha256_file(parts / file) == sha256_file(whole / file), file


def test_what_it_paints_stays_within_range(row: Row) -> None:
    recipe = made(row)
    pictures = {key: Pictures(seed, row.side).batch(0).images for key, seed in (("from", 1), ("to", 2))}
    painted = recipe.paint(pictures)
    assert painted.shape == (4, 3, row.side, row.side)
    assert float(painted.abs().max()) <= 1
    assert torch.equal(painted, recipe.paint(pictures))
    assert torch.equal(recipe.preview(pictures)["painted"], painted)


def test_a_checkpoint_of_another_recipe_is_refused(row: Row, tmp_path: Path) -> None:
    recipe, other = made(row), made(row)
    checkpoint.save(tmp_path / "last", recipe, checkpoint.Point(0, None, {}), {})
    other.name = "other"
    with pytest.raises(CheckpointError, match=f"is a checkpoint of {recipe.name}, not of other"):
        train.load_painter(tmp_path / "last", other)


def changed(row: Row) -> Iterator[tuple[str, Recipe]]:
    """The same recipe with one setting of its networks changed, as often as that makes sense."""
    networks = row.module.Networks(**row.networks)
    for key, field in row.module.Networks.model_fields.items():
        match value := getattr(networks, key):
            case str():
                others: tuple[Any, ...] = get_args(field.annotation)
            case bool():
                others = (not value,)
            case tuple():
                others = (value[::-1], value[:1])
            case _:
                others = (2 * value, value // 2)
        for other in others:
            with contextlib.suppress(ValueError):  # it does not fit the rest
                yield key, made(replace(row, networks={**row.networks, key: other}))


@pytest.mark.parametrize("row", SHAPED, ids=lambda row: row.module.__name__.rpartition(".")[2])
def test_a_checkpoint_of_other_networks_is_refused_or_paints_the_same(row: Row, tmp_path: Path) -> None:
    recipe: Any = made(row)
    checkpoint.save(tmp_path / "last", recipe, checkpoint.Point(0, None, {}), {})
    given = torch.randn(4, recipe.noise) if row.module.KIND == "noise" else Pictures(1, row.side).batch(0).images
    painted, refused = recipe.painter()(given), set[str]()
    for key, other in changed(row):
        try:
            painter = train.load_painter(tmp_path / "last", other)
        except CheckpointError:
            refused.add(key)
        else:
            assert key == "side" or torch.equal(painter(given), painted), key
    assert "noise" in refused or "ground" in refused
    assert not refused & {"four_patches", "first", "grow", "patience", "group"}  # settings of learning alone


@pytest.mark.parametrize("module", [anime, portraits, progressive, travelgan])
def test_a_strength_that_follows_the_critic_needs_changes_to_make(module: ModuleType) -> None:
    with pytest.raises(ParamsError, match="train: strength is null, and augment is empty; name changes there, or"):
        module.Train.read({"augment": [], "strength": None}, "train")


@pytest.mark.parametrize(
    ("module", "loss"), [(anime, "lsgan"), (progressive, "wgan"), (travelgan, "lsgan"), (travelgan, "wgan")]
)
def test_a_strength_that_follows_the_critic_needs_a_loss_whose_sign_says_something(
    module: ModuleType, loss: str
) -> None:
    block = {"augment": ["mirror"], "strength": None}
    for sound in ("bce", "hinge"):
        assert module.Train.read({**block, "loss": sound}, "train").strength is None
    with pytest.raises(ParamsError, match=f"train: strength is null, which follows .* under loss '{loss}' that does"):
        module.Train.read({**block, "loss": loss}, "train")
