"""What a prepared set is made of: counts, sizes, measures and colours, and its datasheet.

The datasheet answers, as far as rows can, the questions of Gebru et al., "Datasheets for Datasets" (2021): where the
pictures come from, who made them, under which licences, when they were collected, and what was left out and why.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from tasks.files import read_json_lines
from tasks.picture import Pixels
from tasks.rows import Prepared, Scraped

LEVELS = 8  # of each channel, in which colours are counted
SAMPLE = 64  # pixels of the side of the copy whose colours are counted
NUM_COLOURS = 16  # of the palette that is told
NUM_BINS = 12  # of a measure's histogram
SIDES = (0, 64, 128, 256, 384, 512, 768, 1024, 1536, 2048, 4096, 8192)  # pixels; the bounds of the sizes' histogram

Colours = npt.NDArray[np.int64]  # [LEVELS**3], counts


def colours(picture: Pixels) -> Colours:
    """How often each of 512 colours occurs in a small copy of `picture`, uint8 [H, W, 3]."""
    small = np.asarray(cv2.resize(picture, (SAMPLE, SAMPLE), interpolation=cv2.INTER_AREA), np.int64)
    red, green, blue = (small[..., channel].ravel() * LEVELS // 256 for channel in range(3))
    return np.bincount((red * LEVELS + green) * LEVELS + blue, minlength=LEVELS**3)


def describe(
    raw: Path, candidates: Sequence[Scraped], rows: Sequence[Prepared], seen: Iterable[Colours]
) -> dict[str, Any]:
    """What report.json tells of the set as a whole, as JSON can hold it; `seen` are the kept pictures' colours."""
    kept = {row.picture: row for row in rows if row.outcome == "kept"}
    return {
        "sizes": _sizes([row for row in candidates if row.id in kept]),
        "measures": _measures([row.measures for row in kept.values()]),
        "palette": _palette(seen),
        "datasheet": _datasheet(raw, candidates, kept),
    }


def _sizes(originals: Sequence[Scraped]) -> dict[str, Any]:
    """The kept originals by their short side, in pixels."""
    sides = [min(row.width, row.height) for row in originals if row.width and row.height]
    return {"bounds": SIDES, "counts": np.histogram(sides, [*SIDES, np.inf])[0].tolist()}


def _measures(measured: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    names = sorted({name for measures in measured for name in measures})
    told: dict[str, Any] = {}
    for name in names:
        values = [measures[name] for measures in measured if name in measures]
        counts, bounds = np.histogram(values, NUM_BINS)
        told[name] = {"bounds": np.round(bounds, 4).tolist(), "counts": counts.tolist()}
    return told


def _palette(seen: Iterable[Colours]) -> list[dict[str, Any]]:
    """The commonest colours, as "#rrggbb" at the middle of their bin, each with its share of all pixels."""
    total = sum(seen, np.zeros(LEVELS**3, np.int64))
    middle = 256 // LEVELS // 2
    palette: list[dict[str, Any]] = []
    for number in np.argsort(-total, kind="stable")[:NUM_COLOURS].tolist():
        if total[number]:
            levels = number // LEVELS**2, number // LEVELS % LEVELS, number % LEVELS
            name = "#" + "".join(f"{level * 256 // LEVELS + middle:02x}" for level in levels)
            palette.append({"colour": name, "share": round(float(total[number] / total.sum()), 4)})
    return palette


def _datasheet(raw: Path, candidates: Sequence[Scraped], kept: Mapping[str, Prepared]) -> dict[str, Any]:
    origins = [row.origin for row in kept.values()]
    dates = sorted(origin.date for origin in origins if origin.date)
    batches = Counter(row.batch for row in candidates)
    opened = raw / "batches.jsonl"
    when = {row["batch"]: row["opened"] for row in read_json_lines(opened)} if opened.exists() else {}
    return {
        "sources": _counted(row.origin.source for row in candidates),
        "sources_kept": _counted(origin.source for origin in origins),
        "licences_kept": _counted(origin.licence for origin in origins),
        "authors_kept": len({origin.author for origin in origins if origin.author}),
        "without_author": sum(not origin.author for origin in origins),
        "groups_kept": len({row.group for row in kept.values()}),
        "dates_kept": {"first": dates[0], "last": dates[-1]} if dates else {},
        "collected": [
            {"batch": batch, "opened": when.get(batch, ""), "candidates": count}
            for batch, count in sorted(batches.items())
        ],
    }


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))
