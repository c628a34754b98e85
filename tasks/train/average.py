"""The moving average of a network's weights: what paints is steadier than what learns."""

import copy

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


def averaged_copy(network: nn.Module) -> nn.Module:
    """A copy that holds the average, in eval mode and without gradients."""
    return copy.deepcopy(network).eval().requires_grad_(False)


def decay_at(step: int, batch: int, half_life: int) -> float:
    """The share of the old average that step `step` (from 0) keeps.

    The half-life, in pictures, is at most a twentieth of those seen, so that the first weights are soon forgotten
    (Karras et al. 2020, Training Generative Adversarial Networks with Limited Data, appendix C).
    """
    life = min(half_life, 0.05 * (step + 1) * batch)
    return 0.5 ** (batch / life) if life > 0 else 0.0


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move `average` towards `network`; buffers (running statistics, singular vectors) are taken as they are."""
    olds: list[Tensor] = [*average.parameters()]
    get_ema_multi_avg_fn(decay)(olds, [*network.parameters()], 0)
    for old, new in zip(average.buffers(), network.buffers(), strict=True):
        old.copy_(new)
