"""Portraits from noise: a DCGAN whose generator learns to match the critic's features, not to fool it.

The critic ends in a layer of 1024 features and learns by squared error; the generator makes the mean features of a
batch of paintings those of a batch of portraits (Salimans et al. 2016, arXiv:1606.03498). Portraits and paintings alike
are mirrored, and change in saturation and sharpness, before the critic sees them.
"""

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from tasks.settings import Settings
from tasks.train.augment import Augment
from tasks.train.average import averaged_copy
from tasks.train.dcgan import PaintsFromNoise, enlarging, first_weights, orthogonal_weights
from tasks.train.layers import Enlarge
from tasks.train.recipe import Losses, Pictures, Run, held
from tasks.train.settings import Augmented, Operation
from tasks.train.spectral import normalise_spectrum

KIND: Literal["noise"] = "noise"


class Networks(Settings):
    """The shapes of both networks."""

    side: int = Field(64, ge=16)  # of the square pictures, in pixels: 4 doubled some times
    filters: int = Field(64, ge=4)  # of the layer next to the picture; doubled at each halving
    noise: int = Field(100, ge=1)  # length of the vector that a painting is made from
    enlarge: Enlarge = "transposed"  # the article's; resized paints less grain, and learns more slowly
    # batch is the article's; it hides from features how much grain there is. spectral bounds the critic's slope instead
    critic_norm: Literal["batch", "spectral"] = "batch"
    features: int = Field(1024, ge=2)  # of the critic's last layer, which the generator matches

    @field_validator("side")
    @classmethod
    def _doubled_four(cls, side: int) -> int:
        if side & (side - 1):
            raise ValueError(f"{side} px is not 4 px doubled some times; take 16, 32, 64, 128 or 256")
        return side


class Train(Augmented):
    """How both networks learn."""

    batch: int = Field(16, ge=2)  # the article's, who also took 8
    rate_generator: float = Field(2e-4, gt=0)
    rate_critic: float = Field(3e-4, gt=0)  # slightly above the generator's, as the article found best
    beta1: float = Field(0.5, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)
    adversarial: float = Field(0.0, ge=0)  # weight of fooling the critic, beside matching its features
    augment: tuple[Operation, ...] = ("mirror", "saturation", "sharpness")


class Generator(nn.Module):
    """Noise [B,Z] -> 4x4, doubled until [B,3,side,side] in (-1,1): transposed convolutions, batch norm, ReLU."""

    def __init__(self, side: int, filters: int, noise: int, enlarge: Enlarge) -> None:
        super().__init__()
        self.noise = noise
        widths = [filters * 2**level for level in reversed(range(int(math.log2(side // 4))))]
        layers: list[nn.Module] = [nn.ConvTranspose2d(noise, widths[0], 4, 1, 0, bias=False)]
        for before, after in zip(widths, [*widths[1:], 0], strict=True):
            layers += [nn.BatchNorm2d(before), nn.ReLU()]
            layers += [enlarging(enlarge, before, after or 3, 2)]
        self.layers = nn.Sequential(*layers, nn.Tanh())

    def forward(self, noise: Tensor) -> Tensor:
        """Paint from `noise`, float [B,Z], normally distributed."""
        return self.layers(noise[:, :, None, None])


class Critic(nn.Module):
    """Halved until 4x4, then a layer of features, then one logit: [B,3,side,side] -> [B,1], [B,features]."""

    def __init__(self, side: int, filters: int, features: int, norm: Literal["batch", "spectral"]) -> None:
        super().__init__()
        widths = [filters * 2**level for level in range(int(math.log2(side // 4)))]
        layers: list[nn.Module] = []
        for level, (before, after) in enumerate(zip([3, *widths], widths, strict=False)):
            layers += [nn.Conv2d(before, after, 4, 2, 1, bias=level == 0)]
            layers += [nn.BatchNorm2d(after)] if level and norm == "batch" else []
            layers += [nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers)
        self.features = nn.Linear(widths[-1] * 16, features)
        self.logit = nn.Linear(features, 1)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """The logit, above zero for real, and the features of each picture."""
        features = self.features(self.layers(pictures).flatten(1))
        return self.logit(leaky_relu(features, 0.2)), features


class Portraits(PaintsFromNoise):
    """The recipe; see tasks.train.recipe for what each member means."""

    name = "portraits"
    shown = "portraits"

    def __init__(self, networks: Networks, train: Train) -> None:
        self.shapes, self.train = networks, train
        self.side, self.noise = networks.side, networks.noise
        torch.manual_seed(train.seed)
        self.generator = Generator(networks.side, networks.filters, networks.noise, networks.enlarge)
        self.critic = Critic(networks.side, networks.filters, networks.features, networks.critic_norm)
        self.networks: dict[str, nn.Module] = {"generator": self.generator, "critic": self.critic}
        for network in self.networks.values():
            network.apply(first_weights)
        if networks.critic_norm == "spectral":
            normalise_spectrum(self.critic.apply(orthogonal_weights))
        self.averages: dict[str, nn.Module] = {"generator": averaged_copy(self.generator)}
        self.augment = Augment(train.augment, train.strength)

    def step(self, step: int, pictures: Pictures, run: Run) -> Losses:
        """One step of the critic, then one of the generator, on the same paintings."""
        portraits = pictures["to"]
        noise = torch.randn(len(portraits), self.noise, device=portraits.device)
        painted = run(self.generator, noise)
        losses = self._critic_step(portraits, painted.detach(), run)
        return {**losses, **self._generator_step(portraits, painted, run)}

    def _critic_step(self, portraits: Tensor, painted: Tensor, run: Run) -> Losses:
        # two batches: together, batch norm would mix their statistics
        of_real, _ = run(self.critic, self.augment(portraits))
        of_fake, _ = run(self.critic, self.augment(painted))
        self.augment.watch(of_real)
        loss = (1 - of_real.sigmoid()).square().mean() + of_fake.sigmoid().square().mean()
        self.descend("critic", loss)
        return {"critic": loss.detach(), "strength": loss.new_tensor(self.augment.strength)}

    def _generator_step(self, portraits: Tensor, painted: Tensor, run: Run) -> Losses:
        with held(self.critic):
            with torch.no_grad():
                _, of_real = run(self.critic, self.augment(portraits))
            logit, of_fake = run(self.critic, self.augment(painted))
            matching = (of_real.mean(dim=0) - of_fake.mean(dim=0)).square().mean()
            fooling = (1 - logit.sigmoid()).square().mean()
            self.descend("generator", matching + self.train.adversarial * fooling)
        return {"matching": matching.detach(), "fooling": fooling.detach()}

    def state(self) -> dict[str, Any]:
        """The strength of augmentation, and what it follows."""
        return self.augment.state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take `state` back."""
        self.augment.load_state(dict(state))


def build(networks: Networks, train: Train) -> Portraits:
    """The recipe, untrained, its first weights drawn from train.seed."""
    return Portraits(networks, train)
