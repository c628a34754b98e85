"""The step shard: kept crops become uint8 tensors on disk that feed training at memory speed."""

from concurrent.futures import Executor
from pathlib import Path

from tasks.progress import Progress
from tasks.shard.settings import Shard

__all__ = ["Shard", "run"]


def run(
    *,
    picture_set: str,
    raw: Path,
    prepared: Path,
    out: Path,
    settings: Shard,
    executor: Executor,
    progress: Progress,
) -> None:
    """Pack data/2-prepared/SET's kept crops into data/3-shards/SET (`out`); see tasks/shard/layout.py for the format.

    Raises ShardError (nothing to pack, crops of several sizes, nothing held out, an original that changed), NoRoom.
    """
    from tasks.shard.write import build  # numpy and Pillow only where pictures are packed

    build(
        picture_set=picture_set,
        raw=raw,
        prepared=prepared,
        out=out,
        settings=settings,
        executor=executor,
        progress=progress,
    )
