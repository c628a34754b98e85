"""Prints of a recipe that paints from noise: many are drawn, the best that differ are kept and enlarged."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tasks.credits import write_credits
from tasks.files import fingerprint, no_half_folder, write_json
from tasks.infer.best import Score, chosen, likeness, scored
from tasks.infer.domain import NEAREST
from tasks.infer.paper import Wish, lay_out
from tasks.infer.press import Model, Order, make_print
from tasks.infer.probe import Reach
from tasks.infer.proof import small, write_proof
from tasks.infer.settings import Infer
from tasks.infer.source import Pixels, to_pixels
from tasks.progress import Progress
from tasks.rows import Origin

BATCH = 64  # pictures drawn at once
AS_IT_IS = Reach(stride=1, halo=0)


def run(
    *,
    network: nn.Module,
    examples: Pixels,
    out: Path,
    settings: Infer,
    progress: Progress,
    scratch: Path,
    device: torch.device,
    score: Score | None = None,
    checkpoint: str = "",
    learned_from: Sequence[Origin] = (),
) -> None:
    """Draw settings.draw pictures, keep settings.keep of them, and write each at the size `settings` ask for.

    `network` maps noise [B, network.noise] to [B, 3, side, side] in (-1, 1). They are judged by `score`, or, where
    there is none, by their likeness to `examples`, uint8 [N, side, side, 3]. `out` gets NAME.png and NAME.json of each,
    the best first, proof.jpg, drawn.json with all scores, and CREDITS.csv; it takes its place whole, at the end.
    """
    network = network.eval().to(device)
    drawn = _drawn(network, settings, device, progress)
    pixels = to_pixels(drawn).cpu().numpy()
    if score:
        scores = scored(drawn, score)
    else:
        scores = likeness(pixels, examples) if len(examples) > NEAREST else np.zeros(len(pixels), np.float32)
    kept = chosen(pixels, scores, settings.keep)
    with no_half_folder(out) as folder:
        for place, index in enumerate(progress.track(kept, "print", unit="drawings"), 1):
            name = f"drawing-{place:03}"
            wish = Wish(settings.size, settings.dpi, settings.fit, settings.bleed, settings.margin)
            sheet = lay_out(pixels.shape[1], pixels.shape[2], wish)
            key = fingerprint(checkpoint, settings.seed, settings.draw, index)
            order = Order(name, pixels[index], key, b"", sheet, (folder / f"{name}.png",))
            model = Model(nn.Identity(), AS_IT_IS, key)  # it is painted already: only its size changes
            report = make_print(order, model, settings, devices=[device], scratch=scratch, progress=progress)
            about = {"seed": settings.seed, "number": index, "of": settings.draw, "score": float(scores[index])}
            write_json(folder / f"{name}.json", {"drawing": about, "checkpoint": checkpoint, **report})
        write_proof(folder / "proof.jpg", [[small(pixels[index])] for index in kept])
        write_json(folder / "drawn.json", {"scores": [round(float(value), 5) for value in scores], "kept": kept})
        write_credits(folder, learned_from)


def _drawn(network: Any, settings: Infer, device: torch.device, progress: Progress) -> Tensor:
    chance = torch.Generator().manual_seed(settings.seed)
    noise = settings.mean + settings.deviation * torch.randn(settings.draw, network.noise, generator=chance)
    batches = noise.to(device).split(BATCH)
    with torch.inference_mode():
        return torch.cat([network(part) for part in progress.track(batches, "draw", unit="batches")])
