"""A training that takes a second: small pictures from a seed, a small travelgan, and a stop on demand."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipelines import travelgan
from tasks import train
from tasks.files import sha256_file
from tasks.progress import Progress
from tasks.train.recipe import Recipe

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
    each = {"log_every": 2, "preview_every": 1, "preview_pictures": 4}
    return travelgan.Train(**{"epochs": 2, "batch": 4, "layout": "contiguous", **each, **changes})


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
