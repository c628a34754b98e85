"""What a night brought, source by source: new pictures, refusals, failures; and the sources that have fallen silent."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tasks.files import SCRATCH, read_json_lines, write_json_lines
from tasks.rows import ITEMS, read_scraped

DATA = Path("data/1-raw")
NIGHTS = SCRATCH / "nights.jsonl"
SILENCE = 3  # nights without a picture after which somebody should look


@dataclass(frozen=True)
class Harvest:
    """What one night's collecting of one picture set brought; `full` where the set has all the pictures it wants."""

    night: str  # UTC, to the second
    picture_set: str
    source: str
    new: int
    refused: int
    failed: int
    full: bool


def last_batch(picture_set: str) -> int:
    """The number of the set's last closed batch; 0 where there is none."""
    path = DATA / picture_set / "batches.jsonl"
    return max((int(row["batch"]) for row in read_json_lines(path)), default=0) if path.exists() else 0


def harvest(night: str, picture_set: str, scrape: Mapping[str, Any], since: int) -> Harvest:
    """Count what the batches after `since` brought; `scrape` is the set's block of params.yaml."""
    items = DATA / picture_set / ITEMS
    outcomes: Counter[str] = Counter()
    kept: set[str] = set()
    for row in read_scraped(items) if items.exists() else ():
        if row.outcome == "kept":
            kept.add(row.id)
        if row.batch > since:
            outcomes[row.outcome] += 1
    return Harvest(
        night=night,
        picture_set=picture_set,
        source=str(scrape["use"]),
        new=outcomes["kept"],
        refused=outcomes["refused"],
        failed=outcomes["failed"],
        full=len(kept) >= int(scrape["limit"]),
    )


def remember(harvests: Iterable[Harvest], path: Path = NIGHTS) -> None:
    """Add a night to the record."""
    told = list(read_json_lines(path)) if path.exists() else []
    write_json_lines(path, [*told, *(asdict(harvest) for harvest in harvests)])


def silent(pictures: Mapping[str, Any], path: Path = NIGHTS, nights: int = SILENCE) -> list[Harvest]:
    """The last harvest of each set that once grew, still wants more, and got nothing on its last `nights` days.

    `pictures` are the blocks of params.yaml: a set that is gone from there, or asks another source by now, is no longer
    missed. Days on which it was asked: a night that is run again, or made up for after others, is one with its day.
    """
    found: list[Harvest] = []
    for name, every in _by_set(path).items():
        told = [harvest for harvest in every if name in pictures and harvest.source == pictures[name]["scrape"]["use"]]
        days = list(dict.fromkeys(harvest.night[:10] for harvest in told))[-nights:]
        lately = [harvest for harvest in told if harvest.night[:10] in days]
        before = [harvest for harvest in told if harvest.night[:10] not in days]
        if any(harvest.new for harvest in before) and not any(harvest.new or harvest.full for harvest in lately):
            found.append(told[-1])
    return found


def asked_since(moment: str, now: str, path: Path = NIGHTS) -> set[str]:
    """The picture sets that were asked for at `moment` (UTC, to the second) or later; what lies after `now` was told by
    a clock that was wrong.
    """
    return {name for name, told in _by_set(path).items() if any(moment <= one.night <= now for one in told)}


def _by_set(path: Path) -> dict[str, list[Harvest]]:
    by_set: dict[str, list[Harvest]] = {}
    for row in read_json_lines(path) if path.exists() else ():
        by_set.setdefault(row["picture_set"], []).append(Harvest(**row))
    return by_set
