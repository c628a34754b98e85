"""The moving average of a network's weights: what paints is steadier than what learns."""

import copy
from collections.abc import Callable, Mapping

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


@torch.no_grad()
def measure_statistics(
    averages: Mapping[str, nn.Module], networks: Mapping[str, nn.Module], paint: Callable[[], object]
) -> None:
    """Give the batch norms of `averages` the statistics of what passes them while `paint` runs.

    Those of `networks`, which `update_average` copies, are of other weights: they leave an average's paintings pale
    (Izmailov et al. 2018, Averaging Weights Leads to Wider Optima, section 3.2). A norm that training has frozen, or
    that `paint` does not reach, stays as it is.
    """
    norms: list[tuple[nn.BatchNorm2d, float | None, dict[str, Tensor]]] = []
    for name, average in averages.items():
        for norm, trained in zip(average.modules(), networks[name].modules(), strict=True):
            if isinstance(norm, nn.BatchNorm2d) and trained.training:
                norms.append((norm, norm.momentum, copy.deepcopy(norm.state_dict())))
                norm.reset_running_stats()
                norm.momentum = None  # the mean of all passes
                norm.train()
    paint()
    for norm, momentum, before in norms:
        if not norm.num_batches_tracked:
            norm.load_state_dict(before)
        norm.momentum = momentum
        norm.eval()
