"""Pictures that a small painter of our own draws on the spot: abstract compositions or cartoon faces, without end.

They are no works of anybody: each is made from its number, and says that it is drawn.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.scrape.sample import png
from tasks.scrape.source import Item, Mark, Shot, Source, Web
from tasks.settings import Settings

What = Literal["abstract", "faces"]
Painter = Callable[[int, int, int], NDArray[np.uint8]]  # (number, side, seed) -> uint8 [side, side, 3]

TITLES: Mapping[What, str] = {"abstract": "Abstract composition", "faces": "Cartoon face"}


class DrawnQuery(Settings):
    """What is drawn, and how large."""

    what: What = "abstract"
    side: int = Field(128, ge=32, le=1024)  # pixels of the square pictures
    seed: int = Field(1, ge=0)  # another seed, other pictures


class Drawn(Source[DrawnQuery]):
    """Pictures that our own painter draws, without end."""

    name = "drawn"
    Query = DrawnQuery
    example: ClassVar[Mapping[str, Any]] = {"what": "abstract"}

    def discover(self, query: DrawnQuery, web: Web, cursor: Mapping[str, Any] | None) -> Iterator[Item | Mark]:
        """Picture 0, picture 1, and so on."""
        for number in itertools.count(cursor["number"] if cursor else 0):
            key = f"{query.what}-{query.side}px-{query.seed}-{number:05d}"
            yield Item(
                key=key,
                page=f"drawn:{key}",
                shots=(Shot(f"drawn:{key}", query.side, query.side),),
                title=title(query.what, number),
                author="baren's painter",
                licence="CC0",
                licence_url="https://creativecommons.org/publicdomain/zero/1.0/",
                tags=(query.what, "drawn"),
                bytes_of=partial(picture_bytes, query.what, number, query.side, query.seed),
            )
            yield Mark({"number": number + 1})


def title(what: What, number: int) -> str:
    """What picture `number` is called."""
    return f"{TITLES[what]} no. {number}, drawn by a program"


def picture_bytes(what: What, number: int, side: int, seed: int) -> bytes:
    """Picture `number` as a PNG file."""
    return png(painter(what)(number, side, seed))


def painter(what: What) -> Painter:
    """What paints such pictures."""
    from tasks.abstract import abstract  # with OpenCV, which whoever only lists the sources does without
    from tasks.drawn_faces import face

    painters: Mapping[What, Painter] = {"abstract": abstract, "faces": face}
    return painters[what]
