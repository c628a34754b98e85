"""Which picture stands in which row of a set, and which pictures training never sees.

Rows stand in ledger order, and the ledger only grows, so new pictures stand behind the old ones. A picture that is no
longer wanted keeps its row and is listed as dropped: no file is rewritten for it until the set is compacted.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tasks.errors import ShardError
from tasks.rows import Crop, Packed, Prepared, Split
from tasks.shard.settings import Shard


@dataclass(frozen=True)
class Plan:
    """The rows of a set in order, those among them that are not to be used, and the pictures' common side in pixels."""

    rows: tuple[Packed, ...]
    dropped: tuple[int, ...]
    side: int


def split_of(group: str, seed: int, held_out: float) -> Split:
    """Where a group belongs, by its hash alone: it stays there however the set grows."""
    draw = int.from_bytes(sha256(f"{seed}:{group}".encode()).digest()[:8], "big") / 2**64
    return "held_out" if draw < held_out else "train"


def plan(
    ledger: Sequence[Prepared], previous: Sequence[Packed], per_shard: int | None, settings: Shard, where: Path
) -> Plan:
    """Place every kept row of the ledger found at `where`, as far as may be where `previous` has it.

    `previous` are the rows of the set as it stands, cut every `per_shard`; none where it is to be laid out anew.
    Raises ShardError where nothing is kept, a row has no pixels or the sides differ, or nothing is held out.
    """
    kept = [_packed(row, settings, where) for row in ledger if row.outcome == "kept"]
    if not kept:
        raise ShardError(
            f"{where} keeps none of its {len(ledger):,} rows{_reasons(ledger)}; loosen the set's prepare settings or "
            "collect more pictures"
        )
    sides = Counter(row.crop.side for row in kept)
    if len(sides) > 1:
        told = ", ".join(f"{count} of {side} px" for side, count in sorted(sides.items()))
        raise ShardError(
            f"{where} mixes crop sizes ({told}) and a set has one; run the prepare stage again (dvc repro)"
        )
    if repeated := [row for row, count in Counter(row.id for row in kept).items() if count > 1]:
        raise ShardError(f"{where} lists {repeated[0]!r} twice; run the prepare stage again (dvc repro)")
    _require_held_out(kept, settings, where)
    rows, dropped = _placed(kept, previous, per_shard)
    return Plan(tuple(rows), tuple(dropped), side=kept[0].crop.side)


def _placed(
    kept: Sequence[Packed], previous: Sequence[Packed], per_shard: int | None
) -> tuple[list[Packed], list[int]]:
    """Keep old rows where they are, unless the ledger's order has changed since: then everything is laid out anew."""
    wanted = {_pixels(row): row for row in kept}
    known = {_pixels(row) for row in previous}
    new = [row for row in kept if _pixels(row) not in known]
    staying = [wanted[_pixels(row)] for row in previous if _pixels(row) in wanted]
    if not per_shard or [*staying, *new] != list(kept):
        return list(kept), []
    # The last file is written again for new rows, so what is dropped from it need not stay.
    frozen = len(previous) // per_shard * per_shard if new else len(previous)
    rows = [wanted.get(_pixels(row), row) for row in previous[:frozen]]
    dropped = [number for number, row in enumerate(rows) if _pixels(row) not in wanted]
    rows += [wanted[_pixels(row)] for row in previous[frozen:] if _pixels(row) in wanted]
    return rows + new, dropped


def _pixels(row: Packed) -> tuple[str, str, Crop]:
    """What a row's pixels are made from."""
    return row.id, row.sha256, row.crop


def _packed(row: Prepared, settings: Shard, where: Path) -> Packed:
    if row.crop is None or row.file is None:
        raise ShardError(f"{where} keeps {row.id!r} without a file or a crop; run the prepare stage again (dvc repro)")
    return Packed(
        id=row.id,
        picture=row.picture,
        batch=row.batch,
        split=split_of(row.group, settings.seed, settings.held_out),
        origin=row.origin,
        group=row.group,
        sha256=row.sha256,
        file=row.file,
        crop=row.crop,
    )


def _require_held_out(kept: Sequence[Packed], settings: Shard, where: Path) -> None:
    splits = {row.split for row in kept}
    groups = len({row.group for row in kept})
    if settings.held_out and "held_out" not in splits:
        raise ShardError(
            f"{where} keeps {len(kept)} pictures of {groups} originals, and held_out {settings.held_out} with seed "
            f"{settings.seed} holds none out; raise the set's shard.held_out, change shard.seed, or collect more"
        )
    if "train" not in splits:
        raise ShardError(
            f"{where} keeps {len(kept)} pictures of {groups} originals, and held_out {settings.held_out} with seed "
            f"{settings.seed} leaves none for training; lower the set's shard.held_out or collect more pictures"
        )


def _reasons(ledger: Sequence[Prepared]) -> str:
    counts = Counter(row.reason for row in ledger if row.outcome == "refused")
    return f" ({', '.join(f'{count:,} {reason}' for reason, count in counts.most_common(5))})" if counts else ""
