"""Kernel distance of two sets of pictures, on features of a random network that is never trained.

Binkowski et al., "Demystifying MMD GANs" (2018), with a network that needs no download: random convolutions keep much
of texture and colour (Ustyuzhaninov et al., "What does it take to generate natural textures?", 2017).
"""

import math
from itertools import pairwise
from statistics import fmean

import torch
from torch import Tensor
from torch.nn import functional

from tasks.measures.pictures import require_pictures, to_float

SUBSETS, SUBSET_SIZE = 50, 500
WIDTHS = (3, 32, 64, 128, 256)  # channels
NETWORK_SEED = 20180101  # one network for every run and recipe, so that figures can be compared
_AT_ONCE = 64  # pictures; bounds the memory


def rkid(left: Tensor, right: Tensor, *, seed: int = 0) -> float:
    """Kernel distance on random features of uint8 [N, h, w, 3] and [M, H, W, 3]: 0 for two draws of one kind.

    Unbiased, so it may fall a little below 0. The two sets need at least 2 pictures each.
    """
    require_pictures(left=left, right=right)
    return kernel_distance(random_features(left), random_features(right), seed=seed)


def kernel_distance(left: Tensor, right: Tensor, *, seed: int = 0) -> float:
    """Mean of `polynomial_mmd` over SUBSETS random subsets of SUBSET_SIZE rows; of all rows once, where there are few.

    Float [N, D] and [M, D].
    """
    if max(len(left), len(right)) <= SUBSET_SIZE:
        return polynomial_mmd(left, right)
    generator = torch.Generator().manual_seed(seed)
    size = min(len(left), len(right), SUBSET_SIZE)

    def some(rows: Tensor) -> Tensor:
        return rows[torch.randperm(len(rows), generator=generator)[:size].to(rows.device)]

    return fmean(polynomial_mmd(some(left), some(right)) for _ in range(SUBSETS))


def polynomial_mmd(left: Tensor, right: Tensor) -> float:
    """The unbiased squared maximum mean discrepancy of rows under the kernel (x.y/D + 1)^3; float [N, D], [M, D]."""

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a.double() @ b.double().T / a.shape[1] + 1) ** 3

    def among(rows: Tensor) -> Tensor:
        values, num = kernel(rows, rows), len(rows)
        return (values.sum() - values.diagonal().sum()) / (num * (num - 1))

    assert min(len(left), len(right)) > 1, "the kernel distance needs at least two rows of each"
    return (among(left) + among(right) - 2 * kernel(left, right).mean()).item()


@torch.no_grad()
def random_features(pictures: Tensor) -> Tensor:
    """Mean and deviation of every channel of four random layers of stride 2: float32 [N, 960]."""
    kernels = [kernel.to(pictures.device) for kernel in _kernels()]
    rows: list[Tensor] = []
    for some in pictures.split(_AT_ONCE):
        planes, found = to_float(some), list[Tensor]()
        for kernel in kernels:
            planes = functional.leaky_relu(functional.conv2d(planes, kernel, stride=2, padding=1), 0.2)
            found += [planes.mean(dim=(2, 3)), planes.std(dim=(2, 3), correction=0)]
        rows.append(torch.cat(found, dim=1))
    return torch.cat(rows)


def _kernels() -> list[Tensor]:
    """3x3 kernels that keep the size of signals (He et al., 2015)."""
    generator = torch.Generator().manual_seed(NETWORK_SEED)
    gain = math.sqrt(2 / (1 + 0.2**2))
    return [torch.randn(b, a, 3, 3, generator=generator) * gain / math.sqrt(9 * a) for a, b in pairwise(WIDTHS)]
