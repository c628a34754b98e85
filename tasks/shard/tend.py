"""What a person does to a set that stands: look for damage, see what is in it, free it of what was dropped."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tasks.errors import BarenError, ShardError
from tasks.progress import Progress
from tasks.rows import Packed
from tasks.shard.items import Items
from tasks.shard.layout import INDEX, ITEMS, Index, check_file, read_index
from tasks.shard.plan import Plan
from tasks.shard.read import ShardSet
from tasks.shard.write import Pixels, write


def damage(folder: Path, progress: Progress) -> list[str]:
    """One sentence for each file of the set that is missing, damaged or foreign; every byte is read."""
    try:
        index = read_index(folder)
    except ShardError as error:
        return [str(error)]
    found: list[str] = []
    for shard in progress.track(index.shards, f"verifying {folder}", unit="shards"):
        try:
            check_file(folder / shard.file, shard, index.side)
        except BarenError as error:
            found.append(str(error))
    try:
        Items(folder / ITEMS, index)
    except BarenError as error:
        found.append(str(error))
    named = {INDEX, ITEMS, *(shard.file for shard in index.shards)}
    strangers = sorted(path.name for path in folder.iterdir() if path.name not in named)
    return found + [f"{folder / name} belongs to no set; remove it" for name in strangers]


def described(shard_set: ShardSet) -> list[str]:
    """What is in a set, in lines for a person."""
    index, items = shard_set.index, shard_set.items
    live = [items[row] for split in ("train", "held_out") for row in shard_set.rows(split).tolist()]
    num_bytes = sum(shard.bytes for shard in index.shards)
    return [
        f"{index.picture_set}: {len(live):,} pictures of {index.side} x {index.side} px, uint8 RGB",
        f"split: {len(shard_set.rows('train')):,} for training, {len(shard_set.rows('held_out')):,} held out, "
        f"of {len({item.group for item in live}):,} groups",
        f"files: {len(index.shards):,} of up to {index.per_shard:,} pictures, {num_bytes / 1e6:,.1f} MB",
        f"dropped: {len(index.dropped):,} rows"
        + (", whose pixels stay until the set is compacted" * bool(index.dropped)),
        f"sources: {_counted(item.origin.source for item in live)}",
        f"licences: {_counted(item.origin.licence for item in live)}",
        f"fingerprint: {index.fingerprint}",
    ]


def compact(folder: Path, progress: Progress) -> Index:
    """Write the set anew without the rows that were dropped; it is then what packing the kept rows afresh gives.

    Only files at and behind the first dropped row change. Raises ShardError where a file is damaged or all is dropped.
    """
    with ShardSet(folder, verify="always", progress=progress) as shard_set:
        dropped = set(shard_set.index.dropped)
        places = {item.id: row for row, item in enumerate(shard_set.items) if row not in dropped}
        if not places:
            raise ShardError(f"{folder} has no row that is not dropped; remove it, or keep some of its pictures")

        def load(rows: Sequence[Packed]) -> Iterator[Pixels]:
            for row in rows:
                yield shard_set.read([places[row.id]])[0]

        kept = tuple(shard_set.items[row] for row in places.values())
        index = shard_set.index
        planned = Plan(kept, (), index.side)
        return write(folder, index.picture_set, planned, index.per_shard, index.decoder, load, progress, index)


def _counted(values: Iterator[str]) -> str:
    return ", ".join(f"{value} {count:,}" for value, count in Counter(values).most_common())
