"""The settings every recipe's training shares; a recipe adds its losses and rates."""

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from tasks.settings import Settings

Operation = Literal["mirror", "saturation", "sharpness", "brightness", "contrast", "translation", "cutout"]
NO_SIGN = ("wgan", "lsgan")  # losses whose critic is not at zero where it is undecided


class Population(Settings):
    """How many runs from different first weights are begun, and how many of them are trained to the end.

    They are begun with train.seed, train.seed + 1 and so on; GANs differ more by their seed than by most settings.
    """

    seeds: int = Field(default=1, ge=1, le=64)
    keep: int = Field(default=1, ge=1)  # the best of them, by palette and sliced Wasserstein distance
    epoch: int = Field(default=30, ge=1)  # after which the others are dropped: by then palettes have settled

    @model_validator(mode="after")
    def _keep_some(self) -> "Population":
        if self.keep > self.seeds:
            raise ValueError(f"keep is {self.keep} of {self.seeds} seeds; keep fewer or begin more")
        return self


class Train(Settings):
    """A block recipes.RECIPE.train of params.yaml; what it says is part of the run's fingerprint."""

    seed: int = Field(0, ge=0, lt=2**32)  # of the first weights, the order of pictures and all chance in a step
    epochs: int = Field(100, ge=1)  # times the larger picture set is gone through
    batch: int = Field(32, ge=2)  # pictures of each set in a step; two at least, since losses look at pairs
    crop: int | None = Field(None, ge=8)  # side of a random square cut from each picture; None takes it whole
    flip: bool = False  # mirror half of the pictures
    device: Literal["auto", "cpu", "cuda"] = "auto"  # auto: the GPU where there is one
    # of the networks' inside, losses stay in float32; auto: bfloat16 where the device has instructions for it
    precision: Literal["auto", "float32", "bfloat16"] = "float32"
    layout: Literal["auto", "contiguous", "channels_last"] = "channels_last"  # of the networks' memory; auto: probed
    compute: Literal["auto", "eager", "compiled", "graphs"] = "auto"  # auto: probed on a GPU; on a CPU compiling loses
    threads: int | None = Field(None, ge=1)  # of the CPU; None: as many as PyTorch takes, which the run then keeps
    # pictures in memory at a time; None: all of a batch, and fewer if it must
    micro_batch: int | None = Field(None, ge=1)
    steady: float = Field(1.0, ge=0, le=1)  # share of the run with the full rates, which then fall evenly to zero
    population: Population = Field(default_factory=Population)
    average_half_life: int = Field(10_000, ge=0)  # pictures after which a weight counts half in the moving average
    # epochs from one sample grid, and one look for the best, to the next; None: as many as are 200 steps
    preview_every: int | None = Field(None, ge=1)
    preview_pictures: int = Field(16, ge=1, le=64)  # columns of a sample grid
    patience: int | None = Field(None, ge=1)  # previews in a row with a warning before a run is stopped; None: never
    log_every: int = Field(10, ge=1)  # steps whose mean losses make one row
    start: str | None = None  # what to begin with: a checkpoint's folder, a git revision, or "workspace"
    stop_after: str | None = Field(None, pattern=r"^[0-9]+(\.[0-9]+)?[smh]$")  # as in 90m or 3h: save and stop then
    keep_last: int = Field(1, ge=1)  # checkpoints an unfinished run keeps: the last one, and those before it in older/
    save_every: float = Field(10.0, gt=0)  # minutes from one checkpoint of an unfinished run to the next

    @model_validator(mode="after")
    def _compiles_whole_batches(self) -> Self:
        if self.compute in ("compiled", "graphs") and self.micro_batch is not None:
            raise ValueError(
                f"compute is {self.compute!r} and micro_batch {self.micro_batch}, and parts of a batch are computed "
                "eagerly; take compute eager or auto, or leave micro_batch out"
            )
        return self

    @model_validator(mode="after")
    def _seeds_are_chosen_among(self) -> Self:
        epoch = self.population.epoch
        if self.population.seeds > 1 and epoch > self.epochs:
            raise ValueError(
                f"population.epoch is {epoch} and a run ends after {self.epochs}, so no seed would be dropped before; "
                "lower population.epoch, or raise epochs"
            )
        return self

    @model_validator(mode="after")
    def _seeds_differ(self) -> Self:
        if self.start is not None and self.population.seeds > 1:
            raise ValueError(
                f"start is {self.start!r} and population.seeds {self.population.seeds}: all would begin with the same "
                "weights; set population.seeds to 1, or leave start out"
            )
        return self

    @property
    def seconds_allowed(self) -> float:
        """Seconds that one call of the stage may train."""
        if self.stop_after is None:
            return math.inf
        return float(self.stop_after[:-1]) * {"s": 1, "m": 60, "h": 3600}[self.stop_after[-1]]


class Augmented(Train):
    """The same of a recipe whose critic sees pictures, real and painted alike, through random changes."""

    augment: tuple[Operation, ...] = ()  # the changes; thousands of pictures need none, a few hundred do
    strength: float | None = Field(0.5, ge=0, le=1)  # probability of each; None lets it follow the critic

    @model_validator(mode="after")
    def _strength_follows(self) -> Self:
        loss = getattr(self, "loss", "")  # not every recipe offers several
        if self.strength is None and not self.augment:
            raise ValueError("strength is null, and augment is empty; name changes there, or leave strength out")
        if self.strength and self.strength != type(self).model_fields["strength"].default and not self.augment:
            raise ValueError(
                f"strength is {self.strength:g}, and augment is empty, so that nothing would be changed; name changes "
                "there, or leave strength out"
            )
        if self.strength is None and loss in NO_SIGN:
            raise ValueError(
                f"strength is null, which follows the sign of the critic's logits, and under loss {loss!r} that does "
                "not tell real from painted; set strength to 0 to 1, or take hinge or bce"
            )
        return self
