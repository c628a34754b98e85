"""Pictures as networks see them and as people see them: float32 in (-1, 1) and uint8, and their luminance."""

import torch
from torch import Tensor
from torch.nn import functional

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def to_float(pictures: Tensor) -> Tensor:
    """uint8 [N, H, W, 3] -> float32 [N, 3, H, W] in (-1, 1)."""
    return pictures.permute(0, 3, 1, 2).to(torch.float32).div(127.5).sub(1.0).contiguous()


def to_bytes(images: Tensor) -> Tensor:
    """Float [N, 3, H, W] in (-1, 1) -> uint8 [N, H, W, 3], rounded to the nearest; what lies outside is clipped."""
    levels = images.detach().to(torch.float32).add(1.0).mul(127.5).round().clamp(0, 255)
    return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def luminance(pictures: Tensor) -> Tensor:
    """uint8 [N, H, W, 3] -> float32 [N, 1, H, W] in (0, 1)."""
    weights = torch.tensor(LUMA, device=pictures.device) / 255.0
    return (pictures.to(torch.float32) @ weights)[:, None]


def thumbnails(planes: Tensor, side: int = 16) -> Tensor:
    """Float [N, C, H, W] -> [N, C, side, side], each value the mean of its area."""
    return functional.adaptive_avg_pool2d(planes, side)


def require_pictures(**sets: Tensor) -> None:
    """AssertionError unless every set is uint8 [N, H, W, 3] with at least one picture; the names say which is not."""
    for name, pictures in sets.items():
        assert pictures.dtype == torch.uint8, f"{name} is {pictures.dtype}, not uint8"
        assert pictures.ndim == 4, f"{name} is {tuple(pictures.shape)}, not [N, H, W, 3]"
        assert len(pictures) > 0, f"{name} is empty"
        assert pictures.shape[3] == 3, f"{name} is {tuple(pictures.shape)}, not [N, H, W, 3]"
