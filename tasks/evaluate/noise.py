"""Measures of a recipe that makes pictures from noise, beside its untrained self and real pictures."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from tasks.evaluate.card import About
from tasks.evaluate.likeness import Likeness, Pictures, as_tensor, require_pictures
from tasks.evaluate.results import write_results
from tasks.evaluate.settings import Evaluate
from tasks.measures.memory import nearest_known
from tasks.measures.pictures import to_bytes
from tasks.progress import Progress

Sampler = Callable[[int, int], Tensor]  # (how many, seed) -> float32 [n, 3, H, W] in (-1, 1)


def run(
    *,
    sample: Sampler,
    untrained: Sampler,
    reals: Pictures,
    known: Pictures,
    out: Path,
    settings: Evaluate,
    progress: Progress,
    last: Sampler | None = None,
    about: About | None = None,
) -> dict[str, float]:
    """Measure what `sample` makes against held-out `reals`; writes results.py's files, gives the metrics.

    `known` are the pictures learned from. `sample` is the recipe at its best, `last` as training left it. Raises
    BarenError where there are too few pictures.

    The metrics are flat: swd, palette, rkid (to held-out pictures), ms_ssim, duplicates, copies; a name without suffix
    is the recipe, _last its last state, _untrained networks like its own before step one, of train.seed, whichever seed
    of several was chosen, _floor real pictures against real ones. The grid shows made pictures, under each the picture
    learned from that is nearest, and real ones.
    """
    require_pictures(pictures=reals)
    held_out, learned = as_tensor(reals, settings.pictures), as_tensor(known, settings.known)
    likeness = Likeness(held_out, learned, settings)
    samplers = {"": sample, "_untrained": untrained} | ({} if last is None else {"_last": last})
    made = {
        suffix: _made(sampler, settings, progress, f"make pictures{suffix.replace('_', ' ')}")
        for suffix, sampler in samplers.items()
    }

    metrics = {f"{name}_floor": value for name, value in likeness.floor().items()}
    for suffix, pictures in progress.track(made.items(), "measure", unit="sets"):
        metrics |= {name + suffix: value for name, value in likeness.of(pictures).items()}

    shown = made[""][: settings.shown]
    rows = {
        "made pictures": shown,
        "the nearest of those learned from": learned[nearest_known(shown, learned)],
        "real pictures": held_out[: settings.shown],
    }
    write_results(out, metrics, rows, settings.shown, about)
    return metrics


@torch.inference_mode()
def _made(sample: Sampler, settings: Evaluate, progress: Progress, what: str) -> Tensor:
    """settings.pictures pictures, each batch from a seed of its own."""
    firsts = range(0, settings.pictures, settings.batch)
    batches = progress.track(firsts, what, unit="batches")
    return torch.cat(
        [
            to_bytes(sample(min(settings.batch, settings.pictures - first), settings.seed + first)).cpu()
            for first in batches
        ]
    )
