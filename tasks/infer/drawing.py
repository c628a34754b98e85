"""Prints of a recipe that paints from noise: many are drawn, the best that differ are kept and enlarged."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tasks.credits import write_credits
from tasks.files import fingerprint, no_half_folder, write_json
from tasks.infer import gather, told_of
from tasks.infer.best import Score, chosen, likeness, scored
from tasks.infer.contours import enlarged, times_for
from tasks.infer.domain import NEAREST
from tasks.infer.paper import lay_out
from tasks.infer.press import Model, Order, make_print, wish_of
from tasks.infer.probe import Reach
from tasks.infer.proof import Proof
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
    there is none, by their likeness to `examples`, uint8 [N, side, side, 3]. `out` gets NAME.png, NAME.json and
    previews/NAME.jpg of each, the best first, proof.jpg, drawn.json with all scores, and CREDITS.csv; it takes its
    place whole, at the end.
    """
    drawer = Drawer(network, device, progress)
    noise = drawer.noise(settings.draw, settings.seed, settings.mean, settings.deviation)
    pixels, scores = judged(drawer.draw(noise), examples, score)
    kept = chosen(pixels, scores, settings.keep)
    made: list[Path] = []
    done, proof = scratch / out.name, Proof()
    for place, index in enumerate(progress.track(kept, "print", unit="drawings"), 1):
        name = f"drawing-{place:03}"
        key = fingerprint(checkpoint, settings.seed, settings.draw, index)
        order = laid_out(pixels[index], name, key, settings, done / f"{name}.png")
        if place == 1 and order.sheet.enlarged > 1:
            progress.say(f"drawings are printed at {order.sheet.told('a drawing')}, and are enlarged along contours")
        about = {"seed": settings.seed, "number": index, "of": settings.draw, "score": float(scores[index])}
        told = {"drawing": about, "checkpoint": checkpoint, **told_of(learned_from)}
        model = Model(nn.Identity(), AS_IT_IS, key)  # it is painted already: only its size changes
        make_print(order, model, settings, told, devices=[device], scratch=scratch, progress=progress)
        proof.add([pixels[index]], [f"{place}"])
        made += order.files
    with no_half_folder(out) as folder:
        gather(made, done, folder)
        proof.write(folder / "proof.jpg")
        write_json(folder / "drawn.json", {"scores": [round(float(value), 5) for value in scores], "kept": kept})
        write_credits(folder, learned_from)
    shutil.rmtree(done)


def laid_out(drawing: Pixels, name: str, key: str, settings: Infer, target: Path) -> Order:
    """The order of a drawing [side, side, 3] on its paper, enlarged as far as its contours ask for."""
    wish = replace(wish_of(settings), paint_ppi=None)
    side = len(drawing)
    sheet = lay_out(side, side, wish)
    times = times_for(side, max(sheet.picture_height, sheet.picture_width)) if settings.enlarge == "contours" else 1
    sheet = replace(lay_out(times * side, times * side, wish), enlarged=times)
    return Order(name, enlarged(drawing, times), key, b"", sheet, (target,))


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
