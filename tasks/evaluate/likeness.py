"""How like real pictures a set of made ones is: the measures every recipe shares, and what reals score themselves."""

from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tasks.errors import BarenError
from tasks.evaluate.settings import Evaluate
from tasks.measures.diversity import ms_ssim
from tasks.measures.inception import inception_distances, load_inception
from tasks.measures.kernel import rkid
from tasks.measures.memory import copies, duplicates
from tasks.measures.palette import palette
from tasks.measures.swd import swd

Pictures = NDArray[np.uint8]  # [N, side, side, 3]


class Likeness:
    """Measures made pictures against `reals` that no network saw, and against those that were learned from."""

    def __init__(self, reals: Tensor, known: Tensor | None, settings: Evaluate, photos: Tensor | None = None) -> None:
        """All are uint8 [N, side, side, 3]; without `known` copies are not looked for.

        How alike real pictures of what the made ones show are to each other says what counts as a repeat. For a
        painter those are its `photos`, since landscapes are more alike than prints; else they are what was learned
        from, of which there are many, or `reals` where that is not told.
        """
        self._reals, self._known, self._settings, self._photos = reals, known, settings, photos
        self._motifs = next(motifs for motifs in (photos, known, reals) if motifs is not None)
        self._inception: nn.Module | None = load_inception(Path(settings.inception)) if settings.inception else None

    def of(self, made: Tensor) -> dict[str, float]:
        """swd, palette, rkid, ms_ssim, duplicates, copies (and fid, kid) of `made`, uint8 [N, side, side, 3]."""
        found = self._distances(made, self._reals)
        found |= {"ms_ssim": ms_ssim(made, seed=self._settings.seed), "duplicates": duplicates(made, self._motifs)}
        if self._known is not None:
            found["copies"] = copies(made, self._known)
        return found

    def floor(self) -> dict[str, float]:
        """The same of real pictures: distances between random halves, averaged, the rest of all reals.

        Halves are fewer than what is measured against them: chance keeps them a little further apart, and FID by much.
        """
        half, turns = len(self._reals) // 2, list[dict[str, float]]()
        for turn in range(self._settings.floors):
            order = torch.randperm(
                len(self._reals), generator=torch.Generator().manual_seed(self._settings.seed + turn)
            )
            turns.append(self._distances(self._reals[order[:half]], self._reals[order[half : 2 * half]]))
        floor = self.of(self._reals) | {name: fmean(turn[name] for turn in turns) for name in turns[0]}
        return floor | {"duplicates": duplicates(self._reals if self._photos is None else self._photos, self._motifs)}

    def _distances(self, left: Tensor, right: Tensor) -> dict[str, float]:
        seed = self._settings.seed
        found = {
            "swd": swd(left, right, seed=seed),
            "palette": palette(left, right, seed=seed),
            "rkid": rkid(left, right, seed=seed),
        }
        if self._inception is not None:
            found |= inception_distances(self._inception, left, right)
        return found


def require_pictures(**sets: Pictures) -> None:
    """Raise BarenError where a set of held-out pictures is too small to say anything, or their sizes differ."""
    for name, pictures in sets.items():
        if len(pictures) < 4:
            raise BarenError(
                f"evaluate needs at least 4 held-out {name} and has {len(pictures)}; "
                "collect more pictures or raise shard.held_out of their set"
            )
    sizes = {name: "x".join(str(side) for side in pictures.shape[1:3]) for name, pictures in sets.items()}
    if len(set(sizes.values())) > 1:
        told = " and ".join(f"the {name} {size}" for name, size in sizes.items())
        raise BarenError(f"{told} pixels differ in size; give both picture sets one prepare.side")


def as_tensor(pictures: Pictures, most: int) -> Tensor:
    """The first `most` of `pictures` as a tensor, uint8 [N, side, side, 3]."""
    return torch.from_numpy(np.ascontiguousarray(pictures[:most]))
