"""TraVeLGAN: paints photographs in the manner of prints, and keeps what tells one photograph from another.

A generator paints, a critic tells painted from real, and a siamese encoder S gives every picture a latent vector: the
transformation vector between two photographs, S(x) - S(y), must be the one between their paintings (Amodio and
Krishnaswamy 2019, arXiv:1902.09631). One direction, with spectral norm and the Wasserstein loss, the two gradients of
the generator averaged, and its input cut in four patches that are rejoined before the critic sees them.

So the article has it, and so the defaults are. The paper's own code differs: both directions (`directions`) with one
encoder whose first layer each side has for itself, cross-entropy (`loss`), no spectral norm (`spectral`), no patches
(`four_patches`), travel and margin ten times the adversarial loss, the margin on squared distances, batches of 16.
Where the article says nothing (the U-Net's widths, kernels, rates, margin, latent length) the defaults are that code's,
but critic and encoder double 64 filters four times: its critic begins with 128, and its encoder ends at 512.

In neither, and on request: a critic of patches at several sizes (`critic`, `scales`), its gradient penalty (`r1`),
a U-Net that draws no grid (`unet`), the photograph as ground (`ground`), the prints' colours in their shares
(`colours`), flat skies kept flat (`calm`), photographs in other light (`gamma_jitter`).
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cosine_similarity, interpolate, leaky_relu, relu

from tasks.errors import ParamsError
from tasks.settings import Settings
from tasks.train.adversarial import R1_EVERY, Adversarial, critic_loss, generator_loss, r1_penalty
from tasks.train.augment import Augment, gamma_jittered
from tasks.train.average import averaged_copy
from tasks.train.calm import calm_loss
from tasks.train.colours import colour_loss
from tasks.train.recipe import Losses, Pictures, Recipe, Run, held
from tasks.train.settings import Augmented
from tasks.train.spectral import fold_spectrum, normalise_spectrum
from tasks.train.unets import Ground, PooledUNet, UNet, he_weights, normal_weights, on_ground, quartered, rejoined

KIND: Literal["translation"] = "translation"
Name = Literal["generator", "critic", "encoder"]  # of both directions, where there are two


class Networks(Settings):
    """The shapes of the three networks."""

    side: int = Field(256, ge=32, multiple_of=16)  # of the square pictures learned from, in pixels
    # both: another generator and critic learn to paint prints as photographs
    directions: Literal["one", "both"] = "one"
    filters: int = Field(64, ge=4)  # of the first layer of each network; the U-Net's widest has 4 times as many
    levels: int = Field(5, ge=1, le=7)  # halvings of the U-Net; with few it sees strokes alone (1, folded: 36 px)
    # strided as in the paper's code, pooled as the article words it, folded the same of four pixels as one: a quarter
    # of the work
    unet: Literal["strided", "pooled", "folded"] = "strided"
    ground: Ground = "white"  # what the generator paints on: photo keeps what it leaves, grey all of that but colours
    latent: int = Field(1000, ge=2)  # length of the encoder's vector
    norm: Literal["batch", "none"] = "batch"  # in the generator; both paint tiles as they paint the whole
    spectral: tuple[Name, ...] = ("generator", "critic")  # networks under spectral norm
    critic: Literal["whole", "patches"] = "whole"  # one logit for a picture, or one for each patch of 26 px
    scales: int = Field(1, ge=1, le=4)  # sizes at which a critic of patches judges, each half the one before
    four_patches: bool = True  # the generator paints the quarters of a picture, each alone

    @model_validator(mode="after")
    def _levels_fit(self) -> "Networks":
        patch = self.side // 2 if self.four_patches else self.side
        halvings = self.levels + (self.unet == "folded")
        least = 1 if self.unet == "strided" else 2  # px of the deepest level: the others reflect its border
        if patch % 2**halvings or patch >> halvings < least:
            raise ValueError(
                f"the generator is given {patch} px, which cannot be halved {halvings} times to whole pixels, "
                f"{least} at least; lower levels, or change side or four_patches"
            )
        return self

    @model_validator(mode="after")
    def _scales_fit(self) -> "Networks":
        if self.scales > 1 and self.critic == "whole":
            raise ValueError(
                f"scales is {self.scales} and the critic judges pictures whole; set critic to 'patches' or scales to 1"
            )
        if self.side >> (self.scales - 1) < 16:
            raise ValueError(
                f"{self.side} px halved {self.scales - 1} times leave a critic of patches less than 16 px; lower scales"
            )
        return self


class Train(Augmented):
    """How the three networks learn."""

    loss: Adversarial = "wgan"  # hinge settles sooner, bce is the paper's
    rate_generator: float = Field(2e-4, gt=0)  # Adam's
    rate_encoder: float = Field(2e-4, gt=0)  # the encoder bears less than a generator under spectral norm does
    rate_critic: float = Field(2e-4, gt=0)
    beta1: float = Field(0.5, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)
    # dcgan: normal of deviation 0.02, as in the paper's code, under which little passes seven layers without norm until
    # the weights have grown; he: as large as lets all of it pass, in every network but those under spectral norm
    first_weights: Literal["dcgan", "he"] = "dcgan"
    margin: float = Field(10.0, gt=0)  # latent distance that two photographs must keep
    travel: float = Field(1.0, gt=0)  # weight of the transformation-vector loss beside the adversarial one
    # last share of the run with batch norm as it prints: what is learned is exact
    frozen: float = Field(0.0, ge=0, le=1)
    r1: float = Field(0.0, ge=0)  # weight of the critic's gradient penalty at prints; 10 settles what would circle
    colours: float = Field(0.0, ge=0)  # weight of having the prints' colours in the prints' shares
    calm: float = Field(0.0, ge=0)  # weight of leaving flat what is flat in the photograph, so that skies stay skies
    gamma_jitter: float = Field(0.0, ge=0)  # photographs in other light, so that darker ones are no surprise later
    identity: float = Field(0.0, ge=0)  # weight of leaving prints as they are, which keeps colours from trading places


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

    def forward(self, pictures: Tensor, first: nn.Module | None = None) -> Tensor:
        """The critic's logit, or the encoder's latent vector; `first` in place of the first convolution."""
        x = pictures
        for level, conv in enumerate(self.convolutions):
            x = leaky_relu((first or conv)(x) if level == 0 else conv(x), 0.2)
        return self.linear(self.pool(x).flatten(1))


class Encoder(FiveConvolutions):
    """The same for both sides, except that prints have a first convolution of their own, where it serves both ways."""

    def __init__(self, side: int, filters: int, latent: int, both: bool) -> None:
        super().__init__(side, filters, latent)
        self.first_of_prints = copy.deepcopy(self.convolutions[0]) if both else None

    def forward(self, pictures: Tensor, first: nn.Module | None = None) -> Tensor:
        """The latent vectors of photographs, or of prints if `first` is `first_of_prints`: [B,latent]."""
        return super().forward(pictures, first)


class PatchCritic(nn.Module):
    """Judges every patch by itself, at several sizes of the picture: [B,3,H,W] -> [B,scales,H/4,W/4].

    It says where a painting is unlike a print, and so teaches strokes in far fewer steps than one logit does
    (Isola et al. 2017, arXiv:1611.07004). A patch of 26 px of a picture halved shows 52 px of it: what lies between
    strokes and composition (Wang et al. 2018, arXiv:1711.11585). All sizes count the same.
    """

    def __init__(self, filters: int, scales: int) -> None:
        super().__init__()
        self.judges = nn.ModuleList(_patch_judge(filters) for _ in range(scales))

    def forward(self, pictures: Tensor) -> Tensor:
        """A logit for each size and place, above zero for a print."""
        logits: list[Tensor] = []
        for level, judge in enumerate(self.judges):
            x = avg_pool2d(pictures, 2**level) if level else pictures
            logits.append(interpolate(judge(x), logits[0].shape[2:]) if level else judge(x))
        return torch.cat(logits, dim=1)


def _patch_judge(filters: int) -> nn.Module:
    """Four convolutions, two of which halve: [B,3,H,W] -> [B,1,H/4,W/4]."""
    return nn.Sequential(
        nn.Conv2d(3, filters, 4, 2, 1), nn.LeakyReLU(0.2),
        nn.Conv2d(filters, 2 * filters, 4, 2, 1), nn.LeakyReLU(0.2),
        nn.Conv2d(2 * filters, 4 * filters, 3, 1, 1), nn.LeakyReLU(0.2),
        nn.Conv2d(4 * filters, 1, 3, 1, 1),
    )  # fmt: skip


@dataclass(frozen=True)
class Way:
    """One direction: a generator paints the pictures of `source`, and a critic knows those of `target`."""

    generator: nn.Module
    critic: nn.Module
    source: Literal["from", "to"]
    target: Literal["from", "to"]


class TravelGan(Recipe):
    """The recipe; see tasks.train.recipe for what each member means."""

    name = "travelgan"
    paints_alike = ("spectral", "four_patches")  # which networks are under spectral norm, their weights tell

    def __init__(self, networks: Networks, train: Train) -> None:
        _require_sense(networks, train)
        self.shapes, self.train, self.side = networks, train, networks.side
        torch.manual_seed(train.seed)
        both = networks.directions == "both"
        self.generator, self.critic = _generator(networks), _critic(networks)
        self.encoder = Encoder(networks.side, networks.filters, networks.latent, both)
        self.ways = [Way(self.generator, self.critic, "from", "to")]
        self.networks: dict[str, nn.Module] = {
            "generator": self.generator, "critic": self.critic, "encoder": self.encoder,
        }  # fmt: skip
        if both:
            self.ways.append(Way(_generator(networks), _critic(networks), "to", "from"))
            self.networks |= {"generator_back": self.ways[1].generator, "critic_back": self.ways[1].critic}
        for name, network in self.networks.items():
            bounded = name.removesuffix("_back") in networks.spectral
            network.apply(he_weights if train.first_weights == "he" and not bounded else normal_weights)
            if bounded:
                normalise_spectrum(network)
        self.cycle = R1_EVERY if train.r1 > 0 else 1
        generators = [name for name in self.networks if name.startswith("generator")]
        self.averages = {name: averaged_copy(self.networks[name]) for name in generators}
        self.augment = Augment(train.augment, train.strength)

    def bears_parts_of(self, size: int) -> bool:
        """Not a picture alone where the deepest level is one pixel: a single value is nothing to norm."""
        return not _meets_one_value(self.shapes, self.train.batch, size)

    def new_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """One Adam for generators and encoder, each at its rate, one for the critics."""
        train, betas = self.train, (self.train.beta1, self.train.beta2)
        generators = [weight for way in self.ways for weight in way.generator.parameters()]
        critics = [weight for way in self.ways for weight in way.critic.parameters()]
        painting = [
            {"params": generators, "lr": train.rate_generator},
            {"params": list(self.encoder.parameters()), "lr": train.rate_encoder},
        ]
        return {
            "generator": torch.optim.Adam(painting, betas=betas),
            "critic": torch.optim.Adam(critics, train.rate_critic, betas),
        }

    def advance(self, step: int, num_steps: int) -> bool:
        """In the last share of the run batch norm takes the statistics it will print with."""
        measures = step < (1 - self.train.frozen) * num_steps
        for way in self.ways:
            for norm in way.generator.modules():
                if isinstance(norm, nn.BatchNorm2d):
                    norm.train(measures)
        return False

    def step(self, step: int, pictures: Pictures, run: Run) -> Losses:
        """One step of the critics, then one of generators and encoder, on the same paintings; gives mean losses."""
        sources = pictures
        if self.train.gamma_jitter > 0:  # what is painted; a critic knows photographs as they are
            sources = {**pictures, "from": gamma_jittered(pictures["from"], self.train.gamma_jitter)}
        painted = [self._paint_training(way, sources[way.source], run) for way in self.ways]
        critic = self._critic_step(step, painted, pictures, run)
        self.optimizers["generator"].zero_grad()
        found = [self._learn(way, sources, pictures, one, run) for way, one in zip(self.ways, painted, strict=True)]
        self.optimizers["generator"].step()
        losses = {name: torch.stack([one[name] for one in found]).mean() for name in found[0]}
        strength = {"strength": critic.new_tensor(self.augment.strength)} if self.augment.operations else {}
        return {"critic": critic, **losses, **strength}

    def _paint_training(self, way: Way, pictures: Tensor, run: Run) -> Tensor:
        if not self.shapes.four_patches:
            return run(way.generator, pictures)
        return rejoined(run(way.generator, quartered(pictures)))

    def _critic_step(self, step: int, painted: list[Tensor], pictures: Pictures, run: Run) -> Tensor:
        losses: list[Tensor] = []
        for way, one in zip(self.ways, painted, strict=True):
            of_real = run(way.critic, self.augment(pictures[way.target]))
            losses.append(critic_loss(self.train.loss, of_real, run(way.critic, self.augment(one.detach()))))
            self.augment.watch(of_real)
        loss = torch.stack(losses).mean()
        penalty = loss.new_zeros(())
        if self.train.r1 > 0 and step % R1_EVERY == 0:
            penalty = torch.stack([r1_penalty(run, way.critic, pictures[way.target]) for way in self.ways]).mean()
        self.descend("critic", loss + R1_EVERY * self.train.r1 * penalty)
        return loss.detach()

    def _learn(self, way: Way, sources: Pictures, pictures: Pictures, painted: Tensor, run: Run) -> dict[str, Tensor]:
        """Both losses go back to the paintings; there the two gradients are averaged, and their mean goes on."""
        photos, prints, share = sources[way.source], pictures[way.target], 1 / len(self.ways)
        seen = painted.detach().requires_grad_()
        with held(way.critic):
            adversarial = generator_loss(self.train.loss, run(way.critic, self.augment(seen)))
            (from_critic,) = torch.autograd.grad(share * adversarial, seen)

        firsts = (None, self.encoder.first_of_prints)
        of_source, of_target = firsts if way.source == "from" else firsts[::-1]
        of_photos, of_paintings = run(self.encoder, photos, of_source), run(self.encoder, seen, of_target)
        siamese = margin_loss(of_photos, self.train.margin)
        travel = travel_loss(of_photos, of_paintings)
        losses = {"adversarial": adversarial, "siamese": siamese, "travel": travel}
        total = siamese + self.train.travel * travel
        if self.train.calm > 0:
            losses["calm"] = calm_loss(photos, seen)
            total = total + self.train.calm * losses["calm"]
        if self.train.colours > 0:
            losses["colours"] = colour_loss(seen, prints)
            total = total + self.train.colours * losses["colours"]
        (share * total).backward()
        from_encoder = seen.grad
        assert from_encoder is not None
        painted.backward((from_critic + from_encoder) / 2)
        if self.train.identity > 0:
            identity = (self._paint_training(way, prints, run) - prints).abs().mean()
            (share * self.train.identity * identity).backward()
            losses["identity"] = identity
        return {name: loss.detach() for name, loss in losses.items()}

    @torch.no_grad()
    def paint(self, pictures: Pictures) -> Tensor:
        """The photographs as prints; where both ways are learned the other painter meets its pictures here too."""
        if "generator_back" in self.averages:
            self.averages["generator_back"](pictures["to"])
        return super().paint(pictures)

    def preview(self, pictures: Pictures) -> dict[str, Tensor]:
        """Photographs above what became of them, and prints likewise where both directions are learned."""
        rows = super().preview(pictures)
        if "generator_back" in self.averages:
            with torch.no_grad():
                rows |= {"prints": pictures["to"], "painted back": self.averages["generator_back"](pictures["to"])}
        return rows

    def painter(self) -> nn.Module:
        """The averaged generator as plain layers."""
        return fold_spectrum(copy.deepcopy(self.averages["generator"])).eval()

    def painter_back(self) -> nn.Module:
        """The one from prints to photographs; raises ParamsError where one direction is learned."""
        if "generator_back" not in self.averages:
            raise ParamsError("this travelgan paints one way; set recipes.travelgan.networks.directions to 'both'")
        return fold_spectrum(copy.deepcopy(self.averages["generator_back"])).eval()

    def state(self) -> dict[str, Any]:
        """The strength of augmentation, and what it follows."""
        return self.augment.state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take `state` back."""
        self.augment.load_state(dict(state))


def build(networks: Networks, train: Train) -> TravelGan:
    """The recipe, untrained, its first weights drawn from train.seed; raises ParamsError for what makes no sense."""
    return TravelGan(networks, train)


def _require_sense(networks: Networks, train: Train) -> None:
    wrong = ""
    if train.loss == "wgan" and "critic" not in networks.spectral:
        wrong = "loss is 'wgan', which needs a critic of bounded slope; name it in networks.spectral, or take hinge"
    if train.frozen > 0 and networks.norm == "none":
        wrong = f"frozen is {train.frozen:g}, and networks.norm is 'none': there is nothing to freeze; set it to 0"
    if train.first_weights == "he" and len(set(networks.spectral)) == 3:
        wrong = "first_weights is 'he', which no network under networks.spectral takes, and all are; leave it out"
    if train.micro_batch and _meets_one_value(networks, train.batch, train.micro_batch):
        wrong = (
            f"micro_batch is {train.micro_batch}, which leaves batch norm one picture alone, and networks.levels one "
            "pixel of it; raise micro_batch, lower networks.levels, or set networks.norm to 'none'"
        )
    if wrong:
        raise ParamsError(f"recipes.travelgan.train.{wrong}")


def _meets_one_value(networks: Networks, batch: int, size: int) -> bool:
    """Whether `size` pictures at a time leave one alone, and of it one pixel at a level with batch norm."""
    num, deepest = (4 * batch, networks.levels + 1) if networks.four_patches else (batch, networks.levels)
    norms = networks.unet == "strided" and networks.norm == "batch" and networks.levels > 1
    return norms and networks.side >> deepest == 1 and size < num and (num - 1) % size == 0


def _generator(networks: Networks) -> nn.Module:
    shape = (networks.filters, networks.levels, networks.norm)
    unet = UNet(*shape) if networks.unet == "strided" else PooledUNet(*shape, folded=networks.unet == "folded")
    return on_ground(unet, networks.ground)


def _critic(networks: Networks) -> nn.Module:
    if networks.critic == "patches":
        return PatchCritic(networks.filters, networks.scales)
    return FiveConvolutions(networks.side, networks.filters, 1)


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
