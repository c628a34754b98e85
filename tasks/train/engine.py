"""How the networks of a run are computed: at its precision, and in parts that fit into memory.

A part's activations are not kept: they are computed again when its gradient is asked for (Chen et al. 2016, Training
Deep Nets with Sublinear Memory Cost). So a loss sees the whole batch however small the parts are, pairs and means over
the batch included; only batch norm in training and the deviation over a minibatch see their part alone. It costs one
more forward pass.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from tasks.train.precision import Precision
from tasks.train.ranks import Ranks
from tasks.train.recipe import Recipe
from tasks.train.settings import Train
from tasks.train.spectral import leave_uncompiled

Compute = Literal["eager", "compiled", "graphs"]
Layout = Literal["contiguous", "channels_last"]
LAYOUTS: Mapping[Layout, str] = {"contiguous": "contiguous_format", "channels_last": "channels_last"}


@dataclass(frozen=True)
class Choice:
    """What is settled before the first step; a run keeps it to its end, since other ways round differently."""

    device: str  # "cpu" or "cuda"
    precision: str  # torch's name of the dtype inside the networks
    compute: Compute
    layout: Layout
    threads: int  # on the CPU
    micro_batch: int | None  # pictures in memory at a time; None: all


class Engine:
    """Computes a recipe's networks; `run` is what a recipe's step is handed."""

    def __init__(self, precision: Precision, choice: Choice, ranks: Ranks) -> None:
        self.precision, self.ranks, self.settled = precision, ranks, False
        self.choice = choice
        self._compiled: dict[nn.Module, Any] = {}

    @classmethod
    def of(cls, settings: Train, ranks: Ranks | None = None) -> "Engine":
        """What `settings` name, to be settled where they say auto; raises ParamsError for a GPU that is not there."""
        precision = Precision.of(settings)
        compute = "eager" if settings.compute == "auto" else settings.compute
        layout = "channels_last" if settings.layout == "auto" else settings.layout
        threads = settings.threads or torch.get_num_threads()
        choice = Choice(precision.device.type, _name(precision.dtype), compute, layout, threads, settings.micro_batch)
        return cls(precision, choice, ranks or Ranks())

    @property
    def device(self) -> torch.device:
        """Where networks and pictures are."""
        return self.precision.device

    def settle(self, choice: Choice) -> None:
        """From now on compute so."""
        self.choice, self.settled = choice, True
        dtype, layout = getattr(torch, choice.precision), getattr(torch, LAYOUTS[choice.layout])
        self.precision = replace(self.precision, dtype=dtype, layout=layout)
        self._compiled.clear()
        torch.set_num_threads(choice.threads)

    def take_parts_of(self, size: int) -> None:
        """From now on compute `size` pictures at a time."""
        self.settle(replace(self.choice, micro_batch=size))

    def state(self) -> dict[str, Any]:
        """The choice, for a checkpoint."""
        return asdict(self.choice)

    def take(self, state: Mapping[str, Any]) -> None:
        """Go on as a checkpoint's run was computed; on another kind of device only in parts of the same size."""
        saved = replace(self.choice, **state)  # older checkpoints tell no precision
        if saved.device == self.choice.device:
            self.settle(saved)
        else:
            self.choice = replace(self.choice, micro_batch=saved.micro_batch)

    def hold_to(self, settings: Train) -> None:
        """Compute as `settings` name it after all, whatever was taken; what they leave open stays.

        Precision is this device's again: what was taken may come from one that multiplies bfloat16.
        """
        named = {"threads": settings.threads, "micro_batch": settings.micro_batch}
        named |= {"compute": settings.compute, "layout": settings.layout}
        named |= {"precision": _name(Precision.of(settings).dtype)}
        choice = replace(self.choice, **{key: value for key, value in named.items() if value not in (None, "auto")})
        if self.settled:
            self.settle(choice)
        else:
            self.choice = choice

    def run(self, network: nn.Module, *inputs: Any, twice: bool = False) -> Any:
        """See tasks.train.recipe.Run."""
        num = len(inputs[0])
        ours = tuple(self.ranks.share(value) if _is_batch(value, num) else value for value in inputs)
        with self.precision.autocast():
            # a compiled network cannot be derived twice
            way = network if twice else self._way(network)
            output = in_parts(way, ours, self.choice.micro_batch)
        if self.choice.compute == "graphs":  # whose memory is written over by the next replay
            output = output.clone() if isinstance(output, Tensor) else tuple(part.clone() for part in output)
        if isinstance(output, Tensor):
            return self.ranks.gathered(output.float())
        return tuple(self.ranks.gathered(part.float()) for part in output)

    def place(self, recipe: Recipe) -> None:
        """Bring a recipe's networks and optimizers here; of networks it has no more, the compiled forms go."""
        self.ranks.bind(recipe)
        here = {*recipe.networks.values(), *recipe.averages.values()}
        self._compiled = {network: way for network, way in self._compiled.items() if network in here}
        self.precision.place(recipe)

    def _way(self, network: nn.Module) -> Any:
        """The network, or its compiled form."""
        if self.choice.compute == "eager" or self.choice.micro_batch is not None:
            return network
        if network not in self._compiled:
            leave_uncompiled()
            # layers of one class share it, and a recipe has many
            torch._dynamo.config.recompile_limit = 256  # pyright: ignore[reportPrivateUsage]
            mode = "reduce-overhead" if self.choice.compute == "graphs" else None
            self._compiled[network] = torch.compile(network, dynamic=False, mode=mode)
        return self._compiled[network]


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


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
