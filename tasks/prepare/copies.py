"""Of pictures that are copies of each other the best is kept; the others are refused, and name it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tasks.prepare.datasheet import Colours
from tasks.prepare.likeness import Hashes, near_pairs
from tasks.rows import Prepared


@dataclass(frozen=True)
class Decision:
    """What was decided on one picture, before it is compared with the others."""

    rows: tuple[Prepared, ...]  # one a crop that is kept, or one that says why none is
    likeness: int = 0  # its perceptual hash, where it is kept
    area: int = 0  # pixels of the part that is free of borders
    by_hand: bool = False  # a person said "keep": it is no copy, whatever it looks like
    colours: Colours | None = None  # how often each colour occurs, where it is kept

    @property
    def first(self) -> Prepared:
        return self.rows[0]


def without_copies(decisions: Sequence[Decision], distance: int) -> list[Prepared]:
    """The ledger's rows, in the order of `decisions`: every kept picture that copies a better one is refused.

    Better is larger, then earlier. A copy has the same bytes, or a hash that differs in at most `distance` bits; a
    negative distance keeps all. Pictures of one declared group are variants on purpose, and no copies of each other
    unless their bytes are the same. Groups that share a copy become one, under the earliest's name, so that no copy
    of a training picture is held out; so do those of copies that are both kept, known by bytes and hash where a
    person keeps them, by bytes alone under that negative distance.
    """
    kept = [number for number, decision in enumerate(decisions) if decision.first.outcome == "kept"]
    copies, alike = _copies(decisions, kept, distance) if distance >= 0 else ({}, [])
    copied = [(number, better) for number, (better, _) in copies.items()]
    groups = _Groups(decision.first.group for decision in decisions)
    for one, other in [*_same_bytes(decisions, kept), *alike, *copied]:
        groups.join(decisions[one].first.group, decisions[other].first.group)
    rows: list[Prepared] = []
    for number, decision in enumerate(decisions):
        group = groups.name(decision.first.group)
        if number in copies:
            better, reason = copies[number]
            detail = f"of {decisions[better].first.picture}"
            rows.append(_refused(decision.first, reason, detail, group))
        else:
            rows += [row if row.group == group else replace(row, group=group) for row in decision.rows]
    return rows


def _same_bytes(decisions: Sequence[Decision], kept: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Of the kept pictures, each with the first that has the same bytes."""
    first: dict[str, int] = {}
    for number in kept:
        yield number, first.setdefault(decisions[number].first.sha256, number)


def _copies(
    decisions: Sequence[Decision], kept: Sequence[int], distance: int
) -> tuple[dict[int, tuple[int, str]], list[tuple[int, int]]]:
    """The number of each copy, with that of the picture it copies and how; and the pairs a person kept though alike."""
    unique, place = np.unique(np.array([decisions[n].likeness for n in kept], np.uint64), return_inverse=True)
    near = _neighbours(unique, distance)
    stands_for = dict(zip(kept, place.reshape(-1).tolist(), strict=True))
    by_bytes: dict[str, int] = {}
    leaders: dict[int, list[int]] = defaultdict(list)  # unique hash -> the kept pictures that have it
    copies: dict[int, tuple[int, str]] = {}
    alike: list[tuple[int, int]] = []
    for number in sorted(kept, key=lambda n: (not decisions[n].by_hand, -decisions[n].area, n)):
        decision, own = decisions[number], stands_for[number]
        found = [leader for hash_ in (own, *near.get(own, ())) for leader in leaders[hash_]]
        others = [leader for leader in found if decisions[leader].first.group != decision.first.group]
        same = by_bytes.setdefault(decision.first.sha256, number)
        if decision.by_hand or (same == number and not others):
            leaders[own].append(number)
            alike += [(number, other) for other in others]
        elif same != number:
            copies[number] = (same, "duplicate")
        else:
            copies[number] = (others[0], "near duplicate")
    return copies, alike


def _neighbours(unique: Hashes, distance: int) -> Mapping[int, list[int]]:
    near: dict[int, list[int]] = defaultdict(list)
    for one, other in near_pairs(unique, distance).tolist():
        near[one].append(other)
        near[other].append(one)
    return near


def _refused(row: Prepared, reason: str, detail: str, group: str) -> Prepared:
    return replace(row, id=row.picture, outcome="refused", reason=reason, detail=detail, group=group, crop=None)


class _Groups:
    """Groups that may be joined; each goes by the name of its earliest member."""

    def __init__(self, names: Iterable[str]) -> None:
        self._age: dict[str, int] = {}
        for name in names:
            self._age.setdefault(name, len(self._age))
        self._parent = {name: name for name in self._age}

    def name(self, group: str) -> str:
        while self._parent[group] != group:
            self._parent[group] = self._parent[self._parent[group]]
            group = self._parent[group]
        return group

    def join(self, one: str, other: str) -> None:
        first, second = sorted((self.name(one), self.name(other)), key=self._age.__getitem__)
        self._parent[second] = first
