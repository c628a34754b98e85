"""Nights of two per cent of new pictures: can each be brought back, and what does the cache grow by."""

import hashlib
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.operations_project import Server, flows, make_project, run

FIRST, GROWTH = 200, 0.02  # pictures of the first night, and the share that each further one brings
SIDE, PER_SHARD = 400, 64  # px of a picture: noise, as large in bytes as a photograph of three times the side
PACKED = 64  # px of a picture in a shard
FOLDERS = ("data/1-raw", "data/2-prepared", "data/3-shards")


def nights(folder: Path, server: Server, num: int) -> dict[str, Any]:
    """Collect `num` nights through the flow, then bring each back into a fresh clone that shares the cache."""
    came = folder / "came"
    came.mkdir(parents=True)
    project = make_project(folder / "nights", _params(came))
    kept: list[tuple[str, str]] = []
    over_bound: list[float] = []
    arrived = 0
    for night in range(num + 1):  # the first fills the set
        new = FIRST if night == 0 else max(1, round(arrived * GROWTH))
        before, num_bytes = _size(project / ".dvc/cache/files"), _arrive(came, arrived, new)
        arrived += new
        said = flows("collect", project=project, server=server).said
        assert f"collect: {new} new pictures" in said, said[-2000:]
        tag = run(["git", "describe", "--tags", "--abbrev=0", "kept"], project).strip()
        kept.append((tag, fingerprint(project)))
        if night:
            grown = _size(project / ".dvc/cache/files") - before
            bound = 1.3 * num_bytes + PER_SHARD * PACKED * PACKED * 3
            over_bound.append(grown / bound)
            print(f"night {night}: {new} pictures of {num_bytes / 1e6:.2f} MB; the cache grew by {grown / 1e6:.2f} MB, "
                  f"{grown / bound:.2f} of the bound", flush=True)  # fmt: skip
    restored = sum(_brought_back(project, folder / "clone", tag) == then for tag, then in kept[1:])
    shutil.rmtree(folder)
    return {"nights": num, "nights_restored": restored, "storage_over_bound": round(max(over_bound), 3)}


def _params(came: Path) -> dict[str, Any]:
    """One set of what came, nothing trained; noise has no border, and looking for one takes long in it."""
    recipe = {"from": "grows", "to": "grows", "networks": {}, "train": {}, "evaluate": {}, "infer": {}}
    scrape = {"use": "folder", "limit": 100_000, "contact": "", "query": {"path": str(came), "licence": "CC0"}}
    shard = {"held_out": 0.1, "seed": 0, "per_shard": PER_SHARD}
    pictures = {"grows": {"scrape": scrape, "prepare": {"side": PACKED, "trim": False}, "shard": shard}}
    return {"pictures": pictures, "recipes": {"portraits": recipe}, "report": {}}


def _arrive(came: Path, first: int, num: int) -> int:
    """Put `num` new pictures where they are collected from; their bytes."""
    total = 0
    for number in range(first, first + num):
        chance = np.random.default_rng(number)
        coarse = Image.fromarray(chance.integers(0, 256, (8, 8, 3), np.uint8)).resize((SIDE, SIDE))
        noise = chance.integers(-40, 40, (SIDE, SIDE, 3))
        path = came / f"{number:06}.jpg"
        Image.fromarray(np.clip(np.asarray(coarse) + noise, 0, 255).astype(np.uint8)).save(path, quality=95)
        total += path.stat().st_size
    return total


def _brought_back(project: Path, clone: Path, tag: str) -> str:
    """The data of a kept version, from git and the cache alone."""
    if not clone.exists():
        run(["git", "clone", "-q", str(project), str(clone)], project)
        local = f"[core]\n    site_cache_dir = {clone}/.dvc/site\n[cache]\n    dir = {project}/.dvc/cache\n"
        (clone / ".dvc/config.local").write_text(local)
    run(["git", "checkout", "-q", tag], clone)
    stages = [f"{step}@grows" for step in ("scrape", "prepare", "shard")]
    run([sys.executable, "-m", "dvc", "checkout", "--force", *stages], clone)
    return fingerprint(clone)


def fingerprint(project: Path) -> str:
    """One hash for every file that was collected, prepared and packed."""
    found = hashlib.sha256()
    for folder in FOLDERS:
        for path in sorted((project / folder).rglob("*")):
            if path.is_file():
                found.update(f"{path.relative_to(project)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return found.hexdigest()


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
