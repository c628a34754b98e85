"""100,000 ledger rows: read, filtered, searched for copies, reported and written, in a process of their own.

python -m benchmarks.ingest_ledger RAW OUT prints its CPU seconds and the memory it grew by, as JSON.
"""

import gc
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

from pipelines.__main__ import ROWS_UNSEEN
from tasks.files import write_json
from tasks.prepare.copies import Decision, without_copies
from tasks.prepare.decide import kept
from tasks.prepare.ledger import candidates, report_of, require_some, write
from tasks.rows import Crop, Origin, Scraped, write_rows

Figures = dict[str, float]


def make(raw: Path, num: int) -> None:
    """A raw folder with `num` rows, one in ten of another query, and no picture."""
    write_json(raw / "query.json", {"query": "now"})
    write_rows(raw / "items", (_row(number) for number in range(num)))


def _row(number: int) -> Scraped:
    name = f"flickr:{50_000_000_000 + number}"
    origin = Origin(
        source="flickr", page=f"https://www.flickr.com/photos/someone/{number}", url=f"https://live/{number}_o.jpg",
        title=f"A view of the valley, {number}", author=f"Somebody {number % 5000}", date="2019-05-04",
        licence="CC BY 2.0", licence_url="https://creativecommons.org/licenses/by/2.0/", tags=("landscape", "valley"),
    )  # fmt: skip
    return Scraped(
        id=name, batch=1 + number // 10_000, query="before" if number % 10 == 9 else "now", outcome="kept", reason="",
        origin=origin, group=name, file=f"pictures/{number % 256:02x}/{number}.jpg", sha256=f"{number:064x}",
        bytes=131_000, width=1024, height=768, format="jpeg",
    )  # fmt: skip


def judge(raw: Path, out: Path) -> Figures:
    """Everything prepare does but opening pictures."""
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    rows, _ = candidates(raw)
    hashes = np.random.default_rng(0).integers(0, 2**64, len(rows), dtype=np.uint64).tolist()
    measures = {"aspect": 1.333, "sharpness": 0.41, "information": 7.1, "colour": 17.0}
    decisions = [
        Decision(kept(row, [(Crop(384, 256, 256, 256, 256), None)], measures), likeness, 1024 * 768)
        for row, likeness in zip(rows, hashes, strict=True)
    ]
    ledger = without_copies(decisions, 4)
    require_some("bench", ledger)
    write(out, ledger, report_of("bench", ledger, len(rows)))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"ledger_100k_s": time.process_time() - began, "ledger_100k_mb": grown / 1024}


if __name__ == "__main__":
    gc.set_threshold(ROWS_UNSEEN)  # as the door does
    print(json.dumps(judge(Path(sys.argv[1]), Path(sys.argv[2]))))
