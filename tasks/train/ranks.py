"""Several processes on one run (torchrun): each computes its share of every batch, and all see every loss.

Networks are given a share of the pictures and their outputs are gathered, so a loss is that of the whole batch, pairs
and means over it included, and equal in every process; gradients are added up before an optimizer steps.
"""

import io
import os
from typing import Any
from weakref import WeakSet

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd import Function
from torch.optim import Optimizer

from tasks.errors import Stopped, TrainingFailed
from tasks.progress import Progress
from tasks.train.recipe import Recipe


class Ranks:
    """The processes of a run; `number` is ours, and 0 the one that writes. By default there is one.

    Numbers are those of one process up to rounding, whatever the world: chance is the same in every process, and batch
    norm takes its statistics over all. Other layers that look across pictures look at their process's share.
    """

    def __init__(self, number: int = 0, world: int = 1) -> None:
        self.number, self.world = number, world
        self._bound: WeakSet[Optimizer] = WeakSet()
        self._words: Any = dist.new_group(backend="gloo") if world > 1 else None  # which need no device

    @classmethod
    def joined(cls, device: torch.device) -> "Ranks":
        """Those that torchrun started, whose networks are on `device`, or this process alone."""
        world = int(os.environ.get("WORLD_SIZE", "1"))
        if world == 1:
            return cls()
        if device.type == "cuda":
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return cls(dist.get_rank(), world)

    @property
    def writes(self) -> bool:
        """Whether files and words are ours to write."""
        return self.number == 0

    def leave(self) -> None:
        """Part from the others once all have come here."""
        if self.world > 1:
            dist.destroy_process_group()

    def wait(self) -> None:
        """Go on once all have come here."""
        if self.world > 1:
            dist.barrier(group=self._words)

    def agreed(self, value: int) -> int:
        """The largest of the numbers that the processes give."""
        if self.world == 1:
            return value
        given = torch.tensor(value)
        dist.all_reduce(given, dist.ReduceOp.MAX, group=self._words)
        return int(given)

    def share(self, whole: Tensor) -> Tensor:
        """Our pictures of a batch that every process has; [B,...] -> [B / world,...]."""
        if len(whole) % self.world:
            raise TrainingFailed(
                f"a batch of {len(whole)} pictures cannot be shared by {self.world} processes; "
                "choose a train.batch that their number divides"
            )
        return whole if self.world == 1 else _apply(_Share, whole, self)

    def gathered(self, part: Tensor) -> Tensor:
        """The whole batch, of which every process has its share; [B / world,...] -> [B,...]."""
        return part if self.world == 1 else _apply(_Gather, part, self)

    def summed(self, value: Tensor) -> Tensor:
        """The sum of what the processes have."""
        return value if self.world == 1 else _apply(_Sum, value, self)

    def bind(self, recipe: Recipe) -> None:
        """From now on the recipe's optimizers step by all processes' gradients, and batch norm sees all pictures.

        Other recipes stay bound: a copy is measured in the midst of a run. Nothing is bound twice.
        """
        if self.world == 1:
            return
        for optimizer in recipe.optimizers.values():
            if optimizer not in self._bound:
                optimizer.register_step_pre_hook(_add_gradients)
                self._bound.add(optimizer)
        for network in recipe.networks.values():
            for name, layer in list(network.named_modules()):
                if type(layer) is nn.BatchNorm2d:
                    network.set_submodule(name, BatchNormOfAll(layer, self))


class BatchNormOfAll(nn.BatchNorm2d):
    """Batch norm whose statistics in training are those of all processes' pictures; takes over a layer's weights."""

    def __init__(self, layer: nn.BatchNorm2d, ranks: Ranks) -> None:
        super().__init__(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
        self.weight, self.bias = layer.weight, layer.bias
        self.running_mean, self.running_var = layer.running_mean, layer.running_var
        self.num_batches_tracked = layer.num_batches_tracked
        self.train(layer.training)
        self._ranks = ranks

    def forward(self, input: Tensor) -> Tensor:
        """[B,C,H,W] -> the same."""
        if not self.training:
            return super().forward(input)
        x = input.float()
        num = x.numel() // x.shape[1] * self._ranks.world
        mean = self._ranks.summed(x.sum(dim=(0, 2, 3))) / num
        centred = x - mean[:, None, None]
        variance = self._ranks.summed(centred.square().sum(dim=(0, 2, 3))) / num
        if self.running_mean is not None and self.running_var is not None:
            if self.num_batches_tracked is not None:
                self.num_batches_tracked += 1
            share = self.momentum or 0.0
            with torch.no_grad():
                self.running_mean.lerp_(mean.detach(), share)
                self.running_var.lerp_(variance.detach() * num / (num - 1), share)
        normed = centred * torch.rsqrt(variance + self.eps)[:, None, None]
        if self.affine:
            normed = normed * self.weight[:, None, None] + self.bias[:, None, None]
        return normed.to(input.dtype)


class Together(Progress):
    """The progress of one of several processes: all stop before the same step, and the first alone speaks."""

    def __init__(self, own: Progress, ranks: Ranks) -> None:
        if ranks.writes:
            super().__init__()
        else:
            super().__init__(io.StringIO())
        self._own, self._ranks = own, ranks

    def check(self) -> None:
        """Raise Stopped in every process where one was asked for the end."""
        asked = self._ranks.agreed(max(self.stop_requested or 0, self._own.stop_requested or 0))
        if asked:
            raise Stopped(asked)

    def say(self, sentence: str) -> None:
        """Print one line, once."""
        if self._ranks.writes:
            self._own.say(sentence)


class _Share(Function):
    """Each process takes its part; of the gradient each has its part too, and all together are the whole."""

    @staticmethod
    def forward(ctx: Any, whole: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        size = len(whole) // ranks.world
        return whole[ranks.number * size : (ranks.number + 1) * size].clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _apply(_Gather, gradients[0], ctx.ranks), None


class _Gather(Function):
    """All parts in the order of the processes; each has the whole gradient already, and takes its part."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        part = part.contiguous()
        parts = [torch.empty_like(part) for _ in range(ranks.world)]
        dist.all_gather(parts, part)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _apply(_Share, gradients[0], ctx.ranks), None


class _Sum(Function):
    """The sum over the processes; what it changes in each of them adds up likewise."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _apply(_Sum, gradients[0], ctx.ranks), None


def _apply(function: type[Function], tensor: Tensor, ranks: Ranks) -> Tensor:
    return function.apply(tensor, ranks)  # pyright: ignore[reportReturnType]


def _add_gradients(optimizer: Optimizer, *_: Any) -> None:
    """Replace the gradients of an optimizer's weights by their sums over the processes."""
    found = [weight.grad for group in optimizer.param_groups for weight in group["params"] if weight.grad is not None]
    if not found:
        return
    together = torch.cat([gradient.flatten() for gradient in found])
    dist.all_reduce(together)
    for gradient, total in zip(found, together.split([gradient.numel() for gradient in found]), strict=True):
        gradient.copy_(total.view_as(gradient))
