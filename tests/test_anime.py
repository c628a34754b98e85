"""Anime: sizes as the article's, whose turn it is, and the critic's word on what was painted."""

import pytest
import torch
from torch import Tensor, nn

from pipelines import anime
from tasks.errors import ParamsError
from tasks.train.dcgan import enlarging

SMALL = {"side": 24, "filters": 4, "noise": 8}


def made(**train: object) -> anime.Anime:
    return anime.build(anime.Networks.read(SMALL, "networks"), anime.Train.read({"batch": 4, **train}, "train"))


def num_weights(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def plainly(network: nn.Module, *inputs: Tensor, twice: bool = False) -> Tensor:
    return network(*inputs)


def weights(network: nn.Module) -> list[Tensor]:
    return [weight.detach().clone() for weight in network.parameters()]


def changed(before: list[Tensor], network: nn.Module) -> bool:
    return not all(torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True))


def test_the_articles_networks_have_their_sizes() -> None:
    with torch.device("meta"):
        recipe = anime.build(anime.Networks(), anime.Train())
        assert recipe.generator(torch.empty(2, 100)).shape == (2, 3, 96, 96)
        assert recipe.critic(torch.empty(2, 3, 96, 96)).shape == (2, 1)
    assert num_weights(recipe.generator) == 3_578_432
    assert num_weights(recipe.critic) == 2_767_296
    last = [layer for layer in recipe.generator.modules() if isinstance(layer, nn.ConvTranspose2d)][-1]
    assert (last.kernel_size, last.stride, last.padding) == ((5, 5), (3, 3), (1, 1))


def test_what_is_enlarged_evenly_has_no_grid() -> None:
    """Untrained, a transposed convolution paints one: its columns differ by their place modulo 3."""
    torch.manual_seed(0)
    flat = torch.ones(1, 8, 8, 8)
    for how, grid in (("transposed", True), ("resized", False)):
        inside = enlarging(how, 8, 3, 3)(flat).detach()[0, :, 6:-6, 6:-6]  # away from the borders
        assert inside.shape == (3, 12, 12)
        assert (float(inside.std(dim=2).max()) > 1e-3) == grid, how


@pytest.mark.parametrize("side", [24, 48, 192])
def test_other_sides_are_twelve_doubled(side: int) -> None:
    recipe = anime.build(anime.Networks.read({"side": side, "filters": 4, "residual": 1}, "networks"), anime.Train())
    painted = recipe.generator(torch.randn(2, 100))
    assert painted.shape == (2, 3, side, side)
    assert recipe.critic(painted).shape == (2, 1)


@pytest.mark.parametrize("side", [32, 64, 100, 36])
def test_a_side_the_last_kernel_cannot_reach_is_said(side: int) -> None:
    with pytest.raises(ParamsError, match=rf"networks.side: {side} px is not 12 px doubled.*; take 24, 48, 96 or 192"):
        anime.Networks.read({"side": side}, "recipes.anime.networks")


def test_the_critic_learns_at_every_batch_and_the_generator_at_every_fifth() -> None:
    recipe = made()
    faces = torch.rand(4, 3, 24, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for step in range(11):
        generator, critic = weights(recipe.generator), weights(recipe.critic)
        losses = recipe.step(step, {"to": faces}, plainly)
        assert changed(critic, recipe.critic)
        assert changed(generator, recipe.generator) == (step % 5 == 0)
        assert set(losses) == {"critic", "generator"}
    assert all(weight.requires_grad for weight in recipe.critic.parameters())


def test_the_article_left_the_first_weights_to_pytorch() -> None:
    def deviation(recipe: anime.Anime) -> float:
        return float(next(recipe.generator.parameters()).detach().std())

    assert deviation(made()) == pytest.approx(0.02, rel=0.2)
    assert deviation(made(first_weights="torch")) > 0.04


def test_the_critic_prefers_what_it_was_taught_is_real() -> None:
    torch.manual_seed(0)
    recipe = made(rate_critic=0.002, generator_every=1000)
    light = torch.full((4, 3, 24, 24), 0.7) + 0.1 * torch.randn(4, 3, 24, 24)
    for step in range(1, 25):
        recipe.step(step, {"to": light}, plainly)
    recipe.critic.train()
    scores = recipe.judge(torch.cat([light, recipe.generator(torch.randn(4, 8))]))
    assert scores.shape == (8,)
    assert float(scores[:4].min()) > float(scores[4:].max())
    assert torch.equal(scores[:2], recipe.judge(light[:2]))  # each is judged alone, whatever stands beside it


def test_a_critic_whose_slope_nothing_bounds_learns_by_no_wasserstein_loss() -> None:
    with pytest.raises(ParamsError, match=r"train\.loss is 'wgan'; input should be 'bce', 'hinge' or 'lsgan'"):
        made(loss="wgan")
