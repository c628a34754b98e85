"""The rates of optimizers: as params name them, halved after a mishap, and falling to zero at the end of a run."""

from collections.abc import Iterable
from typing import Any

from torch.optim import Optimizer

NOW, FULL = "lr", "initial_lr"  # of an optimizer's group: the rate it takes, and the one that falls


def share_at(step: int, num_steps: int, steady: float) -> float:
    """The share of its full rates that step `step` (from 0) of `num_steps` takes.

    All for the share `steady` of the run, then evenly less, so that the step after the last would take none.
    """
    falling = (1 - steady) * num_steps
    return min(1.0, (num_steps - step) / falling) if falling else 1.0


def take_share(optimizers: Iterable[Optimizer], share: float) -> None:
    """Take `share` of the full rates; those of a new optimizer are the ones it was made with."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group[NOW] = share * group.setdefault(FULL, group[NOW])


def halve(optimizers: Iterable[Optimizer]) -> None:
    """Halve all full rates from the next step on."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group[FULL] = group.get(FULL, group[NOW]) / 2


def named(optimizer: Optimizer) -> list[dict[str, Any]]:
    """What params name of each group: the full rate, of which shares are taken, and Adam's betas."""
    return [
        {FULL: group.get(FULL, group[NOW]), **({"betas": group["betas"]} if "betas" in group else {})}
        for group in optimizer.param_groups
    ]
