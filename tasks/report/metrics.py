"""The metrics of a recipe as a table: each measure in plain words, its value, and what it is measured beside."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Better = Literal["lower", "higher", ""]  # "": to be read beside the reals' own

# What a value is measured beside: suffix -> heading.
BESIDE = {
    "_last": "last state",
    "_untrained": "untrained",
    "_untouched": "photo itself",
    "_recoloured": "photo recoloured",
    "_floor": "real against real",
}


@dataclass(frozen=True)
class Kind:
    """A measure in a person's words."""

    title: str
    about: str
    better: Better
    rivals: tuple[str, ...] = ("_untrained", "_untouched", "_recoloured")  # suffixes it is a contest with


ONLY = ("_untrained",)  # the photo itself of course leads back to the photo
KINDS = {
    "answer_swd": Kind("Texture, against the right answer", "patches at every scale; 0 is identical", "lower"),
    "answer_palette": Kind("Colour, against the right answer", "L*a*b* units; 0 is identical", "lower"),
    "answer_l1": Kind("Pixels, against the right answer", "mean difference, from 0 to 2", "lower"),
    "answer_match": Kind("Right answer found", "share of paintings nearest to their own answer", "higher"),
    "swd": Kind("Texture, against real pictures", "patches at every scale", "lower"),
    "palette": Kind("Colour, against real pictures", "L*a*b* units", "lower"),
    "rkid": Kind("Look, against real pictures", "kernel distance on a random network's features", "lower"),
    "fid": Kind("FID", "Inception features against real pictures", "lower"),
    "kid": Kind("KID", "Inception features against real pictures", "lower"),
    "content_luminance": Kind(
        "Light and dark kept", "share of paintings that lead back to their photo", "higher", ONLY
    ),
    "content_edges": Kind("Contours kept", "share of paintings that lead back to their photo", "higher", ONLY),
    "duplicates": Kind("Repeats of itself", "share of pictures with a twin among the made ones", "lower"),
    "copies": Kind("Copies", "share of pictures that repeat one learned from; near 0 is right", ""),
    "ms_ssim": Kind("Sameness", "how alike two of its pictures are; near the real pictures' own is right", ""),
}


@dataclass(frozen=True)
class Beside:
    """A value to compare with, and whether the recipe's own is better; None where that is no contest."""

    value: float
    beaten: bool | None


@dataclass(frozen=True)
class Measure:
    """One row of the table; `beside` has a place for each heading of BESIDE."""

    name: str
    kind: Kind | None
    value: float
    beside: tuple[Beside | None, ...]


def table(metrics: Mapping[str, float]) -> tuple[Measure, ...]:
    """The rows, known measures first, in their order; what has no suffix of BESIDE is a measure."""
    bases = [name for name in metrics if not _suffix(name, metrics)]
    order = {name: place for place, name in enumerate(KINDS)}
    bases.sort(key=lambda name: (order.get(name, len(order)), name))
    return tuple(_row(name, metrics) for name in bases)


def _suffix(name: str, metrics: Mapping[str, float]) -> bool:
    return any(name.endswith(suffix) and name.removesuffix(suffix) in metrics for suffix in BESIDE)


def _row(name: str, metrics: Mapping[str, float]) -> Measure:
    kind, value = KINDS.get(name), metrics[name]
    beside = [
        Beside(metrics[name + suffix], _beaten(kind, value, metrics[name + suffix], suffix))
        if name + suffix in metrics
        else None
        for suffix in BESIDE
    ]
    return Measure(name, kind, value, tuple(beside))


def _beaten(kind: Kind | None, value: float, other: float, suffix: str) -> bool | None:
    if kind is None or not kind.better or suffix not in kind.rivals or value == other:
        return None
    return value < other if kind.better == "lower" else value > other
