"""The metrics of a recipe as a table: each measure in plain words, its value, and what it is measured beside."""

from collections.abc import Mapping
from dataclasses import dataclass

from tasks.measures.kinds import BESIDE, KINDS, Kind, apart, beaten


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
    bases = list(apart(metrics)[0])
    order = {name: place for place, name in enumerate(KINDS)}
    bases.sort(key=lambda name: (order.get(name, len(order)), name))
    return tuple(_row(name, metrics) for name in bases)


def _row(name: str, metrics: Mapping[str, float]) -> Measure:
    kind, value = KINDS.get(name), metrics[name]
    beside = [
        Beside(metrics[name + suffix], beaten(name, value, metrics[name + suffix], suffix))
        if name + suffix in metrics
        else None
        for suffix in BESIDE
    ]
    return Measure(name, kind, value, tuple(beside))
