"""How near a run comes to what its device can do: arithmetic of a step, beside the rate of plain matrix products.

Networks this small never reach the rate itself; the share says how much there would be to gain.
"""

import time
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from tasks.train.engine import Engine
from tasks.train.precision import seed_chance
from tasks.train.recipe import Pictures, Recipe
from tasks.train.settings import Train

SIDES = {"cpu": 1024, "cuda": 8192}  # of the matrices
SECONDS = 0.05  # of products, after one that warms up


class Pace:
    """What one step takes, and what the device could give; measured when it is made, on an untrained copy."""

    def __init__(self, recipe: Recipe, pictures: Pictures, engine: Engine, settings: Train) -> None:
        self.batch = settings.batch
        self.operations = arithmetic(recipe, pictures, engine, settings.seed)
        self.limit = rate(engine.device, engine.precision.dtype) * engine.ranks.world

    def told(self) -> str:
        """One sentence."""
        return (
            f"a step takes {self.operations / 1e9:,.1f} GFLOP; matrix products run at {self.limit / 1e9:,.0f} GFLOP/s "
            f"here, so {self.batch / self.share(1):,.1f} pictures a second would be the limit"
        )

    def share(self, steps_per_second: float) -> float:
        """Of the limit, 0 to 1."""
        return self.operations * steps_per_second / self.limit


def arithmetic(recipe: Recipe, pictures: Pictures, engine: Engine, seed: int) -> int:
    """Floating-point operations of one step of an untrained copy of `recipe`, grown as far as it is.

    It is the mean over the recipe's cycle, of which the first step and one of the others, all alike, are taken.
    """
    copy = recipe.sibling(seed)
    copy.load_state(deepcopy(recipe.state()))
    plain = Engine(engine.precision, replace(engine.choice, compute="eager", micro_batch=None), engine.ranks)
    plain.place(copy)
    counted: list[int] = []
    for step in range(min(copy.cycle, 2)):
        seed_chance(seed, step)
        with _Counter() as counter:
            copy.step(step, pictures, plain.run)
        counted.append(counter.operations)
    in_cycle = counted[0] + (copy.cycle - 1) * counted[-1]
    return in_cycle * engine.ranks.world // copy.cycle


class _Counter(TorchDispatchMode):
    """Counts by torch's own formulas, as its FlopCounterMode cannot where gradients of pictures are asked for."""

    operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if func.overloadpacket in flop_registry:
            self.operations += flop_registry[func.overloadpacket](*args, **(kwargs or {}), out_val=output)
        return output


def rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of square matrix products, measured."""
    side = SIDES[device.type]
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    _ = left @ right
    _wait(device)
    products, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        _ = left @ right
        _wait(device)
        products += 1
    return 2 * side**3 * products / (time.perf_counter() - began)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
