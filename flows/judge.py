"""Whether a new model is worse than the one that paints, by the measures that params.yaml names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tasks.measures.kinds import KINDS


@dataclass(frozen=True)
class Compared:
    """One measure of the model that paints and of a new one, on the same held-out pictures."""

    measure: str
    old: float
    new: float
    worse: bool

    def __str__(self) -> str:
        return f"{self.measure} {self.new:g}, was {self.old:g}"


JUDGES = [name for name, kind in KINDS.items() if kind.better]  # of these more, or less, is better


def judge(
    old: Mapping[str, float], new: Mapping[str, float], measures: Iterable[str], tolerance: float
) -> list[Compared]:
    """Each of `measures` that both have; worse is what is so by more than the share `tolerance` of the old value."""
    found: list[Compared] = []
    for name in measures:
        if name in old and name in new:
            gain = old[name] - new[name] if KINDS[name].better == "lower" else new[name] - old[name]
            found.append(Compared(name, old[name], new[name], gain < -tolerance * abs(old[name])))
    return found
