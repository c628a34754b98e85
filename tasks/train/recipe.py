"""The seam between the loop and the mathematics: what a recipe, a feed and a painter must be.

The loop owns devices, precision, seeds, checkpoints, previews; the recipe owns which loss reaches which network.
"""

import copy
from abc import abstractmethod
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

Losses = Mapping[str, Tensor]  # name -> scalar, detached, on the device
Pictures = Mapping[str, Tensor]  # "from", "to" -> float32 [B,3,H,W] in (-1,1)


class Run(Protocol):
    """How a step computes a network."""

    def __call__(self, network: nn.Module, *inputs: Any, twice: bool = False) -> Any:
        """The network's output in float32, a tensor or a tuple of them, computed as the run's engine chose.

        Inputs as long as the first one, B, are pictures or noise; `twice` says that the output's gradient will be
        derived once more, as gradient penalties do.
        """
        ...


class Batch(Protocol):
    """Some pictures of one set."""

    @property
    def images(self) -> Tensor:
        """float32 [B,3,H,W] in (-1,1), on the device."""
        ...


class Feed(Protocol):
    """Pictures of one set without end; batch n is a function of the feed's seed and n alone."""

    @property
    def num_items(self) -> int:
        """How many pictures there are to learn from."""
        ...

    @property
    def steps_per_epoch(self) -> int:
        """How many batches show each picture once."""
        ...

    @property
    def fingerprint(self) -> str:
        """Stands for the pictures and their order."""
        ...

    def batch(self, step: int) -> Batch:
        """The pictures of step `step`, counted from 0."""
        ...


class Recipe(Protocol):
    """A GAN system in training. A checkpoint is its networks, averages, optimizers and `state`, and the step.

    A recipe inherits this, and with it what is the same for most: Adam moves each network, and averages["generator"]
    paints what `from` shows.
    """

    name: str
    side: int  # of the square pictures it learns from
    reads: tuple[str, ...] = ("from", "to")  # the feeds it needs; ("to",) for a recipe that paints from noise
    shapes: Any  # the settings it was built with: networks,
    train: Any  # and train
    networks: dict[str, nn.Module]  # what is trained
    averages: dict[str, nn.Module]  # name of a network -> its copy with averaged weights, never trained
    # of networks' settings those under which the same weights paint the same: in all others a checkpoint has to agree
    paints_alike: tuple[str, ...] = ()
    cycle: int = 1  # steps of which the first does all that any does, and the others the rest of it alone

    @abstractmethod
    def __init__(self, networks: Any, train: Any) -> None:
        """Untrained, first weights drawn from train.seed; the settings are kept as `shapes` and `train`."""
        ...

    @abstractmethod
    def step(self, step: int, pictures: Pictures, run: Run) -> Losses:
        """Change the networks once. Chance comes from torch's default generator, which the loop seeds by step."""
        ...

    def new_optimizers(self) -> dict[str, Optimizer]:
        """What moves the networks' weights: one Adam for each, at train.rate_NETWORK and train.beta1, beta2."""
        betas = (self.train.beta1, self.train.beta2)
        return {
            name: torch.optim.Adam(network.parameters(), getattr(self.train, f"rate_{name}"), betas)
            for name, network in self.networks.items()
        }

    @cached_property
    def optimizers(self) -> dict[str, Optimizer]:
        """Made when first asked for: who paints needs none, and the first one loads torch's compiler, for seconds."""
        return self.new_optimizers()

    def descend(self, name: str, loss: Tensor) -> None:
        """One step of the optimizer `name` down the gradient of `loss`, a scalar."""
        self.optimizers[name].zero_grad()
        loss.backward()
        self.optimizers[name].step()

    def sibling(self, seed: int) -> Self:
        """The same recipe, untrained, its first weights drawn from another seed."""
        return type(self)(self.shapes, self.train.model_copy(update={"seed": seed}))

    def advance(self, step: int, num_steps: int) -> bool:
        """Called before each step: follow schedules (rates, growth); True if networks or optimizers are new ones."""
        return False

    def bears_parts_of(self, size: int) -> bool:
        """Whether its networks can learn from a batch `size` pictures at a time."""
        return True

    @torch.no_grad()
    def paint(self, pictures: Pictures) -> Tensor:
        """What the averaged networks make of fixed pictures (or of fixed noise, as many): [B,3,H,W] in (-1,1)."""
        return self.averages["generator"](pictures["from"])

    def preview(self, pictures: Pictures) -> dict[str, Tensor]:
        """The rows of a sample grid, title -> [B,3,H,W] in (-1,1); the painted ones under "painted"."""
        return {"photographs": pictures["from"], "painted": self.paint(pictures)}

    def painter(self) -> nn.Module:
        """A copy that only paints, in eval mode: [B,3,H,W] -> [B,3,H,W] (or noise [B,Z] -> [B,3,H,W]), in (-1,1)."""
        return copy.deepcopy(self.averages["generator"]).eval()

    def state(self) -> dict[str, Any]:
        """What else a resume needs (image pool, growth): tensors, numbers, texts, in dicts and lists."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take `state` back; called before weights are loaded, so that grown networks have their shape."""


@contextmanager
def held(*networks: nn.Module) -> Generator[None]:
    """Gradients pass through `networks`, which learn nothing of them: the critic, while the generator learns.

    They learn again afterwards, also where the step did not end well and the loop goes back.
    """
    for network in networks:
        network.requires_grad_(False)
    try:
        yield
    finally:
        for network in networks:
            network.requires_grad_(True)
