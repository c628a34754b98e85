"""TraVeLGAN: paints photographs in the manner of prints, and keeps what tells one photograph from another.

A generator paints, a critic tells painted from real, and a siamese encoder S gives every picture a latent vector: the
transformation vector between two photographs, S(x) - S(y), must be the one between their paintings (Amodio and
Krishnaswamy 2019, arXiv:1902.09631). One direction, with spectral norm and the Wasserstein loss, the two gradients of
the generator averaged, and its input cut in four patches that are rejoined before the critic sees them.
"""

import copy
import itertools
from collections.abc import Mapping
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cosine_similarity, interpolate, leaky_relu, relu

from tasks.settings import Settings
from tasks.train.adversarial import Adversarial, critic_loss, generator_loss
from tasks.train.augment import Augment, Operation
from tasks.train.average import averaged_copy
from tasks.train.recipe import Losses, Pictures, Run
from tasks.train.settings import Train as LoopSettings
from tasks.train.spectral import fold_spectrum, normalise_spectrum

KIND: Literal["translation"] = "translation"
Name = Literal["generator", "critic", "encoder"]


class Networks(Settings):
    """The shapes of the three networks."""

    side: int = Field(256, ge=32, multiple_of=16)  # of the square pictures learned from, in pixels
    filters: int = Field(64, ge=4)  # of the first layer of each network
    levels: int = Field(5, ge=2, le=7)  # halvings of the U-Net; the widest is 4 x filters
    unet: Literal["strided", "pooled"] = "strided"  # strided as in the paper's code, pooled as the article words it
    residual: bool = False  # the generator paints over the photograph, not on white
    latent: int = Field(1000, ge=2)  # length of the encoder's vector
    norm: Literal["batch", "none"] = "batch"  # in the generator; both paint tiles as they paint the whole
    spectral: tuple[Name, ...] = ("generator", "critic")  # networks under spectral norm
    critic: Literal["whole", "patches"] = "whole"  # one logit for a picture, or one for each patch of about 20 px
    four_patches: bool = True  # the generator paints the quarters of a picture, each alone

    @model_validator(mode="after")
    def _levels_fit(self) -> "Networks":
        patch = self.side // 2 if self.four_patches else self.side
        if patch % 2**self.levels:
            raise ValueError(
                f"the generator is given {patch} px, which cannot be halved {self.levels} times; "
                "lower levels, or change side or four_patches"
            )
        return self


class Train(LoopSettings):
    """How the three networks learn."""

    loss: Adversarial = "wgan"  # hinge settles sooner, bce is the paper's
    rate_generator: float = Field(2e-4, gt=0)  # Adam's
    rate_encoder: float = Field(2e-4, gt=0)  # the encoder bears less than a generator under spectral norm does
    rate_critic: float = Field(2e-4, gt=0)
    beta1: float = Field(0.5, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)
    margin: float = Field(10.0, gt=0)  # latent distance that two photographs must keep
    travel: float = Field(1.0, gt=0)  # weight of the transformation-vector loss beside the adversarial one
    augment: tuple[Operation, ...] = ()  # what the critic sees prints and paintings alike through; for small sets
    strength: float | None = Field(0.5, ge=0, le=1)  # probability of each; None lets it follow the critic
    identity: float = Field(0.0, ge=0)  # weight of leaving prints as they are, which keeps colours from trading places


class Over(nn.Module):
    """Paint over the photograph: what the network gives is added before the last tanh, which keeps it in (-1,1)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor:
        """[B,3,H,W] in (-1,1) -> the same."""
        # tanh(a + b) of two values whose tanh is known
        x, y = pictures * 0.98, self.network(pictures)
        return (x + y) / (1 + x * y)


class UNet(nn.Module):
    """Convolutions down, transposed convolutions up, each level joined to its like: [B,3,H,W] -> the same, tanh.

    H and W are multiples of 2^levels; an output pixel sees no input further than 3 x 2^levels - 3 pixels away.
    """

    def __init__(self, filters: int, levels: int, norm: Literal["batch", "none"]) -> None:
        super().__init__()
        widths = [min(filters * 2**level, 4 * filters) for level in range(levels)]
        self.down = nn.ModuleList(
            nn.Conv2d(before, after, 4, 2, 1) for before, after in zip([3, *widths], widths, strict=False)
        )
        self.down_norm = nn.ModuleList(
            nn.BatchNorm2d(width) if norm == "batch" and level else nn.Identity() for level, width in enumerate(widths)
        )
        outputs = [3, *widths][:-1]
        inputs = [2 * width for width in widths[:-1]] + widths[-1:]
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(before, after, 4, 2, 1) for before, after in zip(inputs, outputs, strict=True)
        )
        self.up_norm = nn.ModuleList(
            nn.BatchNorm2d(width) if norm == "batch" and level else nn.Identity() for level, width in enumerate(outputs)
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Paint `pictures`, float [B,3,H,W] in (-1,1)."""
        skips: list[Tensor] = []
        x = pictures
        for conv, norm in zip(self.down, self.down_norm, strict=True):
            x = leaky_relu(norm(conv(x)), 0.2)
            skips.append(x)
        for level in reversed(range(1, len(self.up))):
            x = relu(self.up_norm[level](self.up[level](x)))
            x = torch.cat([x, skips[level - 1]], dim=1)
        return torch.tanh(self.up[0](x))


class PooledUNet(nn.Module):
    """Convolutions and mean pooling down, enlarging and convolutions up, from full size to full size, tanh.

    It keeps the finest line and draws no checkerboard, at a price: it works at full size too. Borders are reflected,
    since zeros would teach it to paint a frame round every patch.
    """

    def __init__(self, filters: int, levels: int, norm: Literal["batch", "none"]) -> None:
        super().__init__()
        widths = [min(filters * 2**level, 4 * filters) for level in range(levels + 1)]
        self.down = nn.ModuleList(
            nn.Conv2d(before, after, 3, 1, 1, padding_mode="reflect")
            for before, after in zip([3, *widths], widths, strict=False)
        )
        self.up = nn.ModuleList(
            nn.Conv2d(above + below, above, 3, 1, 1, padding_mode="reflect")
            for above, below in itertools.pairwise(widths)
        )
        self.last = nn.Conv2d(widths[0], 3, 3, 1, 1, padding_mode="reflect")
        self.down_norm = nn.ModuleList(
            nn.BatchNorm2d(width) if norm == "batch" and level else nn.Identity() for level, width in enumerate(widths)
        )
        self.up_norm = nn.ModuleList(
            nn.BatchNorm2d(width) if norm == "batch" else nn.Identity() for width in widths[:-1]
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Paint `pictures`, float [B,3,H,W] in (-1,1), H and W multiples of 2^levels."""
        skips: list[Tensor] = []
        x = pictures
        for level, (conv, norm) in enumerate(zip(self.down, self.down_norm, strict=True)):
            x = leaky_relu(norm(conv(avg_pool2d(x, 2) if level else x)), 0.2)
            skips.append(x)
        for level in reversed(range(len(self.up))):
            x = torch.cat([interpolate(x, scale_factor=2.0), skips[level]], dim=1)
            x = relu(self.up_norm[level](self.up[level](x)))
        return torch.tanh(self.last(x))


class FiveConvolutions(nn.Module):
    """Five convolutions, each with twice the filters of the one before, a mean over a grid of 4x4, and a linear layer.

    A convolution halves the picture as long as it is larger than 4x4. [B,3,side,side] -> [B,outputs].
    """

    def __init__(self, side: int, filters: int, outputs: int) -> None:
        super().__init__()
        widths = [filters * 2**level for level in range(5)]
        self.convolutions = nn.ModuleList()
        for before, after in zip([3, *widths], widths, strict=False):
            halves = side > 4
            self.convolutions.append(nn.Conv2d(before, after, 4 if halves else 3, 2 if halves else 1, 1))
            side = side // 2 if halves else side
        self.pool = nn.Identity() if side == 4 else nn.AdaptiveAvgPool2d(4)
        self.linear = nn.Linear(widths[-1] * 16, outputs)

    def forward(self, pictures: Tensor) -> Tensor:
        """The critic's logit, or the encoder's latent vector."""
        x = pictures
        for conv in self.convolutions:
            x = leaky_relu(conv(x), 0.2)
        return self.linear(self.pool(x).flatten(1))


class PatchCritic(nn.Module):
    """Four convolutions that judge every patch by itself: [B,3,H,W] -> [B,1,H/4,W/4].

    It says where a painting is unlike a print, and so teaches strokes in far fewer steps than one logit does
    (Isola et al. 2017, arXiv:1611.07004).
    """

    def __init__(self, filters: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            (
                nn.Conv2d(3, filters, 4, 2, 1),
                nn.Conv2d(filters, 2 * filters, 4, 2, 1),
                nn.Conv2d(2 * filters, 4 * filters, 3, 1, 1),
            )
        )
        self.last = nn.Conv2d(4 * filters, 1, 3, 1, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """A logit for each place, above zero for a print."""
        x = pictures
        for conv in self.convolutions:
            x = leaky_relu(conv(x), 0.2)
        return self.last(x)


class TravelGan:
    """The recipe; see tasks.train.recipe for what each member means."""

    name = "travelgan"
    reads = ("from", "to")

    def __init__(self, networks: Networks, train: Train) -> None:
        self.shapes, self.train, self.side = networks, train, networks.side
        torch.manual_seed(train.seed)
        self.generator = _generator(networks)
        whole = networks.critic == "whole"
        self.critic = FiveConvolutions(networks.side, networks.filters, 1) if whole else PatchCritic(networks.filters)
        self.encoder = FiveConvolutions(networks.side, networks.filters, networks.latent)
        self.networks: dict[str, nn.Module] = {
            "generator": self.generator, "critic": self.critic, "encoder": self.encoder,
        }  # fmt: skip
        for name, network in self.networks.items():
            network.apply(_first_weights)
            if name in networks.spectral:
                normalise_spectrum(network)
        self.averages: dict[str, nn.Module] = {"generator": averaged_copy(self.generator)}
        betas = (train.beta1, train.beta2)
        self.generator_optimizer = torch.optim.Adam(
            [
                {"params": list(self.generator.parameters()), "lr": train.rate_generator},
                {"params": list(self.encoder.parameters()), "lr": train.rate_encoder},
            ],
            betas=betas,
        )
        self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), train.rate_critic, betas)
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "generator": self.generator_optimizer, "critic": self.critic_optimizer,
        }  # fmt: skip
        self.augment = Augment(train.augment, train.strength)

    def sibling(self, seed: int) -> "TravelGan":
        """The same recipe from other first weights."""
        return TravelGan(self.shapes, self.train.model_copy(update={"seed": seed}))

    def advance(self, step: int, num_steps: int) -> bool:
        """Nothing changes on a schedule."""
        return False

    def step(self, step: int, pictures: Pictures, run: Run) -> Losses:
        """One step of the critic, then one of generator and encoder, on the same paintings."""
        photos, prints = pictures["from"], pictures["to"]
        painted = self._paint_training(photos, run)
        critic = self._critic_step(painted.detach(), prints, run)
        losses = self._generator_step(photos, painted, prints, run)
        strength = {"strength": critic.new_tensor(self.augment.strength)} if self.augment.operations else {}
        return {"critic": critic, **losses, **strength}

    def _paint_training(self, photos: Tensor, run: Run) -> Tensor:
        if not self.shapes.four_patches:
            return run(self.generator, photos)
        return rejoined(run(self.generator, quartered(photos)))

    def _critic_step(self, painted: Tensor, prints: Tensor, run: Run) -> Tensor:
        of_prints = run(self.critic, self.augment(prints))
        loss = critic_loss(self.train.loss, of_prints, run(self.critic, self.augment(painted)))
        self.augment.watch(of_prints)
        self.critic_optimizer.zero_grad()
        loss.backward()
        self.critic_optimizer.step()
        return loss.detach()

    def _generator_step(self, photos: Tensor, painted: Tensor, prints: Tensor, run: Run) -> Losses:
        """Both losses go back to the paintings; there the two gradients are averaged, and their mean goes on."""
        self.generator_optimizer.zero_grad()
        seen = painted.detach().requires_grad_()

        self.critic.requires_grad_(False)
        adversarial = generator_loss(self.train.loss, run(self.critic, self.augment(seen)))
        (from_critic,) = torch.autograd.grad(adversarial, seen)
        self.critic.requires_grad_(True)

        of_photos, of_paintings = run(self.encoder, photos), run(self.encoder, seen)
        siamese = margin_loss(of_photos, self.train.margin)
        travel = travel_loss(of_photos, of_paintings)
        (siamese + self.train.travel * travel).backward()
        from_encoder = seen.grad
        assert from_encoder is not None

        painted.backward((from_critic + from_encoder) / 2)
        losses = {"adversarial": adversarial.detach(), "siamese": siamese.detach(), "travel": travel.detach()}
        if self.train.identity > 0:
            identity = (self._paint_training(prints, run) - prints).abs().mean()
            (self.train.identity * identity).backward()
            losses["identity"] = identity.detach()
        self.generator_optimizer.step()
        return losses

    @torch.no_grad()
    def paint(self, pictures: Pictures) -> Tensor:
        """Each photograph painted whole, as prints will be."""
        return self.averages["generator"](pictures["from"])

    def preview(self, pictures: Pictures) -> dict[str, Tensor]:
        """Photographs above what became of them."""
        return {"photographs": pictures["from"], "painted": self.paint(pictures)}

    def painter(self) -> nn.Module:
        """The averaged generator as plain layers."""
        return fold_spectrum(copy.deepcopy(self.averages["generator"])).eval()

    def state(self) -> dict[str, Any]:
        """The strength of augmentation, and what it follows."""
        return self.augment.state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take `state` back."""
        self.augment.load_state(dict(state))


def build(networks: Networks, train: Train) -> TravelGan:
    """The recipe, untrained, its first weights drawn from train.seed."""
    return TravelGan(networks, train)


def _generator(networks: Networks) -> nn.Module:
    unet = {"strided": UNet, "pooled": PooledUNet}[networks.unet](networks.filters, networks.levels, networks.norm)
    return Over(unet) if networks.residual else unet


def quartered(pictures: Tensor) -> Tensor:
    """[B,3,2h,2w] -> [4B,3,h,w]: the quarters of each picture, left to right and top to bottom."""
    num, channels, height, width = pictures.shape
    cut = pictures.reshape(num, channels, 2, height // 2, 2, width // 2).permute(0, 2, 4, 1, 3, 5)
    return cut.reshape(4 * num, channels, height // 2, width // 2)


def rejoined(quarters: Tensor) -> Tensor:
    """[4B,3,h,w] -> [B,3,2h,2w]: `quartered` undone."""
    num, channels, height, width = quarters.shape
    laid = quarters.reshape(num // 4, 2, 2, channels, height, width).permute(0, 3, 1, 4, 2, 5)
    return laid.reshape(num // 4, channels, 2 * height, 2 * width)


def transformation_vectors(latents: Tensor) -> Tensor:
    """[B,D] -> [B(B-1)/2,D]: S(x_i) - S(x_j) for every pair i < j."""
    i, j = torch.triu_indices(len(latents), len(latents), offset=1, device=latents.device)
    return latents[i] - latents[j]


def margin_loss(latents: Tensor, margin: float) -> Tensor:
    """Mean over pairs of max(0, margin - |v|): keeps the encoder from sending every photograph to one point."""
    return relu(margin - transformation_vectors(latents).norm(dim=1)).mean()


def travel_loss(of_photos: Tensor, of_paintings: Tensor) -> Tensor:
    """Mean over pairs of cosine distance and mean squared difference of transformation vectors, added."""
    before, after = transformation_vectors(of_photos), transformation_vectors(of_paintings)
    cosine = 1 - cosine_similarity(before, after, dim=1).mean()
    return cosine + (before - after).square().mean()


def _first_weights(layer: nn.Module) -> None:
    """Normal with deviation 0.02 for convolutions, as in the paper's code; the linear layers keep torch's default."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, 0.0, 0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
