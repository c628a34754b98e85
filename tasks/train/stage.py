"""A train stage from the feeds to the model: one run, or a population of which the best is kept."""

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.errors import TrainingFailed
from tasks.files import bring_back, no_half_folder, write_json
from tasks.progress import Progress
from tasks.train import population
from tasks.train.card import write_card
from tasks.train.loop import Training
from tasks.train.ranks import Ranks
from tasks.train.recipe import Feed, Recipe
from tasks.train.record import described
from tasks.train.settings import Train


def run(
    *,
    recipe: Recipe,
    feeds: Mapping[str, Feed],
    settings: Train,
    out: Path,
    scratch: Path,
    progress: Progress,
    record: Mapping[str, Any],
    start: Path | None = None,
    anew: bool = False,
    ranks: Ranks | None = None,
) -> None:
    """Train `recipe` on `feeds` ("from", "to") and write it to `out`; goes on from what `scratch` holds of this run.

    A new run begins with the checkpoint in `start`: on the same pictures in the same batches it goes on from there
    exactly, on others it begins at step 0 with those weights. So it does with `anew` where that run has all its steps
    already, which is a CheckpointError else.

    `ranks` are the processes that share the work, by default this one alone: they share every batch (`feeds` then give
    each its part), or where there are several seeds each trains its own. `record` is what run.json tells beside the
    versions: params, fingerprints of the data. What is written, tasks.train.board and tasks.train.population tell; and
    CARD.md. Raises TrainingFailed for too few pictures or a loss that is no number, CheckpointError for a checkpoint
    that does not fit, NoRoom, and Stopped, with all saved.
    """
    feeds = {key: feeds[key] for key in recipe.reads}
    _require_pictures(feeds, settings)
    ranks = ranks or Ranks()
    many = settings.population.seeds > 1
    deadline = time.monotonic() + settings.seconds_allowed
    if ranks.writes and not (scratch / "run.json").exists():
        write_json(scratch / "run.json", {**described(settings), **record})

    def begun(seed: int, folder: Path) -> Training:
        one, shared = recipe if seed == settings.seed else recipe.sibling(seed), Ranks() if many else ranks
        for which in ("best", "last") if shared.writes else ():
            bring_back(folder / which)
        training = Training(
            one, feeds, settings.model_copy(update={"seed": seed}), folder, progress, shared, deadline
        )  # fmt: skip
        training.begin(record, start, anew)
        return training

    if many:
        population.train(begun, scratch, settings, recipe.name, progress, ranks)
    else:
        begun(settings.seed, scratch).go_on()
    if ranks.writes:
        write_card(scratch, recipe.name)
        with no_half_folder(out) as whole:
            shutil.copytree(scratch, whole, dirs_exist_ok=True, ignore=shutil.ignore_patterns("older"))
        shutil.rmtree(scratch)
    ranks.wait()


def _require_pictures(feeds: Mapping[str, Feed], settings: Train) -> None:
    for key, feed in feeds.items():
        if feed.num_items < max(settings.batch, 2):
            raise TrainingFailed(
                f"the picture set to learn {key!r} has {feed.num_items} pictures to train on and a batch takes "
                f"{settings.batch}, a preview two at least; scrape more, or lower train.batch"
            )
