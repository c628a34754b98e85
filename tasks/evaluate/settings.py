"""What params.yaml says of evaluate."""

from typing import Literal

from pydantic import Field

from tasks.settings import Settings


class Evaluate(Settings):
    """recipes.RECIPE.evaluate."""

    # Where the style is an open rendering, each held-out photo has a right answer, its own rendering; else null.
    answer: Literal["woodblock"] | None = None
    seed: int = 0  # of patches, directions and halvings; the same seed measures the same
    pictures: int = Field(
        default=256, ge=4
    )  # held-out pictures of each set, at most; more cost time, and say little more
    batch: int = Field(default=16, ge=1)  # pictures painted at once; it bounds the memory
    floors: int = Field(default=4, ge=1)  # random halvings of the real prints, averaged, give the floor
    shown: int = Field(default=8, ge=1)  # columns of the picture grid
