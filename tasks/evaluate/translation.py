"""Measures of a recipe that paints photos, beside what it must beat.

That is its untrained self, the photo as it is, the photo merely recoloured, and prints against prints.
"""

from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.errors import BarenError
from tasks.evaluate.grid import write_grid
from tasks.evaluate.settings import Evaluate
from tasks.files import no_half_folder, write_json
from tasks.measures.content import match, retrieval
from tasks.measures.palette import palette, recoloured
from tasks.measures.pictures import to_bytes, to_float
from tasks.measures.swd import swd
from tasks.progress import Progress

Painter = Callable[[Tensor], Tensor]  # float32 [B, 3, H, W] in (-1, 1) -> the same
Pictures = NDArray[np.uint8]  # [N, side, side, 3]


def run(
    *,
    paint: Painter,
    untrained: Painter,
    photos: Pictures,
    prints: Pictures,
    answers: Pictures | None,
    out: Path,
    settings: Evaluate,
    progress: Progress,
    last: Painter | None = None,
) -> dict[str, float]:
    """Measure `paint` on held-out `photos` and `prints`; writes metrics.json and pictures.png, gives the metrics.

    `answers`, where the style is known, holds the right painting of each photo. `paint` is the recipe at its best,
    `last` as training left it. Raises BarenError where there are too few pictures or their sizes differ.

    The metrics are flat: swd, palette (to held-out prints), content_luminance, content_edges, and with answers
    answer_swd, answer_palette, answer_l1 (mean absolute difference in (-1, 1), so at most 2), answer_match. A name
    without suffix is the recipe; _last its last state; _untrained the same networks before step one; _untouched the
    photo itself; _recoloured the photo in the prints' mean colours; _floor real prints against real prints.
    """
    _require(photos, prints, answers)
    real_photos, real_prints = (_tensor(pictures[: settings.pictures]) for pictures in (photos, prints))
    known = None if answers is None else _tensor(answers[: settings.pictures])

    paintings = {
        "": _painted(paint, real_photos, settings.batch, progress, "paint"),
        "_untrained": _painted(untrained, real_photos, settings.batch, progress, "paint untrained"),
        "_untouched": real_photos,
        "_recoloured": recoloured(real_photos, real_prints),
    }
    if last is not None:
        paintings["_last"] = _painted(last, real_photos, settings.batch, progress, "paint with the last state")

    metrics = _floors(real_prints, settings)
    for suffix, painted in progress.track(paintings.items(), "measure", unit="sets"):
        found = measured(real_photos, painted, real_prints, known, settings.seed)
        metrics |= {name + suffix: value for name, value in found.items()}

    rows = [real_photos, paintings[""]] + ([] if known is None else [known])
    with no_half_folder(out) as folder:
        write_json(folder / "metrics.json", {name: round(value, 6) for name, value in metrics.items()})
        write_grid(folder / "pictures.png", [row[: settings.shown] for row in rows])
    return metrics


def measured(photos: Tensor, paintings: Tensor, prints: Tensor, answers: Tensor | None, seed: int) -> dict[str, float]:
    """Every measure of one set of paintings, uint8 [N, H, W, 3], by its name without suffix."""
    content = retrieval(photos, paintings)
    found = {
        "swd": swd(paintings, prints, seed=seed),
        "palette": palette(paintings, prints, seed=seed),
        "content_luminance": content.luminance,
        "content_edges": content.edges,
    }
    if answers is not None:
        found |= {
            "answer_swd": swd(paintings, answers, seed=seed),
            "answer_palette": palette(paintings, answers, seed=seed),
            "answer_l1": (to_float(paintings) - to_float(answers)).abs().mean().item(),
            "answer_match": match(paintings, answers),
        }
    return found


def _floors(prints: Tensor, settings: Evaluate) -> dict[str, float]:
    """What real prints measure against real prints: halves of the set, at random, several times."""
    half = len(prints) // 2
    distances: list[tuple[float, float]] = []
    for turn in range(settings.floors):
        order = torch.randperm(len(prints), generator=torch.Generator().manual_seed(settings.seed + turn))
        left, right = prints[order[:half]], prints[order[half : 2 * half]]
        distances.append((swd(left, right, seed=settings.seed), palette(left, right, seed=settings.seed)))
    return {"swd_floor": fmean(s for s, _ in distances), "palette_floor": fmean(p for _, p in distances)}


@torch.inference_mode()
def _painted(paint: Painter, photos: Tensor, batch: int, progress: Progress, what: str) -> Tensor:
    batches = progress.track(photos.split(batch), what, unit="batches")
    return torch.cat([to_bytes(paint(to_float(some))).cpu() for some in batches])


def _require(photos: Pictures, prints: Pictures, answers: Pictures | None) -> None:
    for name, pictures in (("photos", photos), ("prints", prints)):
        if len(pictures) < 2:
            raise BarenError(
                f"evaluate needs at least 2 held-out {name} and has {len(pictures)}; "
                "collect more pictures or raise shard.held_out of their set"
            )
    if photos.shape[1:] != prints.shape[1:]:
        raise BarenError(
            f"the photos are {_size(photos)} and the prints {_size(prints)} pixels; "
            "give both picture sets one prepare.side"
        )
    assert answers is None or answers.shape == photos.shape, "one answer a photo, of its size"


def _size(pictures: Pictures) -> str:
    return "x".join(str(side) for side in pictures.shape[1:3])


def _tensor(pictures: Pictures) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pictures))
