"""What params.yaml says of evaluate."""

from typing import Literal

from pydantic import Field

from tasks.settings import Settings


class Evaluate(Settings):
    """The block recipes.RECIPE.evaluate."""

    # Where the style is an open rendering, each held-out photo has a right answer, its own rendering; else null.
    answer: Literal["woodblock"] | None = None
    seed: int = Field(
        default=0, ge=0, lt=2**32
    )  # of patches, directions, halvings and noise; the same seed measures the same
    pictures: int = Field(default=256, ge=4)  # held-out or generated pictures, at most; more take longer
    known: int = Field(default=4096, ge=2)  # pictures learned from, at most, that copies are looked for among
    batch: int = Field(default=16, ge=1)  # pictures painted at once; it bounds the memory
    floors: int = Field(default=4, ge=1)  # random halvings of the real pictures, averaged, give the floor
    shown: int = Field(default=8, ge=1)  # columns of the picture grid
    inception: str | None = None  # path of torch-fidelity's Inception weights, for FID and KID; nothing is downloaded
