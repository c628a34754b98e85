"""Small picture sets for the tests of shards: originals, their ledger, and the shards made of them."""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from PIL import Image

from tasks import shard
from tasks.progress import Progress
from tasks.rows import Crop, Origin, Prepared, write_rows
from tasks.shard import Shard

SIDE = 16


def draw(seed: int) -> np.ndarray:
    """A picture of noise, uint8 [20, 24, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (20, 24, 3), dtype=np.uint8)


def originals(folder: Path, seeds: Sequence[int], batch: int = 1) -> list[Prepared]:
    """Write one PNG a seed under `folder`/1-raw; give the ledger rows that cut SIDE pixels out of each."""
    rows: list[Prepared] = []
    for seed in seeds:
        data = io.BytesIO()
        Image.fromarray(draw(seed)).save(data, "PNG")
        name = f"pictures/{seed:04}.png"
        (folder / "1-raw" / "pictures").mkdir(parents=True, exist_ok=True)
        (folder / "1-raw" / name).write_bytes(data.getvalue())
        rows.append(
            Prepared(
                id=f"test:{seed:04}",
                picture=f"test:{seed:04}",
                batch=batch,
                outcome="kept",
                reason="",
                origin=Origin("test", "page", "url", tags=("a", "b")),
                group=f"test:{seed:04}",
                sha256=sha256(data.getvalue()).hexdigest(),
                file=name,
                crop=Crop(2, 3, SIDE, SIDE, SIDE),
            )
        )
    return rows


def refused(row: Prepared, reason: str = "curated") -> Prepared:
    """The row as prepare writes it when the picture is not wanted."""
    return replace(row, outcome="refused", reason=reason, crop=None, file=None)


def pack(folder: Path, rows: Sequence[Prepared], *, quiet: Progress | None = None, **settings: object) -> Path:
    """Run the shard step on the ledger `rows`; gives the folder of shards."""
    write_rows(folder / "2-prepared" / "items", rows)
    with ThreadPoolExecutor(1) as executor:
        shard.run(
            picture_set="tiny",
            raw=folder / "1-raw",
            prepared=folder / "2-prepared",
            out=folder / "3-shards",
            settings=Shard.read({"per_shard": 8, "held_out": 0.25, **settings}, "pictures.tiny.shard"),
            executor=executor,
            progress=quiet or Progress(out=io.StringIO()),
        )
    return folder / "3-shards"


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, by its path in it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
