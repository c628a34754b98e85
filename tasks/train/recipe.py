"""The seam between the loop and the mathematics: what a recipe, a feed and a painter must be.

The loop owns devices, precision, seeds, checkpoints, previews; the recipe owns which loss reaches which network.
"""

from collections.abc import Mapping
from typing import Any, Protocol, Self, runtime_checkable

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


@runtime_checkable
class Recipe(Protocol):
    """A GAN system in training. A checkpoint is its networks, averages, optimizers and `state`, and the step."""

    name: str
    side: int  # of the square pictures it learns from
    reads: tuple[str, ...]  # the feeds it needs: ("from", "to"), or ("to",) for a recipe that paints from noise
    networks: dict[str, nn.Module]  # what is trained
    averages: dict[str, nn.Module]  # name of a network -> its copy with averaged weights, never trained
    optimizers: dict[str, Optimizer]

    def sibling(self, seed: int) -> Self:
        """The same recipe, untrained, its first weights drawn from another seed."""
        ...

    def advance(self, step: int, num_steps: int) -> bool:
        """Called before each step: follow schedules (rates, growth); True if networks or optimizers are new ones."""
        ...

    def step(self, step: int, pictures: Pictures, run: Run) -> Losses:
        """Change the networks once. Chance comes from torch's default generator, which the loop seeds by step."""
        ...

    def paint(self, pictures: Pictures) -> Tensor:
        """What the averaged networks make of fixed pictures (or of fixed noise, as many): [B,3,H,W] in (-1,1)."""
        ...

    def preview(self, pictures: Pictures) -> dict[str, Tensor]:
        """The rows of a sample grid, title -> [B,3,H,W] in (-1,1); the painted ones under "painted"."""
        ...

    def painter(self) -> nn.Module:
        """A copy that only paints, in eval mode: [B,3,H,W] -> [B,3,H,W] (or noise [B,Z] -> [B,3,H,W]), in (-1,1)."""
        ...

    def state(self) -> dict[str, Any]:
        """What else a resume needs (image pool, growth): tensors, numbers, texts, in dicts and lists."""
        ...

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take `state` back; called before weights are loaded, so that grown networks have their shape."""
        ...
