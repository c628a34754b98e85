"""Diversity: how alike pictures of one set are to each other; a set that collapsed is very alike.

Multi-scale structural similarity of random pairs: Wang, Simoncelli and Bovik (2003), used so by Odena et al. (2017)
and in the Progressive GAN paper (Karras et al., 2018).
"""

import torch
from torch import Tensor
from torch.nn import functional

from tasks.measures.pictures import require_pictures

PAIRS = 512  # at most; the papers take 10,000 of 20,000 pictures
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # finest first
WINDOW, DEVIATION = 11, 1.5  # pixels
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_AT_ONCE = 64  # pairs; bounds the memory


def ms_ssim(pictures: Tensor, *, seed: int = 0, pairs: int = PAIRS) -> float:
    """Mean similarity of random pairs of uint8 [N, H, W, 3], at most 1: the lower, the more diverse.

    Only to be read beside the same figure of real pictures of the same size; the number of scales goes with the size
    (see `scale_weights`). N must be at least 2, H and W at least 11.
    """
    require_pictures(pictures=pictures)
    assert len(pictures) > 1, "one picture has no pair"
    chosen = _pairs(len(pictures), pairs, seed)
    total = 0.0
    for some in chosen.split(_AT_ONCE):
        left, right = (pictures[side.to(pictures.device)].permute(0, 3, 1, 2).float() for side in some.unbind(1))
        total += similarity(left, right).sum().item()
    return total / len(chosen)


def similarity(left: Tensor, right: Tensor) -> Tensor:
    """MS-SSIM of picture i of `left` and picture i of `right`, float32 [N, C, H, W] in (0, 255): float32 [N].

    The luminance term enters at the coarsest scale alone. Terms below zero count as zero, as fractional powers need.
    """
    weights = scale_weights(min(left.shape[2:]))
    value = left.new_ones(len(left))
    for scale, weight in enumerate(weights):
        if scale:
            left, right = functional.avg_pool2d(left, 2), functional.avg_pool2d(right, 2)
        whole, contrast = _ssim(left, right)
        term = whole if scale == len(weights) - 1 else contrast
        value = value * term.clamp_min(0) ** weight
    return value


def scale_weights(side: int) -> tuple[float, ...]:
    """The weights of as many of the five scales as pictures of `side` pixels hold, made to add up to 1.

    Five from 176 pixels on, four at 96, three at 64: the window must fit into the coarsest.
    """
    assert side >= WINDOW, f"pictures of {side} pixels are smaller than the window of {WINDOW}"
    fitting = [weight for scale, weight in enumerate(SCALE_WEIGHTS) if side >> scale >= WINDOW]
    return tuple(weight / sum(fitting) for weight in fitting)


def _ssim(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """SSIM, and its contrast-structure part alone, each averaged over a picture: float32 [N]."""
    num = len(left)
    means = _windowed(torch.cat((left, right, left * left, right * right, left * right)))
    mean_left, mean_right, square_left, square_right, product = means.split(num)
    var_left, var_right = square_left - mean_left**2, square_right - mean_right**2
    covariance = product - mean_left * mean_right
    contrast = (2 * covariance + _C2) / (var_left + var_right + _C2)
    luminance = (2 * mean_left * mean_right + _C1) / (mean_left**2 + mean_right**2 + _C1)
    return (luminance * contrast).mean(dim=(1, 2, 3)), contrast.mean(dim=(1, 2, 3))


def _windowed(planes: Tensor) -> Tensor:
    """Gaussian-weighted means over the windows that lie wholly inside."""
    height, width = planes.shape[2:]
    return _bells(height, planes) @ planes @ _bells(width, planes).T


def _bells(side: int, like: Tensor) -> Tensor:
    """Row i weighs the pixels of window i, [side - 10, side]: as a product many times faster than a convolution."""
    offsets = torch.arange(WINDOW, dtype=torch.float32) - WINDOW // 2
    bell = torch.exp(-(offsets**2) / (2 * DEVIATION**2))
    rows = functional.pad(bell / bell.sum(), (0, side - WINDOW + 1)).repeat(side - WINDOW + 1)
    return rows[: (side - WINDOW + 1) * side].reshape(-1, side).to(like)


def _pairs(num: int, most: int, seed: int) -> Tensor:
    """Pairs of different pictures, int64 [P, 2]: every pair once where there are few, else `most` at random."""
    if num * (num - 1) // 2 <= most:
        return torch.combinations(torch.arange(num), 2)
    generator = torch.Generator().manual_seed(seed)
    first = torch.randint(num, (most,), generator=generator)
    other = torch.randint(num - 1, (most,), generator=generator)
    return torch.stack((first, other + (other >= first)), dim=1)
