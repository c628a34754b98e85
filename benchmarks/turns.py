"""Several ways of doing one thing, timed in turns within one process, so that a busy machine hurts all alike."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

Step = Callable[[], int]  # does some of the work; gives how many items that was


@dataclass(frozen=True)
class Timing:
    """What a way costs: CPU time of the cheapest slice, all threads together, and wall rates over all slices."""

    cpu_us: float  # microseconds an item
    best_rate: float  # items a second
    median_rate: float


def in_turns(
    steps: Mapping[str, Step], rounds: int, slice_s: float, before: Mapping[str, Callable[[], object]] | None = None
) -> dict[str, Timing]:
    """Run each step for `slice_s` seconds, `rounds` times over; the first slice of each only warms up.

    What `before` holds for a step is done ahead of each of its slices, untimed.
    """
    slices: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for _ in range(rounds + 1):
        for name, step in steps.items():
            if before and name in before:
                before[name]()
            slices[name].append(_slice(step, slice_s))
    return {name: _timing(timed[1:]) for name, timed in slices.items()}


def _slice(step: Step, seconds: float) -> tuple[float, float]:
    """CPU and wall seconds an item."""
    items, wall, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < seconds:
        items += step()
    return (time.process_time() - cpu) / items, (time.perf_counter() - wall) / items


def _timing(slices: list[tuple[float, float]]) -> Timing:
    rates = [1 / wall for _, wall in slices]
    return Timing(min(cpu for cpu, _ in slices) * 1e6, max(rates), median(rates))
