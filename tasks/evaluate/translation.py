"""Measures of a recipe that paints photos, beside what it must beat.

That is its untrained self, the photo as it is, the photo merely recoloured, and prints against prints.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from tasks.evaluate.card import About
from tasks.evaluate.likeness import Likeness, Pictures, as_tensor, require_pictures
from tasks.evaluate.results import write_results
from tasks.evaluate.settings import Evaluate
from tasks.measures.content import match, retrieval
from tasks.measures.palette import palette, recoloured
from tasks.measures.pictures import to_bytes, to_float
from tasks.measures.swd import swd
from tasks.progress import Progress

Painter = Callable[[Tensor], Tensor]  # float32 [B, 3, H, W] in (-1, 1) -> the same


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
    known: Pictures | None = None,
    about: About | None = None,
) -> dict[str, float]:
    """Measure `paint` on held-out `photos` and `prints`; writes results.py's files, gives the metrics.

    `paint` is the recipe at its best, `last` as training left it. `answers`, where the style is known, holds the right
    painting of each photo. `known` are prints the recipe learned from. Raises BarenError where there are too few
    pictures or their sizes differ.

    The metrics are flat: swd, palette, rkid (to held-out prints), ms_ssim, duplicates, copies, content_luminance,
    content_edges, and with answers answer_swd, answer_palette, answer_l1 (mean absolute difference in (-1, 1), so at
    most 2), answer_match. A name without suffix is the recipe; _last its last state; _untrained networks like its own
    before step one, of train.seed, whichever seed of several was chosen; _untouched the photo itself; _recoloured the
    photo in the prints' mean colours; _floor real prints against real prints (of duplicates: the photos').
    """
    require_pictures(photos=photos, prints=prints)
    assert answers is None or answers.shape == photos.shape, "one answer a photo, of its size"
    real_photos, real_prints = (as_tensor(pictures, settings.pictures) for pictures in (photos, prints))
    right = None if answers is None else as_tensor(answers, settings.pictures)
    likeness = Likeness(
        real_prints, None if known is None else as_tensor(known, settings.known), settings, photos=real_photos
    )

    painters = {"": paint, "_untrained": untrained} | ({} if last is None else {"_last": last})
    paintings = {
        suffix: _painted(painter, real_photos, settings.batch, progress, f"paint{suffix.replace('_', ' ')}")
        for suffix, painter in painters.items()
    } | {"_untouched": real_photos, "_recoloured": recoloured(real_photos, real_prints)}

    metrics = {f"{name}_floor": value for name, value in likeness.floor().items()}
    for suffix, painted in progress.track(paintings.items(), "measure", unit="sets"):
        found = likeness.of(painted) | _content(real_photos, painted)
        if right is not None:
            found |= _answers(painted, right, settings.seed)
        metrics |= {name + suffix: value for name, value in found.items()}

    rows = {"the photo": real_photos, "the painting": paintings[""]}
    if last is not None and not torch.equal(paintings["_last"], paintings[""]):
        rows["the painting of the last state"] = paintings["_last"]
    if right is not None:
        rows["the right answer"] = right
    write_results(out, metrics, rows, settings.shown, about)
    return metrics


def _content(photos: Tensor, paintings: Tensor) -> dict[str, float]:
    found = retrieval(photos, paintings)
    return {"content_luminance": found.luminance, "content_edges": found.edges}


def _answers(paintings: Tensor, answers: Tensor, seed: int) -> dict[str, float]:
    return {
        "answer_swd": swd(paintings, answers, seed=seed),
        "answer_palette": palette(paintings, answers, seed=seed),
        "answer_l1": (to_float(paintings) - to_float(answers)).abs().mean().item(),
        "answer_match": match(paintings, answers),
    }


@torch.inference_mode()
def _painted(paint: Painter, photos: Tensor, batch: int, progress: Progress, what: str) -> Tensor:
    batches = progress.track(photos.split(batch), what, unit="batches")
    return torch.cat([to_bytes(paint(to_float(some))).cpu() for some in batches])
