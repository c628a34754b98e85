"""What the infer block of a recipe in params.yaml may say."""

from typing import Literal

from pydantic import Field

from tasks.settings import Settings


class Infer(Settings):
    """How photographs are painted."""

    photos: int = Field(6, ge=1)  # how many held-out photographs are painted
    tile: int = Field(1024, ge=64)  # px a side at most; apart from the training crop, larger wastes less on halo
    batch: int = Field(1, ge=1)  # tiles pushed through the network at once
    statistics: Literal["auto", "thumbnail"] = "auto"  # of norms that measure: a thumbnail's, the same for every tile
    thumbnail: int = Field(1024, ge=64)  # px on the long side of the thumbnail those statistics are taken from
    dpi: float = Field(300.0, gt=0)  # resolution written into the file, for the printer
