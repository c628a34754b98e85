"""Prints of a recipe that paints from noise: many are drawn, the best that differ are kept and enlarged."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
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
    drawer = Drawer(network, device, progress)
    noise = drawer.noise(settings.draw, settings.seed, settings.mean, settings.deviation)
    pixels, scores = judged(drawer.draw(noise), examples, score)
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


class Drawer:
    """A network that paints from noise [B, network.noise], and the device it paints on."""

    def __init__(self, network: nn.Module, device: torch.device, progress: Progress) -> None:
        self.network: Any = network.eval().to(device)
        self.device, self.progress = device, progress

    def noise(self, num: int, seed: int, mean: float, deviation: float) -> Tensor:
        """The noise of `num` pictures, normal, float32 [num, Z]; the same on every device."""
        chance = torch.Generator().manual_seed(seed)
        return (mean + deviation * torch.randn(num, self.network.noise, generator=chance)).to(self.device)

    def draw(self, noise: Tensor) -> Tensor:
        """What the network makes of `noise`: float32 [N, 3, side, side] in (-1, 1)."""
        batches = self.progress.track(noise.split(BATCH), "draw", unit="batches")
        with torch.inference_mode():
            return torch.cat([self.network(part).cpu() for part in batches])  # where the critics lie

    def pixels(self, noise: Tensor) -> Pixels:
        """The same as uint8 [N, side, side, 3]."""
        return to_pixels(self.draw(noise)).cpu().numpy()


def judged(drawn: Tensor, examples: Pixels, score: Score | None) -> tuple[Pixels, NDArray[np.float32]]:
    """Drawings as uint8 [N, side, side, 3] and how good each is, by `score` or by likeness to the examples."""
    pixels: Pixels = to_pixels(drawn).cpu().numpy()
    if score:
        return pixels, scored(drawn, score)
    known = len(examples) > NEAREST
    return pixels, likeness(pixels, examples) if known else np.zeros(len(pixels), np.float32)
