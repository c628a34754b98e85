"""The steps of the originals as they are written down first: float32, every pass by itself, fakes made anew.

Beside them ours are timed, with the same networks, losses and pictures.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from pipelines import cyclegan, progressive
from tasks.train.adversarial import critic_loss, generator_loss
from tasks.train.engine import Engine
from tasks.train.recipe import Recipe


@dataclass(frozen=True)
class Contest:
    """Our step beside the plain one; both take the number of the step."""

    name: str
    pictures: int  # in a step
    plain: Callable[[int], object]
    ours: Callable[[int], object]


def dcgan64() -> Contest:
    """DCGAN at 64 px, batch 64: the plain form of `progressive` at one size has its networks, losses and step."""
    pictures = _shown(64, 64)
    shapes = progressive.Networks(side=64, first=64)
    plain, ours = (progressive.build(shapes, _dcgan_settings(precision)) for precision in _PRECISIONS)
    return Contest("dcgan64", 64, lambda _step: plain_dcgan_step(plain, pictures["to"]), _ours(ours, pictures))


def _dcgan_settings(precision: str) -> progressive.Train:
    return progressive.Train.model_validate({"loss": "bce", "batch": 64, "precision": precision, "device": "cpu"})


def plain_dcgan_step(recipe: progressive.Progressive, real: Tensor) -> None:
    """Critic on real and painted, then the generator on the same paintings, by a critic not frozen."""
    generator, critic = recipe.generator, recipe.critic
    ones, zeros = torch.ones(len(real), 1), torch.zeros(len(real), 1)
    painted = generator(torch.randn(len(real), recipe.shapes.noise))
    recipe.optimizers["critic"].zero_grad()
    binary_cross_entropy_with_logits(critic(real), ones).backward()
    binary_cross_entropy_with_logits(critic(painted.detach()), zeros).backward()
    recipe.optimizers["critic"].step()
    recipe.optimizers["generator"].zero_grad()
    binary_cross_entropy_with_logits(critic(painted), ones).backward()
    recipe.optimizers["generator"].step()


def cyclegan256() -> Contest:
    """CycleGAN at 256 px, batch 1, least squares, with identity: the networks of the paper's code."""
    pictures = _shown(1, 256)
    plain, ours = (cyclegan.build(cyclegan.Networks(), _cyclegan_settings(precision)) for precision in _PRECISIONS)
    return Contest("cyclegan256", 1, lambda _step: plain_cyclegan_step(plain, pictures), _ours(ours, pictures))


def _cyclegan_settings(precision: str) -> cyclegan.Train:
    return cyclegan.Train.model_validate({"loss": "lsgan", "precision": precision, "device": "cpu"})


def plain_cyclegan_step(recipe: cyclegan.CycleGan, pictures: Mapping[str, Tensor]) -> None:
    """Six passes of generators, then each critic on real and painted by turns; critics are frozen as in that code."""
    photos, prints = pictures["from"], pictures["to"]
    there, back, of_to, of_from = recipe.there, recipe.back, recipe.of_to, recipe.of_from
    for critic in (of_to, of_from):
        critic.requires_grad_(False)
    painted, unpainted = there(photos), back(prints)
    total = generator_loss("lsgan", of_to(painted)) + generator_loss("lsgan", of_from(unpainted))
    total = total + 10 * ((back(painted) - photos).abs().mean() + (there(unpainted) - prints).abs().mean())
    total = total + 5 * ((there(prints) - prints).abs().mean() + (back(photos) - photos).abs().mean())
    recipe.optimizers["generator"].zero_grad()
    total.backward()
    recipe.optimizers["generator"].step()
    for critic in (of_to, of_from):
        critic.requires_grad_(True)
    recipe.optimizers["critic"].zero_grad()
    for critic, real, fake, key in ((of_to, prints, painted, "to"), (of_from, photos, unpainted, "from")):
        critic_loss("lsgan", critic(real), critic(recipe.pools[key].swap(fake.detach()))).backward()
    recipe.optimizers["critic"].step()


def progressive64() -> Contest:
    """NVIDIA's Progressive GAN at its 64 px level, Wasserstein loss with gradient penalty, batch 4."""
    pictures = _shown(4, 64)
    shapes = progressive.Networks(side=64, first=64, form="karras", filters=256, noise=512)
    plain, ours = (progressive.build(shapes, _progressive_settings(precision)) for precision in _PRECISIONS)
    return Contest("progressive", 4, lambda _step: plain_progressive_step(plain, pictures["to"]), _ours(ours, pictures))


def _progressive_settings(precision: str) -> progressive.Train:
    rates = {"rate_generator": 1e-3, "rate_critic": 1e-3, "beta1": 0.0, "beta2": 0.99}
    return progressive.Train.model_validate(
        {"loss": "wgan", "penalty": 10, "precision": precision, "device": "cpu", **rates}
    )


def plain_progressive_step(recipe: progressive.Progressive, real: Tensor) -> None:
    """Critic on real, painted and mixed pictures, then the generator on other paintings, by a critic not frozen."""
    generator, critic, num = recipe.generator, recipe.critic, len(real)
    painted = generator(torch.randn(num, recipe.shapes.noise)).detach()
    mixed = torch.lerp(real, painted, torch.rand(num, 1, 1, 1)).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
    of_real = critic(real)
    loss = critic(painted).mean() - of_real.mean() + progressive.DRIFT * of_real.square().mean()
    loss = loss + 10 * (gradient.flatten(1).norm(dim=1) - 1).square().mean()
    recipe.optimizers["critic"].zero_grad()
    loss.backward()
    recipe.optimizers["critic"].step()
    recipe.optimizers["generator"].zero_grad()
    generator_loss("wgan", critic(generator(torch.randn(num, recipe.shapes.noise)))).backward()
    recipe.optimizers["generator"].step()


_PRECISIONS = ("float32", "bfloat16")  # of the plain step, and of ours


def _ours(recipe: Recipe, pictures: Mapping[str, Tensor]) -> Callable[[int], object]:
    settings: cyclegan.Train | progressive.Train = recipe.train  # type: ignore[attr-defined]
    engine = Engine.of(settings)
    engine.place(recipe)
    return lambda step: recipe.step(step, pictures, engine.run)


def _shown(num: int, side: int) -> dict[str, Tensor]:
    """Random pictures for both sides, float32 [num,3,side,side] in (-1,1)."""
    return {key: torch.rand(num, 3, side, side) * 2 - 1 for key in ("from", "to")}
