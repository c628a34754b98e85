"""Several runs from different first weights: begun one after another, judged at one epoch, the best trained to the end.

population.json       a row a seed: how it was judged, whether it was kept, and why
seed-N/               a run each: run.json, losses.csv, scores.csv, samples/, board/; best/ and last/ of a kept one
best/, last/, ...     those of the kept seed whose best moment is the nearest to the real pictures

One after another in one process; side by side where torchrun started several, one seed each, on a device each.
"""

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tasks.errors import TrainingFailed
from tasks.files import read_json, write_json
from tasks.progress import Progress
from tasks.train.board import read_table
from tasks.train.loop import Training
from tasks.train.ranks import Ranks
from tasks.train.settings import Train

TABLE, MEMBER = "population.json", "member.json"
Begin = Callable[[int, Path], Training]  # (seed, folder) -> a run that has begun, or goes on


@dataclass(frozen=True)
class Member:
    """One seed; distances are those of tasks.train.judge, None where the run failed before it was judged."""

    seed: int
    epoch: float | None  # at which it was judged
    palette: float | None
    swd: float | None
    distance: float | None
    collapsed: bool
    kept: bool
    why: str
    best: float | None = None  # distance at its best moment, once it is trained to the end
    chosen: bool = False  # the model painted with


def train(begin: Begin, folder: Path, settings: Train, name: str, progress: Progress, ranks: Ranks) -> None:
    """Train the population that `settings` name in `folder`; goes on where an interrupted one was.

    Of several processes each trains seeds of its own. Raises TrainingFailed where every seed failed.
    """
    if ranks.agreed(not (folder / TABLE).exists()):
        for seed in seeds(settings)[ranks.number :: ranks.world]:
            _write(folder, _judged(begin, folder, seed))
        ranks.wait()
        if ranks.writes:
            _choose(folder, settings, name, progress)
        ranks.wait()
    kept = [member for member in _table(folder) if member.kept]
    for member in kept[ranks.number :: ranks.world]:
        _write(folder, _ended(begin, folder, member))
    ranks.wait()
    members = [_read(folder, seed) for seed in seeds(settings)]
    reached = [member for member in members if member.best is not None]
    if not reached:
        raise TrainingFailed(f"{name}: no seed came to its end; {members[0].why}")
    first = min(reached, key=lambda member: member.best or 0.0)
    if ranks.writes:
        shutil.copytree(_home(folder, first.seed), folder, dirs_exist_ok=True)
        (folder / MEMBER).unlink()
        write_json(folder / TABLE, [asdict(replace(member, chosen=member is first)) for member in members])


def seeds(settings: Train) -> list[int]:
    """train.seed and those that follow it."""
    return [(settings.seed + number) % 2**32 for number in range(settings.population.seeds)]


def chosen(members: list[Member], keep: int) -> list[Member]:
    """The same, the `keep` best of them marked as kept, each with the reason; those that collapsed come last."""
    ranked = sorted((m for m in members if m.distance is not None), key=lambda m: (m.collapsed, m.distance))
    places = {member.seed: place for place, member in enumerate(ranked, 1)}
    return [
        replace(member, kept=places[member.seed] <= keep, why=_why(member, places[member.seed], len(members), keep))
        if member.seed in places
        else member
        for member in members
    ]


def _why(member: Member, place: int, num: int, keep: int) -> str:
    verdict = "kept" if place <= keep else f"dropped, since {keep} {'is' if keep == 1 else 'are'} kept"
    collapsed = " and signs of collapse" if member.collapsed else ""
    return (
        f"place {place} of {num} at epoch {member.epoch:g}, with palette {member.palette:.2f} and sliced Wasserstein "
        f"{member.swd:.1f}{collapsed}: {verdict}"
    )


def _judged(begin: Begin, folder: Path, seed: int) -> Member:
    """Train one seed to the epoch of the choice."""
    home = _home(folder, seed)
    try:
        training = begin(seed, home)
        training.go_on(until=training.choosing)
    except TrainingFailed as failure:
        return Member(seed, None, None, None, None, collapsed=False, kept=False, why=f"dropped: {failure}")
    row = next(row for row in read_table(home / "scores.csv") if row["step"] == training.choosing)
    collapsed = row["warnings"] > 0
    return Member(seed, row["epoch"], row["palette"], row["swd"], row["distance"], collapsed, kept=False, why="")


def _ended(begin: Begin, folder: Path, member: Member) -> Member:
    """Train a kept seed to its end; a failure is put down as the reason why it is not used."""
    if not member.kept:
        return member
    home = _home(folder, member.seed)
    try:
        begin(member.seed, home).go_on()
    except TrainingFailed as failure:
        return replace(member, why=f"{member.why}; then: {failure}")
    return replace(member, best=read_json(home / "best" / "checkpoint.json")["score"])


def _choose(folder: Path, settings: Train, name: str, progress: Progress) -> None:
    """Write the table, say it, and drop the checkpoints of those that are not kept."""
    members = chosen([_read(folder, seed) for seed in seeds(settings)], settings.population.keep)
    for member in members:
        _write(folder, member)
        progress.say(f"{name}, seed {member.seed}: {member.why}")
        if not member.kept:
            for which in ("best", "last"):
                shutil.rmtree(_home(folder, member.seed) / which, ignore_errors=True)
    write_json(folder / TABLE, [asdict(member) for member in members])


def _home(folder: Path, seed: int) -> Path:
    return folder / f"seed-{seed}"


def _read(folder: Path, seed: int) -> Member:
    return Member(**read_json(_home(folder, seed) / MEMBER))


def _write(folder: Path, member: Member) -> None:
    write_json(_home(folder, member.seed) / MEMBER, asdict(member))


def _table(folder: Path) -> list[Member]:
    return [Member(**row) for row in read_json(folder / TABLE)]
