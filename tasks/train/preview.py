"""What a run looks at from time to time: the same pictures painted anew, judged, watched, and put on the board."""

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from tasks.train.board import Board
from tasks.train.judge import PHOTOS, Judge
from tasks.train.recipe import Pictures, Recipe
from tasks.train.settings import Train
from tasks.train.watch import Watch


@dataclass(frozen=True)
class Look:
    """What one preview found."""

    distance: float  # of the paintings to the real pictures, longer by the share of them that repeat each other
    is_best: bool
    warning: str  # a sentence, or nothing


class Preview:
    """Paints `fixed`, some of the pictures learned from, and remembers how near it has come at best."""

    def __init__(self, recipe: Recipe, fixed: Pictures, settings: Train) -> None:
        self._recipe = recipe
        self._fixed = {key: pictures[:PHOTOS] for key, pictures in fixed.items()} if "from" in fixed else fixed
        self._few = {key: pictures[: settings.preview_pictures] for key, pictures in fixed.items()}
        self._judge, self._watch = Judge(fixed["to"]), Watch(fixed["to"], fixed.get("from"))
        self.best = math.inf  # distance so far
        self.alarms = 0  # previews in a row with a warning

    def begin(self, board: Board) -> None:
        """Show the real pictures, and what untrained networks make of them."""
        board.grid("reals", self._few, 0)
        board.grid("untrained", self._recipe.preview(self._few), 0)

    def paint(self) -> Tensor:
        """What the recipe makes of the fixed pictures now, [B,3,H,W] in (-1,1)."""
        return self._recipe.paint(self._fixed)

    def look(self, board: Board, step: int, epoch: float) -> Look:
        """Paint, judge and show."""
        board.grid(f"step-{step:06}", self._recipe.preview(self._few), step)
        painted = self.paint()
        found, seen = self._judge.of(painted), self._watch.look(painted)
        distance, warning = found.distance * (1 + seen.repeating), seen.warning()
        is_best = distance < self.best
        self.best = min(distance, self.best)
        self.alarms = self.alarms + 1 if warning else 0
        near = {"palette": found.palette, "swd": found.swd, "distance": distance, "best": self.best}
        alike = {"duplicates": seen.duplicates, "copies": seen.copies, "likeness": seen.likeness}
        board.scores(step, epoch, {**near, **alike, "warnings": float(bool(warning))})
        board.write()
        return Look(distance, is_best, warning)

    def state(self) -> dict[str, Any]:
        """What a resume needs."""
        return {"best": self.best, "alarms": self.alarms}

    def take(self, state: dict[str, Any]) -> None:
        """Take `state` back."""
        self.best, self.alarms = state["best"], state["alarms"]
