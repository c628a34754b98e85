"""Progressive GAN: pictures from noise, learned small at first, then at twice the side by one more layer, and again.

Two forms. `plain` is the article's: the DCGAN's layers, as many as the side needs, another one added when it is time.
`karras` is NVIDIA's (Karras et al. 2018, arXiv:1710.10196): equalised learning rates, pixel norm, minibatch deviation,
new layers that fade in, and as a rule the Wasserstein loss with a gradient penalty (Gulrajani et al. 2017).
"""

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from tasks.errors import ParamsError
from tasks.settings import Settings
from tasks.train.adversarial import R1_EVERY, critic_loss, generator_loss, r1_penalty, slope_penalty
from tasks.train.augment import Augment
from tasks.train.average import averaged_copy
from tasks.train.dcgan import PaintsFromNoise, first_weights, normed
from tasks.train.equalised import Border, Deviation, EqualConv, EqualLinear, PixelNorm
from tasks.train.recipe import Losses, Pictures, Run, held
from tasks.train.settings import Augmented

KIND: Literal["noise"] = "noise"
SMALLEST = {"plain": 8, "karras": 4}  # px, the side of a form's first level
# the one choice under which a setting is read
READ_BY = dict.fromkeys(("enlarge", "border", "group"), ("form", "karras")) | {"patience": ("grow", "plateau")}
DRIFT = 1e-3  # weight that keeps the Wasserstein critic's logits of real pictures near zero
GAIN = 0.98  # of the best distance before: what is not below it is no progress


class Networks(Settings):
    """The shapes of both networks, and how they come to their size."""

    side: int = Field(256, ge=16)  # of the pictures at the end, in px: 4 doubled some times; MS-SSIM's window is 11
    first: int = Field(32, ge=4)  # side that learning begins at; the article's 32, NVIDIA's 4
    # schedule: each level has an equal part of the run; plateau: sooner, once previews come no nearer to the pictures;
    # hand: a run stays at `side`, and grows to it first where train.start is a checkpoint of a smaller one
    grow: Literal["schedule", "plateau", "hand"] = "schedule"
    patience: int = Field(3, ge=1)  # previews without progress that make a plateau
    form: Literal["plain", "karras"] = "plain"
    filters: int = Field(32, ge=1)  # of the layers at 64 px, half as many at 128; the DCGAN's 32, NVIDIA's 256
    widest: int = Field(512, ge=4)  # filters that no layer has more of
    noise: int = Field(100, ge=1)  # length of the vector that a painting is made from; NVIDIA's 512
    # karras: nearest is NVIDIA's, and the edges of the pixels that it repeats grow to a weave; bilinear is that of its
    # successor (Karras et al. 2019, arXiv:1812.04948, section 2), and paints forms within minutes
    enlarge: Literal["nearest", "bilinear"] = "nearest"
    border: Border = "zeros"  # karras: beyond a layer's edges; NVIDIA's zeros frame each picture in a short run
    group: int = Field(4, ge=1)  # karras: pictures among which the minibatch deviation is taken

    @model_validator(mode="after")
    def _sides_are_reached(self) -> "Networks":
        for key, side in (("side", self.side), ("first", self.first)):
            if side & (side - 1):
                raise ValueError(f"{key} {side} px is not 4 px doubled some times; take 32, 64, 128, 256, 512 or 1024")
        if not SMALLEST[self.form] <= self.first <= self.side:
            raise ValueError(
                f"the form {self.form!r} does not grow from {self.first} to {self.side} px; "
                f"take a first of {SMALLEST[self.form]} to {self.side}"
            )
        if self.filters * 64 < self.side:
            raise ValueError(f"{self.filters} filters at 64 px leave none at {self.side} px; raise filters")
        return self

    @model_validator(mode="after")
    def _each_is_read(self) -> "Networks":
        for key, (other, value) in READ_BY.items():
            chosen = getattr(self, key)
            if chosen != type(self).model_fields[key].default and getattr(self, other) != value:
                raise ValueError(f"{key} is {chosen!r}, read by {other} {value!r} alone; take that, or leave {key} out")
        return self

    def width(self, side: int) -> int:
        """Filters of the layers at `side` px."""
        return min(self.widest, self.filters * 64 // side)


class Train(Augmented):
    """How both networks learn; what NVIDIA's form takes stands behind each."""

    loss: Literal["bce", "hinge", "wgan"] = "bce"  # wgan
    penalty: float = Field(0.0, ge=0)  # weight of the gradient penalty between real and painted; 10
    # karras: weight of the one at real pictures alone, taken at every fourth step; of a few hundred pictures a critic
    # without either soon knows each, and what is painted is all the same
    r1: float = Field(0.0, ge=0)
    rate_generator: float = Field(2e-4, gt=0)  # Adam's; 0.001
    rate_critic: float = Field(2e-4, gt=0)  # 0.001
    beta1: float = Field(0.5, ge=0, lt=1)  # 0
    beta2: float = Field(0.999, ge=0, lt=1)  # 0.99
    fade: int = Field(0, ge=0)  # pictures over which a new level fades in; 600,000. 0 puts it there at once


class Generator(nn.Module):
    """Noise [B,Z] -> [B,3,at,at]: a base, one block for each doubling, and a head that makes a picture of features.

    While a level fades in, its picture is mixed with that of the level before, enlarged.
    """

    alpha: Tensor  # share of the new level, 0 to 1

    def __init__(self, shapes: Networks, at: int, fading: bool) -> None:
        super().__init__()
        self.at, self.fading = at, fading
        form = _FORMS[shapes.form](shapes)
        self.base = form.base()
        levels = _sides(2 * SMALLEST[shapes.form], at)
        self.blocks = nn.ModuleDict({str(side): form.enlarging(side) for side in levels})
        self.heads = nn.ModuleDict({str(side): form.head(side) for side in ((at // 2, at) if fading else (at,))})
        self.register_buffer("alpha", torch.ones(()))

    def forward(self, noise: Tensor) -> Tensor:
        """Paint from `noise`, float [B,Z], normally distributed."""
        before = x = self.base(noise)
        for block in self.blocks.values():
            before, x = x, block(x)
        painted = self.heads[str(self.at)](x)
        if self.fading:
            old = interpolate(self.heads[str(self.at // 2)](before), scale_factor=2.0)
            painted = old + self.alpha * (painted - old)
        return painted


class Critic(nn.Module):
    """[B,3,at,at] -> [B,1]: the generator's mirror image; the logit is above zero for a real picture."""

    def __init__(self, shapes: Networks, at: int, fading: bool) -> None:
        super().__init__()
        self.at, self.fading = at, fading
        form = _FORMS[shapes.form](shapes)
        self.stems = nn.ModuleDict({str(side): form.stem(side) for side in ((at // 2, at) if fading else (at,))})
        levels = _sides(2 * SMALLEST[shapes.form], at)
        self.blocks = nn.ModuleDict({str(side): form.halving(side) for side in reversed(levels)})
        self.end = form.end()
        self.register_buffer("alpha", torch.ones(()))

    def forward(self, pictures: Tensor, *others: Tensor) -> Tensor | tuple[Tensor, ...]:
        """A logit for each picture; `others`, as many, share the pass, each batch ended by itself: karras alone."""
        if not others:
            return self.end(self._features(pictures))
        features = self._features(torch.cat((pictures, *others)))
        return tuple(self.end(part) for part in features.split(len(pictures)))

    def _features(self, pictures: Tensor) -> Tensor:
        """[B,3,at,at] -> what is seen at 4x4."""
        x = self.stems[str(self.at)](pictures)
        for side, block in self.blocks.items():
            x = block(x)
            if self.fading and int(side) == self.at:
                old = self.stems[str(self.at // 2)](avg_pool2d(pictures, 2))
                x = old + self.alpha * (x - old)
        return x


class _Plain:
    """Layers of the DCGAN: transposed convolutions that double, convolutions that halve; the head and the stem do too.

    The parts of either form: base, noise -> features of 4x4; enlarging, head -> a picture; stem, halving, end -> logit.
    """

    def __init__(self, shapes: Networks) -> None:
        self.width, self.noise = shapes.width, shapes.noise

    def base(self) -> nn.Module:
        up = nn.ConvTranspose2d(self.noise, self.width(4), 4, 1, 0, bias=False)
        return nn.Sequential(nn.Unflatten(1, (self.noise, 1, 1)), normed(up, nn.ReLU()))

    def enlarging(self, side: int) -> nn.Module:
        up = nn.ConvTranspose2d(self.width(side // 4), self.width(side // 2), 4, 2, 1, bias=False)
        return normed(up, nn.ReLU())

    def head(self, side: int) -> nn.Module:
        up = nn.ConvTranspose2d(self.width(side // 2), 3, 4, 2, 1, bias=False)
        return nn.Sequential(up.apply(first_weights), nn.Tanh())

    def stem(self, side: int) -> nn.Module:
        down = nn.Conv2d(3, self.width(side // 2), 4, 2, 1, bias=False)
        return nn.Sequential(down.apply(first_weights), nn.LeakyReLU(0.2))

    def halving(self, side: int) -> nn.Module:
        down = nn.Conv2d(self.width(side // 2), self.width(side // 4), 4, 2, 1, bias=False)
        return normed(down, nn.LeakyReLU(0.2))

    def end(self) -> nn.Module:
        return nn.Sequential(nn.Conv2d(self.width(4), 1, 4, 1, 0, bias=False).apply(first_weights), nn.Flatten())


class _Karras:
    """NVIDIA's layers: pairs of 3x3 convolutions whose weights are scaled when they are used, pixel norm.

    Heads and stems leave the side as it is, and what a head gives is not kept within (-1,1).
    """

    def __init__(self, shapes: Networks) -> None:
        self.width, self.noise, self.group = shapes.width, shapes.noise, shapes.group
        self.enlarge = shapes.enlarge
        self.border: Border = shapes.border

    def base(self) -> nn.Module:
        wide = self.width(4)
        dense = (EqualLinear(self.noise, wide * 16, math.sqrt(2) / 4), nn.Unflatten(1, (wide, 4, 4)))
        return nn.Sequential(PixelNorm(), *dense, nn.LeakyReLU(0.2), PixelNorm(), *self._painting(wide, wide))

    def enlarging(self, side: int) -> nn.Module:
        before, after = self.width(side // 2), self.width(side)
        upsample = nn.Upsample(scale_factor=2.0, mode=self.enlarge)
        return nn.Sequential(upsample, *self._painting(before, after), *self._painting(after, after))

    def head(self, side: int) -> nn.Module:
        return EqualConv(self.width(side), 3, 1, gain=1.0)

    def stem(self, side: int) -> nn.Module:
        return nn.Sequential(*self._layer(3, self.width(side), 1))

    def halving(self, side: int) -> nn.Module:
        before, after = self.width(side), self.width(side // 2)
        return nn.Sequential(*self._layer(before, before), *self._layer(before, after), nn.AvgPool2d(2))

    def end(self) -> nn.Module:
        wide = self.width(4)
        dense = (nn.Flatten(), EqualLinear(wide * 16, wide), nn.LeakyReLU(0.2), EqualLinear(wide, 1, gain=1.0))
        return nn.Sequential(Deviation(self.group), *self._layer(wide + 1, wide), *dense)

    def _painting(self, before: int, after: int) -> tuple[nn.Module, ...]:
        return EqualConv(before, after, 3, border=self.border), nn.LeakyReLU(0.2), PixelNorm()

    def _layer(self, before: int, after: int, kernel: int = 3) -> tuple[nn.Module, ...]:
        return EqualConv(before, after, kernel), nn.LeakyReLU(0.2)


_FORMS = {"plain": _Plain, "karras": _Karras}


class Painter(nn.Module):
    """A generator whose pictures are enlarged to the recipe's side, where it has not grown that far, within (-1,1)."""

    def __init__(self, generator: Generator, side: int, noise: int) -> None:
        super().__init__()
        self.generator, self.times, self.noise = generator, side // generator.at, noise

    def forward(self, noise: Tensor) -> Tensor:
        """[B,Z] -> [B,3,side,side]."""
        return interpolate(self.generator(noise).clamp(-1, 1), scale_factor=float(self.times))


class Progressive(PaintsFromNoise):
    """The recipe; see tasks.train.recipe for what each member means."""

    name = "progressive"
    paints_alike = ("first", "grow", "patience", "filters", "widest", "group")  # which filters there are, weights tell

    def __init__(self, networks: Networks, train: Train) -> None:
        _require_sense(networks, train)
        self.shapes, self.train, self.side, self.noise = networks, train, networks.side, networks.noise
        self.grows_from = tuple(_sides(SMALLEST[networks.form], networks.side // 2))  # checkpoints it goes on from
        self.augment = Augment(train.augment, train.strength)
        self.cycle = R1_EVERY if train.r1 > 0 else 1
        self.since = 0  # the step the level, or its fading, began at
        self.distances: list[float] = []  # of the previews since then
        self._build(networks.side if networks.grow == "hand" else networks.first, fading=False)

    def _build(self, at: int, fading: bool) -> None:
        """Networks for pictures of `at` px, untrained, the same whenever they are built; fresh optimizers."""
        self.at, self.fading = at, fading
        torch.manual_seed(self.train.seed + at)
        self.generator, self.critic = Generator(self.shapes, at, fading), Critic(self.shapes, at, fading)
        self.networks: dict[str, nn.Module] = {"generator": self.generator, "critic": self.critic}
        self.averages: dict[str, nn.Module] = {"generator": averaged_copy(self.generator)}
        self.__dict__.pop("optimizers", None)

    def _rebuild(self, step: int, at: int, fading: bool) -> None:
        """Build at another size, keep every weight that both have, and let what is new be drawn."""
        old = (self.generator, self.critic, self.averages["generator"])
        self._build(at, fading)
        for before, after in zip(old, (self.generator, self.critic, self.averages["generator"]), strict=True):
            known, wanted = before.state_dict(), after.state_dict()
            after.load_state_dict({name: known.get(name, weight) for name, weight in wanted.items()})
        self.since, self.distances = step, []

    def advance(self, step: int, num_steps: int) -> bool:
        """Grow when it is time, and let what is new fade in; optimizers begin anew whenever a level begins or is in."""
        num_fading = -(-self.train.fade // self.train.batch)
        self.since = min(self.since, step)  # a checkpoint of another run may have begun its level later
        is_in = self.fading and step >= self.since + num_fading
        grows = not self.fading and self.at < self.side and self._is_time(step, num_steps, num_fading)
        if is_in or grows:
            self._rebuild(step, 2 * self.at if grows else self.at, fading=grows and num_fading > 0)
        if self.fading:
            for network in (self.generator, self.critic, self.averages["generator"]):
                network.get_buffer("alpha").fill_((step - self.since + 1) / num_fading)
        return is_in or grows

    def _is_time(self, step: int, num_steps: int, num_fading: int) -> bool:
        num_levels = int(math.log2(self.side // self.shapes.first)) + 1
        part = num_steps / num_levels
        if num_fading > part and self.shapes.grow != "hand":
            raise ParamsError(
                f"recipes.progressive.train.fade is {self.train.fade:,} and each of {num_levels} levels has "
                f"{int(part) * self.train.batch:,} pictures; lower fade, or raise epochs or networks.first"
            )
        is_due = step >= part * (1 + math.log2(self.at / self.shapes.first)) or self.shapes.grow == "hand"
        before, lately = self.distances[: -self.shapes.patience], self.distances[-self.shapes.patience :]
        is_plateau = self.shapes.grow == "plateau" and bool(before) and min(lately) > GAIN * min(before)
        return is_due or is_plateau

    def told(self, distance: float) -> None:
        """Hear how far the paintings of a preview are from pictures."""
        if not self.fading:
            self.distances.append(distance)

    def step(self, step: int, pictures: Pictures, run: Run) -> Losses:
        """One step of the critic, then one of the generator, on the same paintings."""
        real = self._at_level(pictures["to"])
        painted = run(self.generator, torch.randn(len(real), self.noise, device=real.device))
        losses = self._critic_step(step, self.augment(real), self.augment(painted.detach()), run)
        with held(self.critic):
            fooling = generator_loss(self.train.loss, run(self.critic, self.augment(painted)))
            self.descend("generator", fooling)
        return {**losses, "generator": fooling.detach(), "side": fooling.new_tensor(float(self.at))}

    def _critic_step(self, step: int, real: Tensor, painted: Tensor, run: Run) -> Losses:
        if self.shapes.form == "karras":
            of_real, of_painted = run(self.critic, real, painted)
        else:  # batch norm must not mix them
            of_real, of_painted = run(self.critic, real), run(self.critic, painted)
        self.augment.watch(of_real)
        loss = critic_loss(self.train.loss, of_real, of_painted)
        losses = {"critic": loss}
        if self.train.loss == "wgan":
            loss = loss + DRIFT * of_real.square().mean()
        if self.train.penalty > 0:
            losses["slope"] = slope = slope_penalty(run, self.critic, real, painted)
            loss = loss + self.train.penalty * slope
        if self.train.r1 > 0 and step % R1_EVERY == 0:
            loss = loss + R1_EVERY * self.train.r1 * r1_penalty(run, self.critic, real)
        self.descend("critic", loss)
        return {name: value.detach() for name, value in losses.items()}

    def _at_level(self, pictures: Tensor) -> Tensor:
        """Pictures as this level sees them: made smaller, and while it fades in, mixed with their blurred selves."""
        small = avg_pool2d(pictures, pictures.shape[-1] // self.at)
        blurred = interpolate(avg_pool2d(small, 2), scale_factor=2.0) if self.fading else small
        return torch.lerp(blurred, small, self.generator.alpha)

    def judge(self, pictures: Tensor) -> Tensor:
        """The critic's logit of each picture [B,3,side,side]: [B], higher for what looks more real."""
        return self.critic.eval()(avg_pool2d(pictures, pictures.shape[-1] // self.at)).flatten()

    def _paints(self) -> nn.Module:
        average = self.averages["generator"]
        assert isinstance(average, Generator)
        return Painter(average, self.side, self.noise)

    def state(self) -> dict[str, Any]:
        """How far it has grown, since when, and the strength of augmentation."""
        level = {"at": self.at, "fading": self.fading, "since": self.since, "distances": list(self.distances)}
        return {**level, "augment": self.augment.state()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take `state` back, with networks of its size."""
        if (state["at"], state["fading"]) != (self.at, self.fading):
            self._build(state["at"], state["fading"])
        self.since, self.distances = state["since"], list(state["distances"])
        self.augment.load_state(state["augment"])


def build(networks: Networks, train: Train) -> Progressive:
    """The recipe, untrained, its first weights drawn from train.seed; raises ParamsError for what makes no sense."""
    return Progressive(networks, train)


def _require_sense(networks: Networks, train: Train) -> None:
    wrong = ""
    for key, weight in (("penalty", train.penalty), ("r1", train.r1)):
        if weight > 0 and networks.form == "plain":
            wrong = f"{key} is {weight:g}, and batch norm gives no picture a slope of its own; take form 'karras'"
    if train.loss == "wgan" and not train.penalty:
        wrong = "loss is 'wgan', which needs a critic of bounded slope; set penalty, as a rule to 10"
    parts = min(train.micro_batch or train.batch, train.batch)  # pictures that the critic sees at once
    for key, num in (("micro_batch", parts), ("batch", train.batch)):
        if networks.form == "karras" and num % networks.group:
            wrong = (
                f"{key} is {num}, no multiple of networks.group, {networks.group}, the pictures among which the "
                "minibatch deviation is taken; change one of the two"
            )
    grows = networks.first < networks.side or networks.grow == "hand" or train.start is not None
    if not grows and (train.fade > 0 or networks.grow == "plateau"):
        wrong = (
            f"fade is {train.fade:,} and networks.grow {networks.grow!r}, and nothing grows where networks.first is "
            "networks.side; set fade to 0 and grow to 'schedule', or lower first"
        )
    if wrong:
        raise ParamsError(f"recipes.progressive.train.{wrong}")


def _sides(first: int, last: int) -> list[int]:
    """`first`, doubled up to `last`."""
    return [first << level for level in range(int(math.log2(last / first)) + 1)] if last >= first else []
