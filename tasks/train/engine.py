"""How the networks of a run are computed: at its precision, and in parts that fit into memory.

A part's activations are not kept: they are computed again when its gradient is asked for (Chen et al. 2016, Training
Deep Nets with Sublinear Memory Cost). So a loss sees the whole batch however small the parts are, pairs and means over
the batch included; only batch norm in training sees its part alone. It costs one more forward pass.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from tasks.train.precision import Precision
from tasks.train.recipe import Recipe
from tasks.train.settings import Train


@dataclass(frozen=True)
class Choice:
    """What is settled before the first step; a run keeps it to its end, since other ways round differently."""

    threads: int  # on the CPU
    micro_batch: int | None  # pictures in memory at a time; None: all


class Engine:
    """Computes a recipe's networks; `run` is what a recipe's step is handed."""

    def __init__(self, precision: Precision, choice: Choice) -> None:
        self.precision, self.choice = precision, choice

    @classmethod
    def of(cls, settings: Train) -> "Engine":
        """What `settings` name; raises ParamsError for a GPU that is not there."""
        return cls(Precision.of(settings), Choice(torch.get_num_threads(), settings.micro_batch))

    @property
    def device(self) -> torch.device:
        """Where networks and pictures are."""
        return self.precision.device

    def run(self, network: nn.Module, *inputs: Any) -> Any:
        """The network's output (a tensor or a tuple of them) in float32, of inputs whose first dimension is B."""
        with self.precision.autocast():
            output = in_parts(network, inputs, self.choice.micro_batch)
        return output.float() if isinstance(output, Tensor) else tuple(part.float() for part in output)

    def place(self, recipe: Recipe) -> None:
        """Bring a recipe's networks and optimizers here."""
        self.precision.place(recipe)

    def take_parts_of(self, size: int) -> None:
        """From now on compute `size` pictures at a time."""
        self.choice = replace(self.choice, micro_batch=size)

    def state(self) -> dict[str, Any]:
        """The choice, for a checkpoint."""
        return asdict(self.choice)

    def take(self, state: Mapping[str, Any]) -> None:
        """Go on as a checkpoint's run was computed."""
        self.choice = Choice(**state)


def in_parts(network: nn.Module, inputs: tuple[Any, ...], size: int | None) -> Any:
    """What `network` makes of `inputs`, `size` pictures at a time; a tensor as long as the first input is split."""
    num = len(inputs[0])
    if size is None or num <= size:
        return network(*inputs)
    outputs = [
        _forgetful(network, tuple(value[at : at + size] if _is_batch(value, num) else value for value in inputs))
        for at in range(0, num, size)
    ]
    if isinstance(outputs[0], Tensor):
        return torch.cat(outputs)
    return tuple(torch.cat(parts) for parts in zip(*outputs, strict=True))


def _is_batch(value: Any, num: int) -> bool:
    return isinstance(value, Tensor) and value.ndim > 0 and len(value) == num


def _forgetful(network: nn.Module, inputs: tuple[Any, ...]) -> Any:
    """The network's output, its activations computed again, to the same bits, when gradients come back."""
    if not torch.is_grad_enabled():
        return network(*inputs)
    # running statistics and singular vectors move with every pass: the second must find what the first found
    found: Mapping[str, Tensor] = {name: buffer.clone() for name, buffer in network.named_buffers()}
    passes: list[int] = []

    def compute(*some: Any) -> Any:
        passes.append(1)
        if len(passes) == 1:
            return network(*some)
        return functional_call(network, {name: buffer.clone() for name, buffer in found.items()}, some)

    return checkpoint(compute, *inputs, use_reentrant=False)
