"""Differentiable augmentation: the critic sees reals and fakes through the same changes, so none leaks into paintings.

Zhao et al. 2020, Differentiable Augmentation for Data-Efficient GAN Training; the strength that follows the critic's
overfitting is that of Karras et al. 2020, Training Generative Adversarial Networks with Limited Data.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from tasks.train.settings import Operation

TARGET = 0.6  # the mean sign of the critic's logits of reals above which it knows them by heart
EVERY = 4  # batches from one look at that mean to the next
FULL = 500_000  # pictures in which the strength can go from 0 to 1


def gamma_jittered(photos: Tensor, deviation: float) -> Tensor:
    """Photographs in other light, float [B,3,H,W] in (-1,1): each under a gamma whose logarithm has this deviation.

    A painter of a few hundred photographs meets darker and brighter ones later; unlike a change that the critic sees,
    this one stays in what is learned, so paintings keep the prints' light, whatever that of the photograph.
    """
    gamma = (deviation * torch.randn(len(photos), 1, 1, 1, device=photos.device)).exp()
    return ((photos + 1) / 2).clamp(0, 1).pow(gamma) * 2 - 1


class Augment:
    """Changes pictures, each by each of `operations` with a probability that is the strength.

    `strength` is fixed, from 0 to 1, or None to begin at 0 and follow the critic.
    """

    def __init__(self, operations: tuple[Operation, ...], strength: float | None) -> None:
        self.operations, self.adaptive = operations, strength is None
        self.strength = 0.0 if strength is None else strength
        self._signs: list[Tensor] = []

    def __call__(self, pictures: Tensor) -> Tensor:
        """`pictures`, float [B,3,H,W], changed; the gradient passes through."""
        for operation in self.operations if self.strength > 0 else ():
            changed = OPERATIONS[operation](pictures)
            chosen = torch.rand(len(pictures), 1, 1, 1, device=pictures.device) < self.strength
            pictures = torch.where(chosen, changed, pictures)
        return pictures

    def watch(self, of_reals: Tensor) -> None:
        """Tell the critic's logits of reals, [B,1], above zero for real; an adaptive strength follows their signs."""
        if not self.adaptive:
            return
        self._signs.append(of_reals.detach().sign().mean())
        if len(self._signs) == EVERY:
            overfit = float(torch.stack(self._signs).mean()) > TARGET
            step = (1 if overfit else -1) * len(of_reals) * EVERY / FULL
            self.strength = min(1.0, max(0.0, self.strength + step))
            self._signs.clear()

    def state(self) -> dict[str, Any]:
        """What a resume needs."""
        return {"strength": self.strength, "signs": list(self._signs)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take `state` back, of which a fixed strength is no part: that stays as the params name it."""
        if self.adaptive:
            self.strength, self._signs = state["strength"], list(state["signs"])


def mirrored(pictures: Tensor) -> Tensor:
    """Left is right."""
    return pictures.flip(3)


def resaturated(pictures: Tensor) -> Tensor:
    """Colour away from or towards grey, by a factor U(0.5, 1.5)."""
    grey = pictures.mean(dim=1, keepdim=True)
    return grey + (pictures - grey) * _factor(pictures)


def resharpened(pictures: Tensor) -> Tensor:
    """Detail away from or towards a blurred copy, by a factor U(0.5, 1.5)."""
    blurred = avg_pool2d(pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return blurred + (pictures - blurred) * _factor(pictures)


def relit(pictures: Tensor) -> Tensor:
    """Lighter or darker, by U(-0.5, 0.5) on the scale of (-1, 1)."""
    return pictures + _factor(pictures) - 1


def recontrasted(pictures: Tensor) -> Tensor:
    """Away from or towards the picture's mean, by a factor U(0.5, 1.5)."""
    mean = pictures.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (pictures - mean) * _factor(pictures)


def moved(pictures: Tensor) -> Tensor:
    """Shifted by up to an eighth of the side each way, with grey where nothing is."""
    num, _, height, width = pictures.shape
    rows, row_inside = _shifted(num, height, pictures.device)
    columns, column_inside = _shifted(num, width, pictures.device)
    which = torch.arange(num, device=pictures.device)[:, None, None]
    shifted = pictures.permute(0, 2, 3, 1)[which, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    return shifted * (row_inside[:, None, :, None] & column_inside[:, None, None, :])


def cut_out(pictures: Tensor) -> Tensor:
    """A square of half the side, anywhere, made grey."""
    num, _, height, width = pictures.shape
    outside = _away(num, height, pictures.device)[:, None, :, None] | _away(num, width, pictures.device)[:, None, None]
    return pictures * outside


OPERATIONS: dict[Operation, Callable[[Tensor], Tensor]] = {
    "mirror": mirrored,
    "saturation": resaturated,
    "sharpness": resharpened,
    "brightness": relit,
    "contrast": recontrasted,
    "translation": moved,
    "cutout": cut_out,
}


def _factor(pictures: Tensor) -> Tensor:
    return torch.rand(len(pictures), 1, 1, 1, device=pictures.device) + 0.5


def _shifted(num: int, side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """For each picture, where along one side each place comes from, and whether that is inside it: both [num, side]."""
    most = side // 8
    shift = torch.randint(-most, most + 1, (num, 1), device=device)
    come_from = torch.arange(side, device=device) + shift
    return come_from.clamp(0, side - 1), (come_from >= 0) & (come_from < side)


def _away(num: int, side: int, device: torch.device) -> Tensor:
    """For each picture, whether each place along one side is off the cut: [num, side]."""
    half = side // 4
    centre = torch.randint(0, side, (num, 1), device=device)
    return (torch.arange(side, device=device) - centre).abs() >= half
