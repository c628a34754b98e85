"""What params.yaml says of preparing a picture set."""

from typing import Literal

from pydantic import Field

from tasks.limits import LIMITS, Limits
from tasks.settings import Settings


class Prepare(Settings):
    """The block pictures.SET.prepare."""

    side: int = Field(default=256, ge=8, le=4096)  # pixels of the square a network sees; 256 is the articles' size
    crop: Literal["centre"] = "centre"  # the middle square at its own scale: nothing is resized
    limits: Limits = LIMITS  # what a file may be before it is opened
