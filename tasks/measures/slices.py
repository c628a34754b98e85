"""The sliced 1-Wasserstein distance of two point clouds: earth mover's distance along many lines, averaged.

Rabin et al., "Wasserstein Barycenter and Its Application to Texture Mixing" (2011).
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

_AT_ONCE = 64  # directions; bounds the memory of a large cloud


def sliced_distance(left: Tensor, right: Tensor, *, directions: int, generator: torch.Generator) -> float:
    """Mean |difference| of the sorted projections of `left` and `right`, float32 [P, D] each, on unit vectors.

    In the unit of the coordinates; clouds a vector t apart are at E|t.u|, which is |t|/2 for D = 3.
    """
    return distance_along(left, right, random_lines(directions, left.shape[1], generator))


def random_lines(num: int, dimensions: int, generator: torch.Generator) -> Tensor:
    """Unit vectors, float32 [num, dimensions], drawn on the CPU, so that every device has the same."""
    return functional.normalize(torch.randn(num, dimensions, generator=generator))


def distance_along(left: Tensor, right: Tensor, lines: Tensor) -> float:
    """The same along `lines`, unit vectors [L, D]."""
    assert left.shape == right.shape, f"clouds of {tuple(left.shape)} and {tuple(right.shape)}"
    total = 0.0
    with ThreadPoolExecutor(2) as pool:  # numpy sorts without Python's lock
        for some in lines.to(left.device).split(_AT_ONCE):
            along_left, along_right = pool.map(_sorted, (some @ left.T, some @ right.T))
            total += (along_left - along_right).abs().mean(dim=1).sum().item()
    return total / len(lines)


def _sorted(rows: Tensor) -> Tensor:
    if rows.device.type == "cpu":  # numpy sorts values alone, several times faster than values with their indices
        return torch.from_numpy(np.sort(rows.numpy(), axis=1))
    return rows.sort(dim=1).values
