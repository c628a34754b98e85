"""What each measure says in plain words, which way it is better, and what a recipe's own figure stands beside."""

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
    "duplicates": Kind("Repeats of itself", "share of pictures with a twin among 128 of the made ones", "lower"),
    "copies": Kind("Copies", "share of pictures that repeat one learned from; near 0 is right", ""),
    "ms_ssim": Kind("Sameness", "how alike two of its pictures are; near the real pictures' own is right", ""),
}


def beaten(name: str, value: float, other: float, suffix: str) -> bool | None:
    """Whether `value` of measure `name` is better than `other`, that with `suffix`; None where that is no contest."""
    kind = KINDS.get(name)
    if kind is None or not kind.better or suffix not in kind.rivals or value == other:
        return None
    return value < other if kind.better == "lower" else value > other


def apart(metrics: Mapping[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    """The recipe's own figures, and those it is measured beside: the same names with a suffix of BESIDE."""
    beside = {
        name: value
        for name, value in metrics.items()
        if any(name.endswith(suffix) and name.removesuffix(suffix) in metrics for suffix in BESIDE)
    }
    return {name: value for name, value in metrics.items() if name not in beside}, beside
