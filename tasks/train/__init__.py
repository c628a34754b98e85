"""Train: one loop under all recipes.

`run` trains; `load_painter` opens a checkpoint of a recipe for painting. Torch is imported when one of them is used.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from tasks.progress import Progress
    from tasks.train.ranks import Ranks
    from tasks.train.recipe import Feed, Recipe
    from tasks.train.settings import Train


def run(
    *,
    recipe: "Recipe",
    feeds: "Mapping[str, Feed]",
    settings: "Train",
    out: Path,
    scratch: Path,
    progress: "Progress",
    record: Mapping[str, Any],
    start: Path | None = None,
    anew: bool = False,
    ranks: "Ranks | None" = None,
) -> None:
    """Train `recipe`; see tasks.train.stage.run."""
    from tasks.train.stage import run as train

    train(
        recipe=recipe, feeds=feeds, settings=settings, out=out, scratch=scratch, progress=progress, record=record,
        start=start, anew=anew, ranks=ranks,
    )  # fmt: skip


def load_painter(folder: Path, recipe: "Recipe", back: bool = False) -> "nn.Module":
    """The painter of the checkpoint in `folder` (data/4-models/RECIPE/best); see tasks.train.checkpoint."""
    from tasks.train.checkpoint import load_painter as load

    return load(folder, recipe, back)
