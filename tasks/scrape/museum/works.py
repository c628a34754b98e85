"""What hangs in the museum, for each of its sites.

Photographs for Flickr, woodblock-like renderings of others for ukiyo-e.org, varied portraits for WikiArt, abstract
compositions for Google Images.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from tasks.scrape import drawn, sample, sitters

# No photograph hangs in both, so that nothing in the one set has its counterpart in the other.
PHOTOGRAPHS = ("astronaut", "chelsea", "china", "coffee", "motorcycle", "rocket")
PRINTS = ("camera", "flower", "grace_hopper", "hubble", "ihc")
EACH = 120  # pictures of each photograph: itself, and its details
SEED, SIDES = 1, (72, 144)  # as of tasks.scrape.sample
FIRST_UPLOAD = 1_600_000_000  # seconds since 1970
APART = 1_800  # seconds between two uploads
SITTINGS, PORTRAITS_EACH, PORTRAIT_SIDE = 20, 8, 192  # of each sitter; of each sitting; pixels
ABSTRACTS, ABSTRACT_SIDE = 450, 96  # pictures, and pixels of their sides


@dataclass(frozen=True)
class Work:
    """One picture on show; `read` gives its file."""

    name: str  # short, unique, fit for an address
    original: str  # the photograph it was made from
    title: str
    author: str
    licence: str
    uploaded: int  # seconds since 1970
    width: int
    height: int
    read: Callable[[], bytes]
    kind: str = "image/jpeg"


def photographs(names: Sequence[str] = PHOTOGRAPHS, each: int = EACH) -> list[Work]:
    """The photographs themselves, then their details, from the latest upload to the first."""
    return _works(names, each, "", _photo)


def prints(names: Sequence[str] = PRINTS, each: int = EACH) -> list[Work]:
    """The woodblock-like renderings of photographs, then those of their details; each says that it is one."""
    return _works(names, each, ", a woodblock-like rendering", _print)


def portraits() -> list[Work]:
    """The two people of the sample photographs, the first portrait of every sitting before the second of any.

    As artist of a sitting stands whose photograph it is, with the manner that is the sitting's own.
    """
    works: list[Work] = []
    for number, sitting, name in itertools.product(range(PORTRAITS_EACH), range(SITTINGS), sitters.HEADS):
        photograph = sample.PHOTOGRAPHS[name]
        works.append(
            Work(
                name=f"{name.replace('_', '-')}-sitting-{sitting:02}-{number}",
                original=f"{name}-{sitting:02}",
                title=f"{photograph.title}, varied by a program",
                author=f"{photograph.author}, in manner {sitting}",
                licence=photograph.licence,
                uploaded=FIRST_UPLOAD + APART * len(works),
                width=PORTRAIT_SIDE,
                height=PORTRAIT_SIDE,
                read=partial(sitters.picture_bytes, name, sitting, number, PORTRAIT_SIDE, SEED),
                kind="image/png",
            )
        )
    return works


def abstracts() -> list[Work]:
    """What our own painter composes."""
    return [
        Work(
            name=f"abstract-{number:04}", original=f"abstract-{number:04}", title=drawn.title("abstract", number),
            author="baren's painter", licence="CC0", uploaded=FIRST_UPLOAD + APART * number, width=ABSTRACT_SIDE,
            height=ABSTRACT_SIDE, read=partial(drawn.picture_bytes, "abstract", number, ABSTRACT_SIDE, SEED),
            kind="image/png",
        )
        for number in range(ABSTRACTS)
    ]  # fmt: skip


def _works(names: Sequence[str], each: int, suffix: str, read: Callable[[str, int], bytes]) -> list[Work]:
    works: list[Work] = []
    for number, name in itertools.product(range(each), names):
        photograph, (height, width) = sample.PHOTOGRAPHS[name], _size(name, number)
        works.append(
            Work(
                name=f"{name.replace('_', '-')}-{number:04}",
                original=name,
                title=photograph.title + suffix,
                author=photograph.author or "unknown",
                licence=photograph.licence,
                uploaded=FIRST_UPLOAD + APART * (each * len(names) - len(works)),
                width=width,
                height=height,
                read=partial(read, name, number),
            )
        )
    return works


def _photo(name: str, number: int) -> bytes:
    return sample.jpeg(_pixels(name, number))


def _print(name: str, number: int) -> bytes:
    return sample.jpeg(sample.rendered(_pixels(name, number), number), quality=95)


def _size(name: str, number: int) -> tuple[int, int]:
    if number == 0:
        return sample.photograph_size(name)
    detail = sample.detail(name, number, SEED, SIDES)
    return detail.height, detail.width


def _pixels(name: str, number: int) -> sample.Picture:
    whole = sample.pixels(name)
    return whole if number == 0 else sample.detail(name, number, SEED, SIDES).of(whole)
