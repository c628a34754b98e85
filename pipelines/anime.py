"""Anime faces from noise: the DCGAN at 96 px, whose critic learns at every batch and whose generator at every fifth.

The last layer of the generator enlarges three times, from 32 to 96 px (kernel 5, stride 3), and the first of the critic
undoes it. Many faces are made and the best by the critic's score are kept. Networks after Radford et al. 2016
(arXiv:1511.06434); residual blocks (He et al. 2016) may stand behind each layer.
"""

import copy
import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, relu

from tasks.settings import Settings
from tasks.train.adversarial import critic_loss, generator_loss
from tasks.train.augment import Augment
from tasks.train.average import averaged_copy
from tasks.train.dcgan import PaintsFromNoise, enlarging, first_weights
from tasks.train.layers import Enlarge
from tasks.train.recipe import Losses, Pictures, Run, held
from tasks.train.settings import Augmented

KIND: Literal["noise"] = "noise"


class Networks(Settings):
    """The shapes of both networks."""

    side: int = Field(96, ge=24)  # of the square pictures, in pixels: 12 doubled some times
    filters: int = Field(64, ge=4)  # of the layer next to the picture; doubled at each halving
    noise: int = Field(100, ge=1)  # length of the vector that a face is made from
    enlarge: Enlarge = "transposed"  # the article's; resized paints less grain, and learns more slowly
    residual: int = Field(0, ge=0)  # residual blocks behind each layer of both networks; the article has none

    @field_validator("side")
    @classmethod
    def _doubled_twelve(cls, side: int) -> int:
        if side % 12 or (side // 12) & (side // 12 - 1):
            raise ValueError(
                f"{side} px is not 12 px doubled some times, then a last step of 3; take 24, 48, 96 or 192"
            )
        return side

    @property
    def widths(self) -> list[int]:
        """The filters of each layer, from the 4x4 one to the one next to the picture."""
        return [self.filters * 2**level for level in reversed(range(int(math.log2(self.side // 12)) + 1))]


class Train(Augmented):
    """How both networks learn."""

    batch: int = Field(256, ge=2)  # the article's
    # bce is the article's; under the others nothing else changes. Not wgan: nothing bounds this critic's slope
    loss: Literal["bce", "hinge", "lsgan"] = "bce"
    generator_every: int = Field(5, ge=1)  # batches from one step of the generator to the next
    rate_generator: float = Field(2e-4, gt=0)
    rate_critic: float = Field(2e-4, gt=0)
    beta1: float = Field(0.5, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)
    first_weights: Literal["dcgan", "torch"] = "dcgan"  # of deviation 0.02; the article left PyTorch's own
    strength: float | None = Field(1.0, ge=0, le=1)  # probability of each; None lets it follow the critic


class Residual(nn.Module):
    """x + conv(act(norm(conv(x)))), normed: [B,C,H,W] -> the same."""

    def __init__(self, width: int, slope: float) -> None:
        super().__init__()
        self.one, self.other = (nn.Conv2d(width, width, 3, 1, 1, bias=False) for _ in range(2))
        self.norm, self.last_norm = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.slope = slope  # of the activation below zero

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        inside = self.norm(self.one(x))
        inside = leaky_relu(inside, self.slope) if self.slope else relu(inside)
        return x + self.last_norm(self.other(inside))


class Generator(nn.Module):
    """Noise [B,Z] -> 4x4, doubled, then tripled to [B,3,side,side] in (-1,1); batch norm, ReLU, no biases."""

    def __init__(self, shapes: Networks) -> None:
        super().__init__()
        self.noise = shapes.noise
        widths = shapes.widths
        layers: list[nn.Module] = []
        for level, (before, after) in enumerate(zip([shapes.noise, *widths], widths, strict=False)):
            if level:
                layers += [enlarging(shapes.enlarge, before, after, 2)]
            else:
                layers += [nn.ConvTranspose2d(before, after, 4, 1, 0, bias=False)]
            layers += [nn.BatchNorm2d(after), nn.ReLU(), *(Residual(after, 0.0) for _ in range(shapes.residual))]
        self.layers = nn.Sequential(*layers, enlarging(shapes.enlarge, widths[-1], 3, 3), nn.Tanh())

    def forward(self, noise: Tensor) -> Tensor:
        """Paint from `noise`, float [B,Z], normally distributed."""
        return self.layers(noise[:, :, None, None])


class Critic(nn.Module):
    """The generator's mirror image: a third, then halved until 4x4: [B,3,side,side] -> one logit each, [B,1]."""

    def __init__(self, shapes: Networks) -> None:
        super().__init__()
        widths = shapes.widths[::-1]
        layers: list[nn.Module] = []
        for level, (before, after) in enumerate(zip([3, *widths], widths, strict=False)):
            kernel, stride = (4, 2) if level else (5, 3)
            layers += [nn.Conv2d(before, after, kernel, stride, 1, bias=False)]
            layers += [nn.BatchNorm2d(after)] if level else []
            layers += [nn.LeakyReLU(0.2), *(Residual(after, 0.2) for _ in range(shapes.residual))]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, 1, 0, bias=False), nn.Flatten())

    def forward(self, pictures: Tensor) -> Tensor:
        """The logit of each picture, above zero for real."""
        return self.layers(pictures)


class Anime(PaintsFromNoise):
    """The recipe; see tasks.train.recipe for what each member means."""

    name = "anime"
    shown = "faces"

    def __init__(self, networks: Networks, train: Train) -> None:
        self.shapes, self.train = networks, train
        self.side, self.noise = networks.side, networks.noise
        torch.manual_seed(train.seed)
        self.generator, self.critic = Generator(networks), Critic(networks)
        self.networks: dict[str, nn.Module] = {"generator": self.generator, "critic": self.critic}
        if train.first_weights == "dcgan":
            for network in self.networks.values():
                network.apply(first_weights)
        self.averages: dict[str, nn.Module] = {"generator": averaged_copy(self.generator)}
        self.augment = Augment(train.augment, train.strength)
        self.cycle = train.generator_every
        self.generator_loss = torch.zeros(())  # of its last step; it stands for the steps between

    def step(self, step: int, pictures: Pictures, run: Run) -> Losses:
        """One step of the critic and, at every fifth, one of the generator, each on faces of its own noise."""
        critic = self._critic_step(pictures["to"], run)
        if step % self.train.generator_every == 0:
            self.generator_loss = self._generator_step(pictures["to"], run)
        return {"critic": critic, "generator": self.generator_loss}

    def _noise(self, like: Tensor) -> Tensor:
        return torch.randn(len(like), self.noise, device=like.device)

    def _critic_step(self, faces: Tensor, run: Run) -> Tensor:
        with torch.no_grad():
            painted = run(self.generator, self._noise(faces))
        # two batches: together, batch norm would mix their statistics
        of_real, of_fake = (run(self.critic, self.augment(shown)) for shown in (faces, painted))
        self.augment.watch(of_real)
        loss = critic_loss(self.train.loss, of_real, of_fake)
        self.descend("critic", loss)
        return loss.detach()

    def _generator_step(self, faces: Tensor, run: Run) -> Tensor:
        with held(self.critic):
            logits = run(self.critic, self.augment(run(self.generator, self._noise(faces))))
            loss = generator_loss(self.train.loss, logits)
            self.descend("generator", loss)
        return loss.detach()

    @torch.no_grad()
    def judge(self, painted: Tensor) -> Tensor:
        """The critic's logit of each of [B,3,side,side], [B]: the higher, the more like a face it learned from."""
        return copy.deepcopy(self.critic).eval().to(painted.device)(painted).flatten()

    def state(self) -> dict[str, Any]:
        """The strength of augmentation, what it follows, and the generator's last loss."""
        return {"augment": self.augment.state(), "generator_loss": self.generator_loss}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take `state` back."""
        self.augment.load_state(state["augment"])
        self.generator_loss = state["generator_loss"]


def build(networks: Networks, train: Train) -> Anime:
    """The recipe, untrained, its first weights drawn from train.seed."""
    return Anime(networks, train)
