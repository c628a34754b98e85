"""Freeing a set of the rows that were dropped, whose pixels stay in its files until then."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tasks.errors import ShardError
from tasks.progress import Progress
from tasks.rows import Packed
from tasks.shard.layout import Index
from tasks.shard.plan import Plan
from tasks.shard.read import ShardSet
from tasks.shard.write import Pixels, write


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
