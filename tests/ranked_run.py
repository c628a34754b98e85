"""A script for torchrun: trains tiny recipes in FOLDER, sharing every batch among the processes that were started."""

import faulthandler
import io
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_run import Pictures, Shown
from torch import Tensor

from pipelines import portraits, progressive, travelgan
from tasks import train
from tasks.progress import Progress
from tasks.train.ranks import Ranks
from tasks.train.settings import Population

# Batch norm, pairs of pictures, matched means, a gradient penalty, a pool of no effect: what could differ with a share.
RECIPES: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "travelgan": (travelgan, {"side": 32, "filters": 4, "levels": 2, "latent": 8}, {"augment": ("cutout",)}),
    "portraits": (portraits, {"side": 32, "filters": 4, "features": 16}, {}),
    "progressive": (
        progressive,
        {"side": 32, "first": 16, "form": "karras", "filters": 4, "widest": 16, "noise": 8, "group": 1},
        {"loss": "wgan", "penalty": 10.0, "fade": 8, "strength": 0.0},
    ),
}
SETTINGS = {
    "epochs": 2, "batch": 4, "log_every": 1, "preview_pictures": 4, "layout": "contiguous", "device": "cpu",
    "threads": 1,
}  # fmt: skip


class Part:
    """The share of one process of what a feed gives."""

    def __init__(self, feed: Pictures, ranks: Ranks) -> None:
        self.feed, self.ranks = feed, ranks
        self.num_items, self.steps_per_epoch, self.fingerprint = feed.num_items, feed.steps_per_epoch, feed.fingerprint

    def batch(self, step: int) -> Shown:
        images = self.feed.batch(step).images
        size = len(images) // self.ranks.world
        return Shown(images[self.ranks.number * size :][:size])


def train_all(folder: Path, ranks: Ranks) -> None:
    """Every recipe into a folder of its name; and a population of travelgans, a seed for each process.

    Their pace is measured as in a run that is worth it: before the first step, and where networks grow.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.train.loop.LONG", 1)
        for name, (module, networks, block) in RECIPES.items():
            _train(module, networks, block, folder / name, ranks, ranks)
        module, networks, _ = RECIPES["travelgan"]
        many = {"population": Population(seeds=2, keep=2, epoch=1)}
        _train(module, networks, many, folder / "population", ranks, Ranks())


def explode(folder: Path, ranks: Ranks) -> None:
    """A loss that is no number, long before the next row, while by one clock alone a checkpoint is due at each step."""
    module, networks, block = RECIPES["travelgan"]
    settings = module.Train(
        **{**SETTINGS, **block, "epochs": 10, "log_every": 1000, "save_every": 1e-9 if ranks.number else 1e9}
    )
    recipe = module.build(module.Networks(**networks), settings)
    step, exploded = recipe.step, []

    def exploding(number: int, *rest: Any) -> Mapping[str, Tensor]:
        losses = step(number, *rest)
        if number == 24 and not exploded:
            exploded.append(number)
            return {**losses, "critic": torch.tensor(float("nan"))}
        return losses

    recipe.step = exploding
    told = io.StringIO()
    _run(recipe, settings, folder, ranks, ranks, Progress(told))
    if ranks.writes:
        (folder / "told").write_text(told.getvalue())


def _train(
    module: Any, networks: dict[str, Any], block: dict[str, Any], folder: Path, ranks: Ranks, shared: Ranks
) -> None:
    settings = module.Train(**SETTINGS, **block)
    _run(module.build(module.Networks(**networks), settings), settings, folder, ranks, shared, Progress(io.StringIO()))


def _run(recipe: Any, settings: Any, folder: Path, ranks: Ranks, shared: Ranks, progress: Progress) -> None:
    train.run(
        recipe=recipe,
        feeds={"from": Part(Pictures(1), shared), "to": Part(Pictures(2), shared)},
        settings=settings,
        out=folder / "out",
        scratch=folder / "scratch",
        progress=progress,
        record={},
        ranks=ranks,
    )


if __name__ == "__main__":
    faulthandler.dump_traceback_later(240, exit=True)  # processes that wait for each other do so for ever
    torch.set_num_threads(1)
    ranks = Ranks.joined(torch.device("cpu"))
    train_all(Path(sys.argv[1]), ranks)
    explode(Path(sys.argv[1]) / "exploding", ranks)
    ranks.leave()
