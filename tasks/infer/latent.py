"""Ways through noise: from picture to picture, as strips to look along and as an animation that ends where it began.

Noise of many dimensions lies near a sphere, so the way from one point to the next is along it (White 2016, Sampling
Generative Networks, arXiv:1609.04468).
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tasks.files import no_half_file
from tasks.infer.source import Pixels

MILLISECONDS = 70  # that each picture of an animation is shown


def between(one: Tensor, other: Tensor, steps: int) -> Tensor:
    """`steps` points on the way from `one` [Z] to `other` [Z], both ends included: [steps, Z]."""
    share = torch.linspace(0, 1, steps, device=one.device)[:, None]
    cosine = torch.nn.functional.cosine_similarity(one, other, dim=0).clamp(-1, 1)
    angle = torch.arccos(cosine)
    if float(torch.sin(angle)) < 1e-4:  # as good as on one line
        return one + (other - one) * share
    return (torch.sin((1 - share) * angle) * one + torch.sin(share * angle) * other) / torch.sin(angle)


def around(points: Tensor, steps: int) -> Tensor:
    """The way from each of `points` [K, Z] to the next and from the last to the first: [K * steps, Z], none twice."""
    return torch.cat(
        [between(one, other, steps + 1)[:-1] for one, other in zip(points, points.roll(-1, 0), strict=True)]
    )


def strips(points: Tensor, steps: int, draw: Callable[[Tensor], Pixels]) -> list[Pixels]:
    """One row for each pair of `points`, uint8 [steps, side, side, 3]: from one picture to the next."""
    pairs = points[: len(points) // 2 * 2].unflatten(0, (-1, 2))
    return [draw(between(one, other, steps)) for one, other in pairs]


def write_animation(path: Path, pictures: Pixels, enlarged: int = 1) -> None:
    """Write `pictures`, uint8 [N, side, side, 3], as an animation without end, WebP or GIF by the name."""
    shown = np.repeat(np.repeat(pictures, enlarged, axis=1), enlarged, axis=2)
    first, *others = [Image.fromarray(picture) for picture in shown]
    kind = path.suffix.removeprefix(".").upper()
    with no_half_file(path) as temporary:
        first.save(
            temporary, kind, save_all=True, append_images=others, duration=MILLISECONDS, loop=0, quality=85, method=4
        )
