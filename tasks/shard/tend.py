"""Looking at a set that stands: what is in it, and whether any of it is damaged."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tasks.errors import BarenError, ShardError
from tasks.progress import Progress
from tasks.rows import ITEMS
from tasks.shard.items import Items
from tasks.shard.layout import INDEX, check_file, read_index
from tasks.shard.read import ShardSet


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


def _counted(values: Iterator[str]) -> str:
    return ", ".join(f"{value} {count:,}" for value, count in Counter(values).most_common())
