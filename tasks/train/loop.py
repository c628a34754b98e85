"""The one training loop: under every recipe, resumed to the bit, watched while it runs.

A run lives in its scratch folder until it is done; then the folder takes its place among the models, whole.
"""

import math
import platform
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from tasks.errors import CheckpointError, Stopped, TrainingFailed
from tasks.files import no_half_folder, write_json
from tasks.progress import Progress
from tasks.train import checkpoint
from tasks.train.average import decay_at, update_average
from tasks.train.board import Board
from tasks.train.card import write_card
from tasks.train.checkpoint import Point
from tasks.train.judge import PICTURES, judge
from tasks.train.precision import Precision, seed_chance
from tasks.train.recipe import Feed, Losses, Pictures, Recipe
from tasks.train.settings import Train
from tasks.train.watch import repeats


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
) -> None:
    """Train `recipe` on `feeds` ("from", "to") and write it to `out`; goes on from what `scratch` holds of this run.

    A new run begins with the checkpoint in `start`: on the same pictures in the same batches it goes on from there
    exactly, on others it begins at step 0 with those weights.

    `record` is what run.json tells beside the versions: params, fingerprints of the data. Writes last/, best/,
    run.json, CARD.md, losses.csv, scores.csv, samples/ and board/. Raises TrainingFailed for too few pictures or a
    loss that is no number, CheckpointError for a checkpoint that does not fit, NoRoom, and Stopped, with all saved.
    """
    precision = Precision.of(settings)
    feeds = {key: feeds[key] for key in recipe.reads}
    _require_pictures(feeds, settings)
    training = _Training(recipe, feeds, settings, scratch, precision, progress)
    training.begin(record, start)
    training.go_on()
    write_card(scratch, recipe.name)
    with no_half_folder(out) as whole:
        shutil.copytree(scratch, whole, dirs_exist_ok=True)
    shutil.rmtree(scratch)


EXPLODED = 1e8  # no loss of a sound GAN comes near it; no number is not below it either


class _Training:
    """One run: what it works with, and how far it is."""

    def __init__(
        self, recipe: Recipe, feeds: Mapping[str, Feed], settings: Train, folder: Path, precision: Precision,
        progress: Progress,
    ) -> None:  # fmt: skip
        self.recipe, self.feeds, self.settings = recipe, feeds, settings
        self.folder, self.precision, self.progress = folder, precision, progress
        self.steps_per_epoch = max(feed.steps_per_epoch for feed in feeds.values())
        self.num_steps = settings.epochs * self.steps_per_epoch
        self.done = 0  # steps
        self.best = math.inf  # distance of the best preview so far
        self.sums: dict[str, Tensor] = {}  # losses since the last row
        self.summed = 0  # steps in `sums`
        self.went_back = False  # to the last checkpoint, after a loss exploded; once is enough

    def begin(self, record: Mapping[str, Any], start: Path | None) -> None:
        """Load the checkpoint of an interrupted run, or record a new one and what it begins with."""
        self.precision.place(self.recipe)
        resumed = (self.folder / "last").exists()
        if resumed:
            self._load(self.folder / "last")
        elif start is not None:
            self._start_from(start)
        self.board = Board(self.folder, resume_at=self.done if resumed else 0)
        self.fixed = self._fixed_pictures()
        if not resumed:
            write_json(self.folder / "run.json", {**described(self.settings), **record})
            count = self.settings.preview_pictures
            self.board.grid("reals", {key: pictures[:count] for key, pictures in self.fixed.items()}, 0)
            self._show("untrained")
            self._save("last")  # a disk too small shows now, and a first step that explodes has whereto go back

    def go_on(self) -> None:
        """Take the steps that are left; a request to stop saves first, a loss that explodes goes back once."""
        self.began = self.saved_at = self.told_at = time.monotonic()
        try:
            try:
                self._stretch()
            except TrainingFailed as failure:
                self._go_back(failure)
                self._stretch()
            self._save("last")
        except Stopped:
            self._save("last")
            raise
        finally:
            self.board.close()

    def _stretch(self) -> None:
        left = range(self.done, self.num_steps)
        for step in self.progress.track(left, f"train {self.recipe.name}", self.num_steps, "steps", self.done):
            self._step(step)
            self._once_in_a_while()
            if time.monotonic() - self.began >= self.settings.seconds_allowed:
                self.progress.say(f"stop_after {self.settings.stop_after} is over; run it again to go on")
                raise Stopped(signal.SIGALRM)

    def _go_back(self, failure: TrainingFailed) -> None:
        """Return to the last checkpoint with all rates halved, and say so; the second time, fail."""
        if self.went_back:
            raise failure
        self._load(self.folder / "last")
        self.went_back = True
        for optimizer in self.recipe.optimizers.values():
            for group in optimizer.param_groups:
                _set_rate(group, group.get("initial_lr", group["lr"]) / 2)
        self.board.close()
        self.board = Board(self.folder, resume_at=self.done)
        self.progress.say(f"{failure}; gone back to step {self.done:,} with all rates halved, this once")

    def _load(self, folder: Path) -> None:
        point = checkpoint.load(folder, self.recipe, self.precision.device)
        self.precision.place(self.recipe)
        self.done = point.step
        self.best, self.sums, self.summed = point.loop["best"], point.loop["sums"], point.loop["summed"]
        self.went_back = point.loop["went_back"]
        if self.done > self.num_steps:
            raise CheckpointError(
                f"{folder} has {self.done:,} steps and the params ask for {self.num_steps:,}; raise train.epochs"
            )
        if self.done:
            self.progress.say(f"{self.recipe.name} goes on from step {self.done:,} of {self.num_steps:,} in {folder}")

    def _start_from(self, folder: Path) -> None:
        """Begin with another run's checkpoint, at the rates that the params name now."""
        rates = {name: _rates(optimizer) for name, optimizer in self.recipe.optimizers.items()}
        if checkpoint.feeds_of(folder, self.recipe) == self._fingerprints():
            self._load(folder)
            best = folder.with_name("best")
            if best.exists():
                shutil.copytree(best, self.folder / "best", dirs_exist_ok=True)
            else:
                self.best = math.inf
        else:
            checkpoint.load(folder, self.recipe, self.precision.device)
            self.precision.place(self.recipe)
            self.progress.say(
                f"{self.recipe.name} begins with the weights of {folder}, on other pictures or in other batches, "
                "at step 0"
            )
        for name, optimizer in self.recipe.optimizers.items():
            for group, rate in zip(optimizer.param_groups, rates.get(name, []), strict=False):
                _set_rate(group, rate / 2 if self.went_back else rate)

    def _fingerprints(self) -> dict[str, str]:
        return {key: feed.fingerprint for key, feed in self.feeds.items()}

    def _step(self, step: int) -> None:
        if self.recipe.advance(step, self.num_steps):
            self.precision.place(self.recipe)
        pictures = {key: feed.batch(step).images for key, feed in self.feeds.items()}
        seed_chance(self.settings.seed, step)
        self._sum(self.recipe.step(step, pictures, self.precision.run))
        decay = decay_at(step, self.settings.batch, self.settings.average_half_life)
        for name, average in self.recipe.averages.items():
            update_average(average, self.recipe.networks[name], decay)
        self.done = step + 1

    def _once_in_a_while(self) -> None:
        at_end = self.done == self.num_steps
        if self.done % self.settings.log_every == 0 or at_end:
            self._log()
        if self.done % (self.steps_per_epoch * self.settings.preview_every) == 0 or at_end:
            self._preview()
        if time.monotonic() - self.saved_at >= 60 * self.settings.save_every:
            self._save("last")

    def _sum(self, losses: Losses) -> None:
        """Add to the sums on the device: nothing waits for a number until a row is written."""
        for name, loss in losses.items():
            self.sums[name] = self.sums[name] + loss if name in self.sums else loss
        self.summed += 1

    def _means(self) -> dict[str, float]:
        """The mean losses since the last row; raises TrainingFailed if one of them is no number."""
        means = {name: float(total) / self.summed for name, total in self.sums.items()}
        for name, mean in means.items():
            if not abs(mean) < EXPLODED:
                raise TrainingFailed(
                    f"{self.recipe.name}: the loss {name!r} became {mean} before step {self.done:,}; "
                    f"lower the rates in recipes.{self.recipe.name}.train, or take float32"
                )
        return means

    def _log(self) -> None:
        now, means = time.monotonic(), self._means()
        speed = self.settings.batch * self.summed / max(now - self.told_at, 1e-9)
        self.board.losses(self.done, self._epoch(), means, speed)
        self.sums, self.summed, self.told_at = {}, 0, now

    def _preview(self) -> None:
        """Paint the fixed pictures, and keep this moment as the best so far if it is."""
        self._show(f"step-{self.done:06}")
        painted = self.recipe.paint(self.fixed)
        found = judge(painted, self.fixed["to"])
        self.best, is_best = min(found.distance, self.best), found.distance < self.best
        if told := getattr(self.recipe, "told", None):
            told(found.distance)  # a recipe that grows when it comes no nearer
        seen = repeats(painted, self.fixed["to"], self.fixed.get("from"))
        if seen.warning():
            self.progress.say(f"{self.recipe.name}, step {self.done:,}: {seen.warning()}")
        near = {"palette": found.palette, "swd": found.swd, "distance": found.distance, "best": self.best}
        repeated = {"duplicates": seen.duplicates, "copies": seen.copies}
        self.board.scores(self.done, self._epoch(), {**near, **repeated})
        self.board.write()
        if is_best:
            self._save("best", found.distance)

    def _show(self, name: str) -> None:
        few = {key: pictures[: self.settings.preview_pictures] for key, pictures in self.fixed.items()}
        self.board.grid(name, self.recipe.preview(few), self.done)

    def _save(self, which: str, score: float | None = None) -> None:
        """Write a checkpoint; weights spoiled by a loss that is no number are never saved over sound ones."""
        self._means()
        loop = {"best": self.best, "sums": self.sums, "summed": self.summed, "went_back": self.went_back}
        checkpoint.save(self.folder / which, self.recipe, Point(self.done, score, loop), self._fingerprints())
        if which == "last":
            self.saved_at = time.monotonic()
            self.board.write()

    def _fixed_pictures(self) -> Pictures:
        """The pictures every preview shows: those of the first batches, as many as a preview compares."""
        num_batches = -(-max(PICTURES, self.settings.preview_pictures) // self.settings.batch)
        return {
            key: torch.cat([feed.batch(step).images for step in range(min(num_batches, feed.steps_per_epoch))])
            for key, feed in self.feeds.items()
        }

    def _epoch(self) -> float:
        return round(self.done / self.steps_per_epoch, 3)


def described(settings: Train) -> dict[str, Any]:
    """How a run can be repeated, as far as this place knows it: seed, git revision, versions, machine."""
    return {
        "seed": settings.seed,
        "git_revision": _git_revision(),
        "versions": {"python": platform.python_version(), "torch": str(torch.__version__), "numpy": np.__version__},
        "machine": {"system": platform.platform(), "threads": torch.get_num_threads()},
    }


def _git_revision() -> str:
    """The commit, with "+" behind it where files differ from it; "unknown" outside git."""
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run(["git", "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+" if changed.stdout.strip() else "")


def _rates(optimizer: Optimizer) -> list[float]:
    return [group["lr"] for group in optimizer.param_groups]


def _set_rate(group: dict[str, Any], rate: float) -> None:
    """The rate of a group of weights, and what a recipe's schedule takes its share of."""
    group |= {"lr": rate} | ({"initial_lr": rate} if "initial_lr" in group else {})


def _require_pictures(feeds: Mapping[str, Feed], settings: Train) -> None:
    for key, feed in feeds.items():
        if feed.num_items < settings.batch:
            raise TrainingFailed(
                f"the picture set to learn {key!r} has {feed.num_items} pictures to train on and a batch takes "
                f"{settings.batch}; scrape more, or lower train.batch"
            )
