"""CycleGAN: two painters, there and back, learn from pictures that are no pairs.

What is painted and painted back must be the picture that it was, a picture that is of the other set already must stay
as it is, and two critics judge every patch by itself (Zhu et al. 2017, arXiv:1703.10593). The generators are those of
Johnson et al. 2016 (arXiv:1603.08155) with nine residual blocks, the critics those of Isola et al. 2017 on 70x70 px.

Beyond the article, on request: enlarging that draws no checkerboard (`enlarge`), the picture as ground
(`ground`), generators without norm (`norm`), critics under spectral norm (`critic_norm`), skies kept flat (`calm`).
"""

import copy
import itertools
from collections.abc import Mapping
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from tasks.settings import Settings
from tasks.train.adversarial import critic_loss, generator_loss
from tasks.train.average import averaged_copy
from tasks.train.calm import calm_loss
from tasks.train.layers import Enlarge, InstanceNorm, ReflectConv
from tasks.train.recipe import Losses, Pictures, Recipe, Run, held
from tasks.train.settings import Train as LoopSettings
from tasks.train.spectral import normalise_spectrum
from tasks.train.unets import Ground, normal_weights, on_ground

KIND: Literal["translation"] = "translation"
Norm = Literal["instance", "none"]
NORMS: Mapping[Norm, type[nn.Module]] = {"instance": InstanceNorm, "none": nn.Identity}


class Networks(Settings):
    """The shapes of the four networks; both generators are alike, and both critics."""

    side: int = Field(256, ge=16, multiple_of=4)  # of the square pictures learned from, in pixels
    filters: int = Field(64, ge=2)  # of the first layer of each network
    blocks: int = Field(9, ge=1)  # residual blocks of a generator; the article's nine are for 256 px, six do for 128
    enlarge: Enlarge = "transposed"  # resized: enlarged, then convolved; draws no checkerboard
    ground: Ground = "white"  # what the generators paint on; photo is the picture, grey that without its colours
    # instance norm brings a pale sky to the contrast of a forest, and paints one into it; none keeps it pale
    norm: Norm = "instance"  # of the generators
    critic_norm: Literal["instance", "spectral"] = "instance"  # spectral leaves a critic what tells pale from bold
    critic_layers: int = Field(3, ge=1, le=5)  # halvings of a critic; 3 make it judge patches of 70x70 px, 2 of 34x34

    @model_validator(mode="after")
    def _critic_fits(self) -> "Networks":
        if self.side >> self.critic_layers < 3:
            raise ValueError(
                f"the critic's last kernel finds no whole patch in {self.side} px halved {self.critic_layers} times; "
                f"lower critic_layers, or take a side of at least {3 << self.critic_layers} px"
            )
        return self


class Train(LoopSettings):
    """How the four networks learn."""

    batch: int = Field(1, ge=1)  # as in the article; more is quicker a picture, and takes more epochs
    flip: bool = True  # the article's
    average_half_life: int = Field(0, ge=0)  # the article averages nothing
    loss: Literal["bce", "lsgan"] = "bce"  # cross-entropy as the article says; its code ran least squares
    rate_generator: float = Field(2e-4, gt=0)  # Adam's
    rate_critic: float = Field(2e-4, gt=0)
    beta1: float = Field(0.5, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)
    steady: float = Field(0.5, ge=0, le=1)  # the article's
    cycle: float = Field(10.0, ge=0)  # weight of painting back what was painted
    identity: float = Field(5.0, ge=0)  # weight of leaving pictures of the other set as they are, which keeps colours
    calm: float = Field(0.0, ge=0)  # weight of leaving flat what is flat in the picture, so that skies stay skies
    pool: int = Field(50, ge=0)  # earlier paintings that a critic is shown in place of half of the new ones


class Residual(nn.Module):
    """Two 3x3 convolutions whose result is added to what went in: [B,C,H,W] -> the same."""

    def __init__(self, width: int, norm: Norm) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            ReflectConv(width, width, 3), NORMS[norm](width), nn.ReLU(),
            ReflectConv(width, width, 3), NORMS[norm](width),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """[B,C,H,W] -> the same."""
        return x + self.layers(x)


class Generator(nn.Module):
    """Halved twice, residual blocks, doubled twice: [B,3,H,W] in (-1,1) -> the same; H and W multiples of 4.

    A transposed convolution of three places that moves by two meets every other pixel twice, which shows as a
    checkerboard until it is unlearned; enlarging evenly and then convolving does not (Odena et al. 2016, Deconvolution
    and Checkerboard Artifacts).
    """

    def __init__(self, filters: int, blocks: int, enlarge: Enlarge = "transposed", norm: Norm = "instance") -> None:
        super().__init__()
        widths, norms = (filters, 2 * filters, 4 * filters), NORMS[norm]
        layers: list[nn.Module] = [ReflectConv(3, filters, 7)]
        for before, after in itertools.pairwise(widths):
            layers += [norms(before), nn.ReLU(), nn.Conv2d(before, after, 3, 2, 1)]
        layers += [norms(widths[-1]), nn.ReLU(), *(Residual(widths[-1], norm) for _ in range(blocks))]
        for before, after in zip(widths[::-1], widths[-2::-1], strict=False):
            layers += [*_doubling(before, after, enlarge), norms(after), nn.ReLU()]
        self.layers = nn.Sequential(*layers, ReflectConv(filters, 3, 7), nn.Tanh())

    def forward(self, pictures: Tensor) -> Tensor:
        """Paint `pictures`, float [B,3,H,W] in (-1,1)."""
        return self.layers(pictures)


def _doubling(before: int, after: int, enlarge: Enlarge) -> list[nn.Module]:
    if enlarge == "transposed":
        return [nn.ConvTranspose2d(before, after, 3, 2, 1, 1)]
    return [nn.Upsample(scale_factor=2.0, mode="bilinear"), ReflectConv(before, after, 3)]


class Critic(nn.Module):
    """One logit for each patch: [B,3,H,W] -> [B,1,H/8-2,W/8-2] with three halvings; above zero for real."""

    def __init__(self, filters: int, halvings: int, norm: Norm = "instance") -> None:
        super().__init__()
        widths = [filters * min(2**level, 8) for level in range(halvings + 1)]
        layers: list[nn.Module] = [nn.Conv2d(3, filters, 4, 2, 1), nn.LeakyReLU(0.2)]
        for level, (before, after) in enumerate(itertools.pairwise(widths), 1):
            layers += [nn.Conv2d(before, after, 4, 2 if level < halvings else 1, 1)]
            layers += [NORMS[norm](after), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, 1, 1))

    def forward(self, pictures: Tensor) -> Tensor:
        """A logit for each patch."""
        return self.layers(pictures)


class Pool:
    """Paintings of earlier steps, so that a critic does not only know the latest (Shrivastava et al. 2017)."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.kept: list[Tensor] = []  # each [3,H,W]

    def swap(self, painted: Tensor) -> Tensor:
        """[B,3,H,W] -> the same: while the pool fills, all new; then each is exchanged for an old one half the time."""
        return torch.stack([self._swap(picture) for picture in painted]) if self.size else painted

    def _swap(self, picture: Tensor) -> Tensor:
        if len(self.kept) < self.size:
            self.kept.append(picture.clone())
        elif float(torch.rand((), device="cpu")) < 0.5:
            place = int(torch.randint(self.size, (), device="cpu"))
            picture, self.kept[place] = self.kept[place], picture.clone()
        return picture


class CycleGan(Recipe):
    """The recipe; see tasks.train.recipe for what each member means. `there` paints from -> to, `back` to -> from."""

    name = "cyclegan"

    def __init__(self, networks: Networks, train: Train) -> None:
        self.shapes, self.train, self.side = networks, train, networks.side
        torch.manual_seed(train.seed)
        self.there, self.back = (_generator(networks) for _ in range(2))
        self.of_to, self.of_from = (_critic(networks) for _ in range(2))
        generators: dict[str, nn.Module] = {"there": self.there, "back": self.back}
        critics: dict[str, nn.Module] = {"critic_to": self.of_to, "critic_from": self.of_from}
        self.networks = {**generators, **critics}
        for network in self.networks.values():
            network.apply(normal_weights)
        if networks.norm == "none":
            for generator in generators.values():
                _keep_signal(generator)
        if networks.critic_norm == "spectral":
            for critic in critics.values():
                normalise_spectrum(critic)
        self.averages = {name: averaged_copy(network) for name, network in generators.items()}
        self.pools = {"to": Pool(train.pool), "from": Pool(train.pool)}

    def new_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """One Adam for both generators, one for both critics."""

        def adam(rate: float, *networks: nn.Module) -> torch.optim.Optimizer:
            weights = [weight for network in networks for weight in network.parameters()]
            return torch.optim.Adam(weights, rate, (self.train.beta1, self.train.beta2))

        return {
            "generator": adam(self.train.rate_generator, self.there, self.back),
            "critic": adam(self.train.rate_critic, self.of_to, self.of_from),
        }

    def step(self, step: int, pictures: Pictures, run: Run) -> Losses:
        """One step of both generators, then one of both critics, on the same paintings."""
        there, back, losses = self._generator_step(pictures["from"], pictures["to"], run)
        critic = self._critic_step({"to": (pictures["to"], there), "from": (pictures["from"], back)}, run)
        return {**losses, "critic": critic}

    def _generator_step(self, photos: Tensor, prints: Tensor, run: Run) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Gives what was painted there and back, [B,3,H,W] each, and the losses."""
        # instance norm measures each picture alone: painted in one batch or in two, the numbers are the same
        keeps = self.train.identity > 0
        there, kept_prints = _halves(run(self.there, torch.cat([photos, prints]) if keeps else photos), len(photos))
        back, kept_photos = _halves(run(self.back, torch.cat([prints, photos]) if keeps else prints), len(prints))
        again_photos, again_prints = run(self.back, there), run(self.there, back)
        kind = self.train.loss
        with held(self.of_to, self.of_from):
            adversarial = generator_loss(kind, run(self.of_to, there)) + generator_loss(kind, run(self.of_from, back))
            cycle = (again_photos - photos).abs().mean() + (again_prints - prints).abs().mean()
            losses = {"adversarial": adversarial, "cycle": cycle}
            total = adversarial + self.train.cycle * cycle
            if keeps:
                losses["identity"] = (kept_prints - prints).abs().mean() + (kept_photos - photos).abs().mean()
                total = total + self.train.identity * losses["identity"]
            if self.train.calm > 0:
                losses["calm"] = calm_loss(photos, there) + calm_loss(prints, back)
                total = total + self.train.calm * losses["calm"]
            self.descend("generator", total)
        return there.detach(), back.detach(), {name: loss.detach() for name, loss in losses.items()}

    def _critic_step(self, shown: Mapping[str, tuple[Tensor, Tensor]], run: Run) -> Tensor:
        """`shown` has the real and the painted pictures of each critic; gives the mean of both losses."""
        losses: list[Tensor] = []
        for key, (real, painted) in shown.items():
            logits = run(self.networks[f"critic_{key}"], torch.cat([real, self.pools[key].swap(painted)]))
            losses.append(critic_loss(self.train.loss, *_halves(logits, len(real))))
        self.descend("critic", torch.stack(losses).sum())
        return torch.stack(losses).mean().detach()

    @torch.no_grad()
    def paint(self, pictures: Pictures) -> Tensor:
        """What becomes of the pictures of `from`."""
        return self.averages["there"](pictures["from"])

    @torch.no_grad()
    def preview(self, pictures: Pictures) -> dict[str, Tensor]:
        """In both directions: real, painted, painted back, and a picture of the other set left as it is."""
        there, back = self.averages["there"], self.averages["back"]
        photos, prints = pictures["from"], pictures["to"]
        painted, unpainted = there(photos), back(prints)
        return {
            "from": photos, "painted": painted, "painted and back": back(painted), "from, left as it is": back(photos),
            "to": prints, "back": unpainted, "back and painted": there(unpainted), "to, left as it is": there(prints),
        }  # fmt: skip

    def painter(self) -> nn.Module:
        """The averaged generator from -> to."""
        return copy.deepcopy(self.averages["there"]).eval()

    def painter_back(self) -> nn.Module:
        """The averaged generator to -> from."""
        return copy.deepcopy(self.averages["back"]).eval()

    def state(self) -> dict[str, Any]:
        """The pools of paintings."""
        return {"pools": {key: list(pool.kept) for key, pool in self.pools.items()}}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take the pools back."""
        for key, pool in self.pools.items():
            pool.kept = list(state["pools"][key])[: pool.size]


def build(networks: Networks, train: Train) -> CycleGan:
    """The recipe, untrained, its first weights drawn from train.seed."""
    return CycleGan(networks, train)


def _generator(networks: Networks) -> nn.Module:
    generator = Generator(networks.filters, networks.blocks, networks.enlarge, networks.norm)
    return on_ground(generator, networks.ground)


def _critic(networks: Networks) -> nn.Module:
    norm = "instance" if networks.critic_norm == "instance" else "none"
    return Critic(networks.filters, networks.critic_layers, norm)


def _halves(both: Tensor, num: int) -> tuple[Tensor, Tensor]:
    """The first `num` of a batch and the others."""
    return both[:num], both[num:]


def _keep_signal(generator: nn.Module) -> None:
    """First weights of a generator without norms, through which pictures come as bold as they go in (He et al. 2015).

    What is added, a residual block's end and the picture's own, begins as it would with norms: as next to nothing.
    """
    blocks = [module for module in generator.modules() if isinstance(module, Residual)]
    convolutions = [module for module in generator.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]
    added = {convolutions[-1], *(block.layers[3] for block in blocks)}
    for layer in convolutions:
        if layer not in added:
            terms = layer.weight.numel() / layer.out_channels  # that make an output
            if isinstance(layer, nn.ConvTranspose2d):
                terms /= layer.stride[0] ** 2
            nn.init.normal_(layer.weight, 0.0, (2 / terms) ** 0.5)
