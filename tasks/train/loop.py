"""The one training loop: under every recipe, resumed to the bit, watched while it runs.

A run lives in its scratch folder until it is done; then the folder takes its place among the models, whole.
"""

import math
import shutil
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tasks.errors import CheckpointError, DeviceLost, Stopped, TrainingFailed
from tasks.files import read_json, write_json
from tasks.progress import Progress
from tasks.train import checkpoint, rates
from tasks.train.average import decay_at, measure_statistics, update_average
from tasks.train.board import Board, NoBoard
from tasks.train.checkpoint import Point
from tasks.train.engine import Engine
from tasks.train.judge import PHOTOS, num_compared
from tasks.train.limit import Pace
from tasks.train.precision import seed_chance
from tasks.train.preview import Preview
from tasks.train.probe import choose
from tasks.train.ranks import Ranks, Together
from tasks.train.recipe import Feed, Losses, Pictures, Recipe
from tasks.train.record import described
from tasks.train.settings import Train

LONG = 300  # steps, beside which a probe of the device is little
APART = 200  # steps from one look to the next, at least, where the settings name no epochs: so it takes little of them
ASKED = 10  # steps after which several processes ask each other whether to save: their clocks differ, and asking waits
EXPLODED = 1e8  # no loss of a sound GAN comes near it; no number is not below it either


class Exploded(TrainingFailed):
    """A loss that is no number, or beyond all measure."""


class Training:
    """One run: what it works with, and how far it is."""

    def __init__(
        self, recipe: Recipe, feeds: Mapping[str, Feed], settings: Train, folder: Path, progress: Progress,
        ranks: Ranks, deadline: float = math.inf,
    ) -> None:  # fmt: skip
        self.recipe, self.feeds, self.settings, self.folder = recipe, feeds, settings, folder
        self.ranks, self.deadline = ranks, deadline  # of time.monotonic, when to save and stop
        self.progress = progress if ranks.world == 1 else Together(progress, ranks)
        self.engine = Engine.of(settings, ranks)
        self.steps_per_epoch = max(feed.steps_per_epoch for feed in feeds.values())
        self.num_steps = settings.epochs * self.steps_per_epoch
        self.look_every = (settings.preview_every or -(-APART // self.steps_per_epoch)) * self.steps_per_epoch
        self.choosing = min(settings.population.epoch * self.steps_per_epoch, self.num_steps)  # the step of the choice
        self.done = 0  # steps
        self.sums: dict[str, Tensor] = {}  # losses since the last row
        self.summed = 0  # steps in `sums`
        self.pace: Pace | None = None
        self.went_back = False  # to the last checkpoint, after a loss exploded; once is enough

    def begin(self, record: Mapping[str, Any], start: Path | None, anew: bool = False) -> None:
        """Load the checkpoint of an interrupted run, or record a new one and what it begins with."""
        resumed = bool(self.ranks.agreed((self.folder / "last").exists()))
        self.engine.place(self.recipe)
        self.preview = Preview(self.recipe, self._fixed_pictures(), self.settings)
        if resumed:
            self._load(self.folder / "last")
        elif start is not None:
            self._start_from(start, anew)
        if told := self.engine.precision.warning():
            self.progress.say(f"{self.recipe.name}: {told}")
        if not self.engine.settled:
            choose(self.engine, self.recipe, self._pictures(0), self.settings, self.num_steps, self.progress)
            self.engine.place(self.recipe)
        self.board = self._open_board(self.done if resumed else 0)
        if not resumed:
            if self.ranks.writes:
                run = {**described(self.settings), **record, "engine": self.engine.state()}
                write_json(self.folder / "run.json", run)
            self.preview.begin(self.board)
            self._save("last")  # a disk too small shows now, and a first step that explodes has whereto go back

    def go_on(self, until: int | None = None) -> None:
        """Take the steps that are left, or those before step `until`; then all is saved.

        A request to stop saves first, a loss that explodes goes back once, memory that runs out halves the parts.
        """
        end = self.num_steps if until is None else until
        self._measure_pace(end)
        self.saved_at = self.told_at = time.monotonic()
        try:
            while not self._reached(end):
                pass
            if self.ranks.agreed(not (self.folder / "best").exists()):
                self._look()
            self._save("last")
            self.ranks.wait()
        except Stopped:
            with suppress(Exploded):  # the checkpoint before stays: who goes on from it meets that loss again
                self._save("last")
            raise
        finally:
            self.board.close()

    def _measure_pace(self, end: int) -> None:
        """Learn what the device could give, where that takes little beside the steps that are left."""
        if end - self.done < LONG:
            return
        try:
            self.pace = Pace(self.recipe, self._pictures(self.done), self.engine, self.settings)
            self.progress.say(f"{self.recipe.name}: {self.pace.told()}")
        except torch.OutOfMemoryError:  # no room for an untrained copy beside it
            self.pace = None

    def _reached(self, end: int) -> bool:
        """Take steps up to `end`; False where it took a mishap back and they have to be taken again."""
        exploded: str | None = None
        try:
            self._take_steps(end)
            return True
        except Exploded as failure:
            exploded = str(failure)
        except torch.OutOfMemoryError:
            pass
        except torch.AcceleratorError as failure:
            said = str(failure.args[0]).splitlines()[0]
            raise DeviceLost(
                f"{self.recipe.name}, step {self.done:,}: the GPU no longer answers ({said}); "
                f"run it again to go on from the checkpoint in {self.folder / 'last'}, or set train.device to cpu"
            ) from failure
        # only now, since a failure keeps alive what its step had in memory, which a checkpoint needs
        if exploded is None:
            self._take_less()
        else:
            self._go_back(exploded)
        return False

    def _take_steps(self, end: int) -> None:
        what = f"train {self.recipe.name}" + (f", seed {self.settings.seed}" if self._is_one_of_many() else "")
        for step in self.progress.track(range(self.done, end), what, self.num_steps, "steps", self.done):
            self._step(step)
            self._once_in_a_while()
            if time.monotonic() >= self.deadline and self.done < end:
                self.progress.say(f"stop_after {self.settings.stop_after} is over; run it again to go on")
                self.progress.stop_requested = signal.SIGALRM
        self._means()  # of the steps since the last row, which nobody looked at

    def _step(self, step: int) -> None:
        if self.recipe.advance(step, self.num_steps):
            self.engine.place(self.recipe)
            if self.went_back:  # its new optimizers have the rates that exploded
                rates.halve(self.recipe.optimizers.values())
            self._measure_pace(self.num_steps)
            self.preview.best = math.inf  # networks that grew are judged anew: the best must be of the full size
        rates.take_share(self.recipe.optimizers.values(), rates.share_at(step, self.num_steps, self.settings.steady))
        pictures = self._pictures(step)
        seed_chance(self.settings.seed, step)
        self._sum(self.recipe.step(step, pictures, self.engine.run))
        decay = decay_at(step, self.settings.batch, self.settings.average_half_life)
        for name, average in self.recipe.averages.items():
            update_average(average, self.recipe.networks[name], decay)
        self.done = step + 1

    def _once_in_a_while(self) -> None:
        at_end = self.done == self.num_steps
        if self.done % self.settings.log_every == 0 or at_end:
            self._log()
        choosing = self._is_one_of_many() and self.done == self.choosing
        if self.done % self.look_every == 0 or at_end or choosing:
            self._look()
        if self.ranks.world == 1 or self.done % ASKED == 0:
            due = time.monotonic() - self.saved_at >= 60 * self.settings.save_every
            if self.ranks.agreed(due):
                self._save("last")

    def _go_back(self, exploded: str) -> None:
        """Return to the last checkpoint with all rates halved, and say so; the second time, fail."""
        if self.went_back:
            raise Exploded(exploded)
        self._return()
        self.went_back = True
        rates.halve(self.recipe.optimizers.values())
        self.progress.say(f"{exploded}; gone back to step {self.done:,} with all rates halved, this once")

    def _take_less(self) -> None:
        """Return to the last checkpoint and compute in parts of half the size; fail where a part cannot be halved."""
        size = min(self.engine.choice.micro_batch or self.settings.batch, self.settings.batch // self.ranks.world)
        half = -(-size // 2)
        # where there are several processes, the others may have room, and wait
        if size == 1 or self.ranks.world > 1 or not self.recipe.bears_parts_of(half):
            raise TrainingFailed(
                f"{self.recipe.name}: memory ran out with parts of {size}; lower train.micro_batch, or "
                "networks.filters or side, or take a larger device"
            )
        self._return()
        self.engine.take_parts_of(half)
        self._save("last")
        path = self.folder / "run.json"
        write_json(path, {**read_json(path), "engine": self.engine.state()})
        self.progress.say(
            f"{self.recipe.name}: memory ran out; from step {self.done:,} on networks compute {half} pictures at a "
            f"time, and losses see {self.settings.batch} as before"
        )

    def _return(self) -> None:
        self.ranks.wait()
        self._load(self.folder / "last")
        self.board.close()
        self.board = self._open_board(self.done)

    def _open_board(self, resume_at: int) -> Board:
        return Board(self.folder, resume_at) if self.ranks.writes else NoBoard()

    def _load(self, folder: Path) -> None:
        point = checkpoint.load(folder, self.recipe, self.engine.device)
        self.engine.take(point.loop["engine"])
        self.engine.place(self.recipe)
        self.done = point.step
        self.preview.take(point.loop["preview"])
        self.sums, self.summed = point.loop["sums"], point.loop["summed"]
        self.went_back = point.loop["went_back"]
        if self.done > self.num_steps:
            raise CheckpointError(
                f"{folder} has {self.done:,} steps and the params ask for {self.num_steps:,}; raise train.epochs"
            )
        if self.done:
            self.progress.say(f"{self.recipe.name} goes on from step {self.done:,} of {self.num_steps:,} in {folder}")

    def _start_from(self, folder: Path, anew: bool) -> None:
        """Begin with another run's checkpoint, but with the rates, betas and ways to compute that the params name."""
        named = {name: rates.named(optimizer) for name, optimizer in self.recipe.optimizers.items()}
        step, feeds = checkpoint.origin_of(folder, self.recipe)
        alike, over = feeds == self._fingerprints(), step >= self.num_steps
        if alike and over and not anew:
            raise CheckpointError(
                f"{folder} has all the {self.num_steps:,} steps that the params ask for; raise train.epochs"
            )
        if alike and not over:
            self._load(folder)
            self.engine.hold_to(self.settings)
            best = folder.with_name("best")
            if not best.exists():
                self.preview.best = math.inf
            elif self.ranks.writes:
                shutil.copytree(best, self.folder / "best", dirs_exist_ok=True)
        else:
            checkpoint.load(folder, self.recipe, self.engine.device)
            why = "which has all its steps" if alike else "on other pictures or in other batches"
            self.progress.say(f"{self.recipe.name} begins with the weights of {folder}, {why}, at step 0")
        self.engine.place(self.recipe)
        for name, optimizer in self.recipe.optimizers.items():
            for group, settings in zip(optimizer.param_groups, named.get(name, []), strict=False):
                group.update(settings)
        if self.went_back:
            rates.halve(self.recipe.optimizers.values())

    def _save(self, which: str, score: float | None = None) -> None:
        """Write a checkpoint; weights spoiled by a loss that is no number are never saved over sound ones."""
        self._means()
        if which == "last":
            self.saved_at = time.monotonic()
        if not self.ranks.writes:
            return
        loop = {
            "preview": self.preview.state(), "engine": self.engine.state(), "sums": self.sums, "summed": self.summed,
            "went_back": self.went_back,
        }  # fmt: skip
        if which == "last":
            checkpoint.keep_older(self.folder / "last", self.folder / "older", self.settings.keep_last - 1, self.done)
        checkpoint.save(self.folder / which, self.recipe, Point(self.done, score, loop), self._fingerprints())
        if which == "last":
            self.board.write()

    def _sum(self, losses: Losses) -> None:
        """Add to the sums on the device: nothing waits for a number until a row is written."""
        for name, loss in losses.items():
            self.sums[name] = self.sums[name] + loss if name in self.sums else loss
        self.summed += 1

    def _means(self) -> dict[str, float]:
        """The mean losses since the last row; raises Exploded if one of them is no number."""
        means = {name: float(total) / self.summed for name, total in self.sums.items()}
        for name, mean in means.items():
            if not abs(mean) < EXPLODED:
                raise Exploded(
                    f"{self.recipe.name}: the loss {name!r} became {mean} before step {self.done:,}; "
                    f"lower the rates in recipes.{self.recipe.name}.train, or take float32"
                )
        return means

    def _log(self) -> None:
        now, means = time.monotonic(), self._means()
        steps = self.summed / max(now - self.told_at, 1e-9)
        share = {} if self.pace is None else {"share_of_limit": self.pace.share(steps)}
        speeds = {"pictures_per_second": self.settings.batch * steps, **share}
        self.board.losses(self.done, self._epoch(), means, speeds)
        self.sums, self.summed, self.told_at = {}, 0, now

    def _look(self) -> None:
        """Paint the fixed pictures, keep this moment as the best so far if it is, and say what warns."""
        if self.settings.average_half_life > 0:
            measure_statistics(self.recipe.averages, self.recipe.networks, self.preview.paint)
        look = self.preview.look(self.board, self.done, self._epoch())
        if told := getattr(self.recipe, "told", None):
            told(look.distance)  # a recipe that grows when it comes no nearer
        if look.is_best:
            self._save("best", look.distance)
        if not look.warning:
            return
        moment, alarms = f"{self.recipe.name}, step {self.done:,}: {look.warning}", self.preview.alarms
        if alarms == 1:
            self.progress.say(moment)
        if self.settings.patience is not None and alarms >= self.settings.patience:
            raise TrainingFailed(
                f"{moment}, at {alarms} previews in a row; the best so far is in {self.folder / 'best'}: "
                "learn from more pictures, augment them, lower the critic's rate, or raise train.patience"
            )

    def _pictures(self, step: int) -> Pictures:
        """The pictures of a step, whole: those that all processes have of it."""
        return {key: self.ranks.gathered(feed.batch(step).images) for key, feed in self.feeds.items()}

    def _fixed_pictures(self) -> Pictures:
        """The pictures that every preview compares and shows: those of the first batches."""
        fixed: dict[str, Tensor] = {}
        for key, feed in self.feeds.items():
            num = PHOTOS if key == "from" else num_compared(self.recipe.side)
            steps = range(min(-(-num // self.settings.batch), feed.steps_per_epoch))
            fixed[key] = torch.cat([self.ranks.gathered(feed.batch(step).images) for step in steps])[:num]
        return fixed

    def _fingerprints(self) -> dict[str, str]:
        return {key: feed.fingerprint for key, feed in self.feeds.items()}

    def _is_one_of_many(self) -> bool:
        return self.settings.population.seeds > 1

    def _epoch(self) -> float:
        return round(self.done / self.steps_per_epoch, 3)
