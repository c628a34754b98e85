"""What a picture file may be at most: read from params.yaml, checked against a file's header before it is decoded."""

from typing import Literal

from pydantic import Field

from tasks import MOST_PIXELS
from tasks.rows import WHITE
from tasks.settings import Settings


class Limits(Settings):
    """Bounds on one file; what lies outside is refused unopened."""

    max_bytes: int = Field(default=256 * 2**20, gt=0)  # the largest museum scans are near 200 MiB
    max_pixels: int = Field(default=120_000_000, gt=0, le=MOST_PIXELS)  # 360 MB once decoded
    min_side: int = Field(default=16, gt=0)  # pixels; anything smaller is an icon
    max_aspect: float = Field(
        default=20.0, ge=1, allow_inf_nan=True
    )  # long side over short side; beyond lie slivers and rulers
    animated: Literal["first", "refuse"] = "first"  # take the first frame, or none
    matte: str = Field(default=WHITE, pattern="^#[0-9a-f]{6}$")  # the sRGB colour that shows where it is transparent


LIMITS = Limits()
