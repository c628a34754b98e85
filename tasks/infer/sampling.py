"""Samples of a recipe that paints from noise: the best of many, the best that differ, strips, and an animation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from tasks.credits import NAME as CREDITS
from tasks.credits import write_credits
from tasks.errors import ParamsError
from tasks.files import no_half_file, no_half_folder, write_json
from tasks.infer.best import Score, chosen
from tasks.infer.drawing import Drawer, judged
from tasks.infer.latent import around, strips, write_animation
from tasks.infer.source import Pixels
from tasks.progress import Progress
from tasks.rows import Origin

GAP = 4  # pixels between two pictures of a sheet
FILES = ("samples.json", "best.png", "varied.png", "sample-[0-9]*.png", "strips.png", "walk.webp", CREDITS)
SHOWN = 96  # pixels: smaller pictures are enlarged by a whole number, to be seen on a screen


@dataclass(frozen=True)
class Sampling:
    """How many samples are wanted, and of what noise."""

    num: int = 64
    best_of: int = 512  # are drawn, of which `num` are kept
    seed: int = 0
    mean: float = 0.0  # of the noise
    deviation: float = 1.0
    steps: int = 8  # pictures from one to the next, in strips and in the animation
    ways: int = 6  # strips, and pictures that the animation passes

    def check(self) -> None:
        """Raises ParamsError where the numbers contradict each other."""
        for option, value, least in (("-n", self.num, 1), ("--ways", self.ways, 1), ("--steps", self.steps, 2)):
            if value < least:
                raise ParamsError(f"{option} is {value}; it must be at least {least}")
        if not 0 <= self.seed < 2**32:
            raise ParamsError(f"--seed is {self.seed}; it must be from 0 to {2**32 - 1}")
        for option, value in (("--mean", self.mean), ("--deviation", self.deviation)):
            if not math.isfinite(value):
                raise ParamsError(f"{option} is {value}; it must be a finite number")
        if self.deviation <= 0:
            raise ParamsError(f"--deviation is {self.deviation:g}; it must be above 0")
        if self.best_of < self.num:
            raise ParamsError(
                f"the best {self.num} of {self.best_of} cannot be kept; raise --best-of to {self.num} or more"
            )


def run(
    *,
    network: nn.Module,
    examples: Pixels,
    out: Path,
    sampling: Sampling,
    progress: Progress,
    device: torch.device,
    score: Score | None = None,
    checkpoint: str = "",
    learned_from: Sequence[Origin] = (),
) -> None:
    """Draw sampling.best_of pictures with `network`, noise [B, network.noise] -> [B, 3, side, side] in (-1, 1).

    `out` gets best.png (the highest scores first), varied.png (good ones that differ), each of the latter as
    sample-NNN.png, strips.png, walk.webp, samples.json with all scores and numbers, and CREDITS.csv; whole, at the end.
    The score is as in tasks.infer.drawing. Raises ParamsError.
    """
    sampling.check()
    drawer = Drawer(network, device, progress)
    noise = drawer.noise(sampling.best_of, sampling.seed, sampling.mean, sampling.deviation)
    drawn = drawer.draw(noise)
    pixels, scores = judged(drawn, examples, score)
    best = [int(index) for index in np.argsort(-scores, kind="stable")[: sampling.num]]
    varied = chosen(pixels, scores, sampling.num)
    passed = noise[chosen(pixels, scores, min(2 * sampling.ways, sampling.best_of))]
    with no_half_folder(out) as folder:
        write_sheet(folder / "best.png", pixels[best])
        write_sheet(folder / "varied.png", pixels[varied])
        for place, index in enumerate(varied, 1):
            Image.fromarray(pixels[index]).save(folder / f"sample-{place:03}.png")
        rows = strips(passed, sampling.steps, drawer.pixels)
        if rows:
            write_sheet(folder / "strips.png", np.concatenate(rows), columns=sampling.steps)
        walk = drawer.pixels(around(passed[: sampling.ways], sampling.steps))
        write_animation(folder / "walk.webp", walk, enlarged=_times(walk))
        told = {"best": best, "varied": varied, "scores": [round(float(value), 5) for value in scores]}
        write_json(folder / "samples.json", {"checkpoint": checkpoint, "sampling": vars(sampling), **told})
        write_credits(folder, learned_from)


def write_sheet(path: Path, pictures: Pixels, columns: int | None = None) -> None:
    """Write `pictures`, uint8 [N, side, side, 3], as one PNG, row by row; by default about as many rows as columns."""
    columns = columns or int(np.ceil(np.sqrt(len(pictures))))
    times, side = _times(pictures), pictures.shape[1]
    step, num_rows = side * times + GAP, -(-len(pictures) // columns)
    sheet = np.full((num_rows * step + GAP, columns * step + GAP, 3), 255, np.uint8)
    for number, picture in enumerate(pictures.repeat(times, axis=1).repeat(times, axis=2)):
        top, left = (GAP + place * step for place in divmod(number, columns))
        sheet[top : top + step - GAP, left : left + step - GAP] = picture
    with no_half_file(path) as temporary:
        Image.fromarray(sheet).save(temporary, "PNG")


def _times(pictures: Pixels) -> int:
    return max(1, -(-SHOWN // pictures.shape[1]))
