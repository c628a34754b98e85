"""Portraits of the two people in the sample photographs, bent, relit, recoloured and rendered: see tasks/painterly.py.

Every portrait belongs to a sitting, which is its group: what is held out are sittings whose manner was never learned
from. The people are the same two, so no measure on such pictures tells how others would come out.
"""

import itertools
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, ClassVar, Literal

from pydantic import Field

from tasks.files import fingerprint
from tasks.scrape.sample import PHOTOGRAPHS, pixels, png
from tasks.scrape.source import Item, Mark, Shot, Source, Web
from tasks.settings import Settings

Sitter = Literal["astronaut", "grace_hopper"]
HEADS: Mapping[Sitter, tuple[int, int, int]] = {  # the face's middle and side in the photograph, in pixels
    "astronaut": (224, 124, 101),
    "grace_hopper": (275, 230, 202),
}


class SittersQuery(Settings):
    """Who sits, and how often."""

    sitters: tuple[Sitter, ...] = Field(("astronaut", "grace_hopper"), min_length=1)
    sittings: int = Field(12, ge=1)  # of each sitter: so many manners there are
    side: int = Field(192, ge=128, le=512)  # pixels; a face is about 0.4 of it, which its detector must find
    seed: int = Field(1, ge=0)


class Sitters(Source[SittersQuery]):
    """Portraits of the sample photographs' people; without end, since the limit says when it is enough."""

    name = "sitters"
    Query = SittersQuery
    example: ClassVar[Mapping[str, Any]] = {"sitters": ("astronaut",)}

    def discover(self, query: SittersQuery, web: Web, cursor: Mapping[str, Any] | None) -> Iterator[Item | Mark]:
        """The first portrait of every sitting, then the second of each, and so on."""
        for number in itertools.count(cursor["number"] if cursor else 0):
            for sitting in range(query.sittings):
                for sitter in query.sitters:
                    yield _item(sitter, sitting, number, query)
            yield Mark({"number": number + 1})


def _item(sitter: Sitter, sitting: int, number: int, query: SittersQuery) -> Item:
    photograph = PHOTOGRAPHS[sitter]
    made_as = fingerprint(query.side, query.seed)[:6]
    return Item(
        key=f"{sitter}-{made_as}-{sitting:02d}-{number:04d}",
        page=photograph.page,
        shots=(Shot(f"package:{photograph.package}/{photograph.file}", query.side, query.side),),
        title=f"{photograph.title}, varied by a program",
        author=photograph.author,
        licence=photograph.licence,
        licence_url=photograph.licence_url,
        tags=(sitter, "portrait"),
        group=f"{sitter}-{made_as}-{sitting:02d}",
        bytes_of=partial(picture_bytes, sitter, sitting, number, query.side, query.seed),
    )


def picture_bytes(sitter: Sitter, sitting: int, number: int, side: int, seed: int) -> bytes:
    """Portrait `number` of a sitting, as a PNG file."""
    from tasks.painterly import Head, manner, portrait  # with OpenCV, which whoever only lists the sources does without

    whose = list(HEADS).index(sitter)
    return png(
        portrait(
            pixels(sitter), Head(*HEADS[sitter]), manner([seed, whose, sitting]), [seed, whose, sitting, number], side
        )
    )
