"""What one picture set is collected from: the block pictures.SET.scrape of params.yaml."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from tasks import MOST_PIXELS
from tasks.settings import Settings


class Scrape(Settings):
    """Which source is asked, what for, and how much of it is wanted."""

    use: str  # a source's name (python -m pipelines sources list), or ./my_source.py:MySource
    limit: int = Field(ge=1)  # pictures to keep; raised later, only the rest is collected
    query: Mapping[str, Any] = Field(default_factory=dict[str, Any])  # what the source is asked, in its own words
    site: Literal["web", "museum"] = "web"  # museum: our replica of the site on this machine, begun and ended here
    contact: str = ""  # an address or page of yours, told to every site that is asked; needed for the web
    private_hosts: tuple[str, ...] = ()  # hosts in a private network, or with names that only a proxy of yours knows
    # Raised later, either is asked again for what it refused.
    max_bytes: int = Field(default=64_000_000, ge=1)  # of one picture; the largest originals on Flickr stay below it
    # By its header; a bomb says more than any camera makes, and no decoder here opens more than MOST_PIXELS.
    max_pixels: int = Field(default=200_000_000, ge=1, le=MOST_PIXELS)
