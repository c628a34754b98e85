"""Shards: what delivery costs beside memory and other libraries, what growth rewrites, and how fast shards are written.

Delivery is timed in turns within one process (benchmarks/turns.py), on one thread, from a warm cache, shuffled.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from benchmarks import shards_readers as readers
from benchmarks.turns import Step, Timing, in_turns
from tasks.rows import Packed
from tasks.shard.compact import compact
from tasks.shard.read import ShardSet

Figures = dict[str, float | None]
PER_SHARD = 256  # the default at 256 px, also where smaller pictures stand in for those
GROWN = 10_000  # pictures before a night's five hundred more


def main(quick: bool = False) -> Figures:
    """All figures; `quick` takes fewer pictures and ends within 10 minutes on 2 cores."""
    torch.set_num_threads(1)
    project = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="shards-bench-", dir=_place()) as folder:
        os.chdir(folder)
        try:
            return {
                **_delivery(num=1_000 if quick else 4_000, slice_s=0.15, rounds=16 if quick else 32),
                **_growth_of_cost(slice_s=0.15, rounds=6 if quick else 24, quick=quick),
                **_memory(project),
                **_changes(),
                **_storage(project, side=128 if quick else 256),
                **_writing(num=2_000 if quick else 4_000),
            }
        finally:
            os.chdir(project)


def _delivery(num: int, slice_s: float, rounds: int) -> Figures:
    """CPU time a picture: ours from the disk and from memory, one copy in memory, and the libraries."""
    figures: Figures = {}
    for side in (256, 64):
        crops = readers.photographs(side)
        shard_set = readers.pack(Path(f"ours-{side}"), readers.rows(num, side), crops)
        steps: dict[str, Step | None] = {
            "memcpy (the limit)": readers.memory_limit(crops, num),
            "ours, from the disk": readers.ours(shard_set),
            "ours, from memory": readers.ours(shard_set, residency="host"),
            "ours, float32 on the CPU": readers.ours(shard_set, finished=True),
        }
        if side == 256:
            steps |= {
                "litdata, raw": readers.litdata(Path("litdata"), crops, num),
                "mosaicml-streaming, raw": readers.mosaic(Path("mosaic"), crops, num),
                "webdataset, raw": readers.webdataset(Path("webdataset"), crops, num),
                "ImageFolder, ToTensor, Normalize": readers.image_folder(Path("imagefolder"), crops, num),
            }
        keep_warm = {name: partial(readers.warm, shard_set.folder) for name in steps if name.startswith("ours")}
        timings = in_turns({name: step for name, step in steps.items() if step}, rounds, slice_s, keep_warm)
        mine = timings["ours, from the disk"].cpu_us
        _table(f"{side} px, {num:,} pictures, batches of {readers.BATCH}", timings, mine)
        figures |= {f"cpu_us_{side}": mine, f"cpu_us_{side}_memory": timings["ours, from memory"].cpu_us}
        figures[f"memcpy_us_{side}"] = limit = timings["memcpy (the limit)"].cpu_us
        if side == 256:
            figures["over_memcpy"] = mine / limit
            for name, key in (("litdata, raw", "litdata"), ("mosaicml-streaming, raw", "mosaic"),
                              ("webdataset, raw", "webdataset"),
                              ("ImageFolder, ToTensor, Normalize", "imagefolder")):  # fmt: skip
                figures[f"ratio_{key}"] = timings[name].cpu_us / mine if name in timings else None
            if "litdata, raw" in timings:
                figures["ratio_litdata_memory"] = timings["litdata, raw"].cpu_us / timings["ours, from memory"].cpu_us
            floats = timings["ours, float32 on the CPU"].cpu_us
            figures["ratio_imagefolder_float"] = timings["ImageFolder, ToTensor, Normalize"].cpu_us / floats
    return figures


def _growth_of_cost(slice_s: float, rounds: int, quick: bool) -> Figures:
    """Whether a picture out of many costs more than one out of few."""
    figures: Figures = {}
    for side, key, nums in (
        (64, "growth_64k", (1_000, 4_000, 16_000, 64_000)),
        (256, "growth_16k_256", (1_000, 16_000)),
    ):
        if quick and side == 256:
            continue
        crops = readers.photographs(side)
        sets = {num: readers.pack(Path(f"grown-{side}-{num}"), readers.rows(num, side), crops) for num in nums}
        steps = {f"{num:,}": readers.ours(shard_set) for num, shard_set in sets.items()}
        for num in nums:
            for _ in range(num // readers.BATCH):  # one epoch: what follows is warm
                steps[f"{num:,}"]()
        few, many = f"{nums[0]:,}", f"{nums[-1]:,}"
        if side == 64:
            steps |= {
                f"memcpy, {name}": readers.memory_limit(crops, int(name.replace(",", ""))) for name in (few, many)
            }
        keep_warm = {f"{num:,}": partial(readers.warm, shard_set.folder.absolute()) for num, shard_set in sets.items()}
        timings = in_turns(steps, rounds, slice_s, keep_warm)
        _table(f"{side} px, sets of", timings, timings[few].cpu_us)
        figures[key] = timings[many].cpu_us / timings[few].cpu_us
        if side == 64:
            figures[f"{key}_memcpy"] = timings[f"memcpy, {many}"].cpu_us / timings[f"memcpy, {few}"].cpu_us
            figures["cpu_us_64_of_64k"] = timings[many].cpu_us
    return figures


def _memory(project: Path) -> Figures:
    """What streaming the 64,000 pictures adds to an interpreter that has imported the same modules, in MB."""
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from benchmarks import shards_readers as readers\n"
        "def peak():\n"
        "    status = Path('/proc/self/status').read_text().splitlines()\n"
        "    return next(int(line.split()[1]) for line in status if line.startswith('VmHWM')) / 1024\n"
        "before = peak()\n"
        "step = readers.ours(readers.ShardSet(Path(sys.argv[1]), verify='header'))\n"
        "[step() for _ in range(3000)]\n"
        "print(before, peak())\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", script, str(Path("grown-64-64000").absolute())],
        cwd=project, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    imported, streamed = (float(part) for part in told.split())
    print(f"\nmemory: {imported:,.0f} MB with torch imported, {streamed:,.0f} MB after streaming 96,000 pictures")
    return {"rss_mb": streamed - imported, "rss_mb_with_torch": streamed}


def _changes() -> Figures:
    """How many shard files change when 10,000 pictures grow by 5 %, by 1, or lose one."""
    crops = readers.photographs(8)
    rows = readers.rows(GROWN, 8)
    more = readers.rows(GROWN // 20, 8, start=GROWN, batch=2)

    def files(shard_set: ShardSet) -> dict[str, str]:
        return {shard.file: shard.sha256 for shard in shard_set.index.shards}

    def changed(name: str, after: ShardSet) -> float:
        num = len(set(files(after).items()) - set(before.items()))
        print(f"{name}: {num} of {len(after.index.shards)} files change")
        return num

    print()
    folder = Path("changes")
    before = files(readers.pack(folder, rows, crops, PER_SHARD))
    figures: Figures = {
        "changed_5pct": changed("5 % more", readers.pack(folder, rows + more, crops, PER_SHARD)),
        "changed_1": changed("1 more", readers.pack(folder, rows + more[:1], crops, PER_SHARD)),
    }
    figures["changed_drop"] = changed("1 dropped", readers.pack(folder, rows, crops, PER_SHARD, dropped=(4_321,)))
    compact(folder, readers.Quiet())
    changed("compacted after that", ShardSet(folder, verify="header"))
    return figures


def _storage(project: Path, side: int) -> Figures:
    """How much DVC's cache grows when 5 % more pictures are packed, with everything written anew."""
    folder = Path("dvc")
    folder.mkdir()
    crops = readers.photographs(side)

    def dvc(*command: str) -> None:
        program = Path(sys.executable).with_name("dvc")
        subprocess.run([program, *command], cwd=folder, check=True, capture_output=True)

    def cache_bytes() -> int:
        return sum(path.stat().st_size for path in (folder / ".dvc" / "cache").rglob("*") if path.is_file())

    dvc("init", "--no-scm", "--quiet")
    shutil.copy(project / ".dvc" / "config", folder / ".dvc" / "config")
    (folder / ".dvc" / "config.local").write_text("[core]\n    no_scm = true\n")
    rows = readers.rows(GROWN, side)
    sizes: list[int] = []
    for packed in (rows, rows + readers.rows(GROWN // 20, side, start=GROWN, batch=2)):
        shutil.rmtree(folder / "shards", ignore_errors=True)
        readers.pack(folder / "shards", packed, crops, PER_SHARD)
        dvc("add", "shards")
        sizes.append(cache_bytes())
    growth = sizes[1] / sizes[0] - 1
    print(f"DVC, {GROWN:,} pictures of {side} px and 5 % more: cache {sizes[0] / 1e6:,.0f} -> {sizes[1] / 1e6:,.0f} MB")
    shutil.rmtree(folder)
    return {"dvc_growth_5pct": growth}


def _writing(num: int) -> Figures:
    """256 px pictures a second from decoded crops to files that are hashed, synced and renamed; the best of three."""
    crops = readers.photographs(256)
    rows: tuple[Packed, ...] = readers.rows(num, 256)
    rates: list[tuple[float, float]] = []
    for attempt in range(3):
        wall, cpu = time.perf_counter(), time.process_time()
        readers.pack(Path("written"), [replace(row, sha256=f"{attempt:064x}") for row in rows], crops)
        rates.append((num / (time.process_time() - cpu), num / (time.perf_counter() - wall)))
        shutil.rmtree("written")
    by_cpu, by_wall = max(rate for rate, _ in rates), max(rate for _, rate in rates)
    print(f"writing {num:,} pictures of 256 px: {by_cpu:,.0f} a CPU second, {by_wall:,.0f} a second by the clock")
    return {"write_per_s": by_cpu, "write_per_s_clock": by_wall}


def _table(title: str, timings: dict[str, Timing], mine: float) -> None:
    print(f"\n{title:<42} CPU us/picture   of ours   best/s   median/s")
    for name, timing in timings.items():
        print(
            f"  {name:<40} {timing.cpu_us:>14,.1f} {timing.cpu_us / mine:>8.1f}x"
            f" {timing.best_rate:>9,.0f} {timing.median_rate:>10,.0f}"
        )


def _place() -> Path:
    """On the disk that holds the project's scratch, not in a temporary folder that may be memory."""
    place = Path(".scratch").absolute()
    place.mkdir(exist_ok=True)
    return place
