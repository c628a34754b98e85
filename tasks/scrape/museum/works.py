"""What hangs in the museum: photographs for its Flickr, woodblock-like renderings of others for its ukiyo-e.org."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from tasks.scrape import sample

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "hubble", "retina", "rocket")
PRINTS = ("china", "flower", "grace_hopper", "ihc", "motorcycle")
EACH = 120  # pictures of each photograph
SEED, SIDES = 1, (72, 144)  # as of tasks.scrape.sample
FIRST_UPLOAD = 1_600_000_000  # seconds since 1970
APART = 1_800  # seconds between two uploads


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


def photographs(names: Sequence[str] = PHOTOGRAPHS, each: int = EACH) -> list[Work]:
    """Details of the photographs whose licence is known, by date of upload."""
    return _works(names, each, _photo)


def prints(names: Sequence[str] = PRINTS, each: int = EACH) -> list[Work]:
    """The woodblock-like renderings; each says that it is one."""
    return _works(names, each, _print)


def _works(names: Sequence[str], each: int, read: Callable[[str, int], bytes]) -> list[Work]:
    suffix = "" if read is _photo else ", a woodblock-like rendering"
    works: list[Work] = []
    for number in range(1, each + 1):
        for name in names:
            photograph, detail = sample.PHOTOGRAPHS[name], sample.detail(name, number, SEED, SIDES)
            works.append(
                Work(
                    name=f"{name.replace('_', '-')}-{number:04}",
                    original=name,
                    title=photograph.title + suffix,
                    author=photograph.author or "unknown",
                    licence=photograph.licence,
                    uploaded=FIRST_UPLOAD + APART * len(works),
                    width=detail.width,
                    height=detail.height,
                    read=partial(read, name, number),
                )
            )
    return works


def _photo(name: str, number: int) -> bytes:
    return sample.jpeg(sample.detail(name, number, SEED, SIDES).of(sample.pixels(name)))


def _print(name: str, number: int) -> bytes:
    picture = sample.detail(name, number, SEED, SIDES).of(sample.pixels(name))
    return sample.jpeg(sample.rendered(picture, number), quality=95)
