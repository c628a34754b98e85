"""Portraits: sizes as the DCGAN's, feature matching by hand, and augmentation alike for reals and paintings."""

import pytest
import torch
from torch import Tensor, nn

from pipelines import portraits
from tasks.errors import ParamsError
from tasks.train.augment import EVERY, OPERATIONS, Augment
from tasks.train.settings import Operation


def pictures(num: int = 3, side: int = 16) -> Tensor:
    return torch.rand(num, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1


def num_weights(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_articles_networks_have_their_sizes() -> None:
    with torch.device("meta"):
        recipe = portraits.build(portraits.Networks(), portraits.Train())
        assert recipe.generator(torch.empty(2, 100)).shape == (2, 3, 64, 64)
        logit, features = recipe.critic(torch.empty(2, 3, 64, 64))
    assert (logit.shape, features.shape) == ((2, 1), (2, 1024))
    assert num_weights(recipe.generator) == 3_576_704
    trunk = 3 * 64 * 16 + 64 + 16 * (64 * 128 + 128 * 256 + 256 * 512) + 2 * (128 + 256 + 512)
    assert num_weights(recipe.critic) == trunk + 8192 * 1024 + 1024 + 1025


def test_a_spectral_critic_sees_how_much_grain_there_is() -> None:
    """Batch norm takes a batch's grain, all of it alike, out of the features that the generator matches."""
    torch.manual_seed(0)
    moved = {}
    for norm in ("batch", "spectral"):
        shapes = portraits.Networks.read({"side": 32, "filters": 8, "features": 32, "critic_norm": norm}, "")
        recipe = portraits.build(shapes, portraits.Train())
        assert any(isinstance(layer, nn.BatchNorm2d) for layer in recipe.critic.modules()) == (norm == "batch")
        grain = torch.randn(8, 3, 32, 32)
        features = [recipe.critic(grain * much)[1].detach().mean(dim=0) for much in (0.5, 1.0)]
        moved[norm] = float((features[1] - features[0]).norm() / features[0].norm())
    assert moved["spectral"] > 3 * moved["batch"]


def test_the_critics_rate_is_above_the_generators() -> None:
    assert portraits.Train().rate_critic > portraits.Train().rate_generator


def test_the_generator_learns_from_features_alone() -> None:
    """With no weight on fooling, no gradient comes through the logit, and matched features leave nothing to learn."""
    recipe = portraits.build(
        portraits.Networks(side=16, filters=4, features=8), portraits.Train(strength=0.0, batch=4)
    )  # fmt: skip
    recipe.critic.eval()
    same = recipe.generator(torch.randn(4, 100))
    losses = recipe._generator_step(same.detach(), same, lambda network, *inputs, **_: network(*inputs))
    assert float(losses["matching"]) == pytest.approx(0, abs=1e-12)
    for parameter in recipe.generator.parameters():
        assert parameter.grad is not None
        assert float(parameter.grad.abs().max()) < 1e-6


def test_a_side_no_doubling_reaches_is_said() -> None:
    with pytest.raises(ParamsError, match=r"networks.side: 96 px is not 4 px doubled some times; take 16, 32"):
        portraits.Networks.read({"side": 96}, "recipes.portraits.networks")


@pytest.mark.parametrize("operation", list(OPERATIONS))
def test_an_operation_keeps_the_shape_and_lets_the_gradient_through(operation: Operation) -> None:
    torch.manual_seed(1)
    shown = pictures().requires_grad_()
    changed = OPERATIONS[operation](shown)
    assert changed.shape == shown.shape
    assert not torch.equal(changed, shown)
    changed.square().sum().backward()
    assert shown.grad is not None
    assert float(shown.grad.abs().sum()) > 0


def test_strength_is_the_share_of_changed_pictures() -> None:
    torch.manual_seed(0)
    shown = pictures(400, 8)
    assert torch.equal(Augment(("mirror",), 0.0)(shown), shown)
    changed = (Augment(("mirror",), 0.25)(shown) != shown).any(dim=(1, 2, 3)).float().mean()
    assert float(changed) == pytest.approx(0.25, abs=0.07)
    assert torch.equal(Augment(("mirror",), 1.0)(shown), shown.flip(3))


def test_strength_follows_a_critic_that_knows_the_pictures_by_heart() -> None:
    augment = Augment(("mirror",), None)
    for _ in range(EVERY):
        augment.watch(torch.ones(500, 1))
    assert augment.strength == pytest.approx(500 * EVERY / 500_000)
    resumed = Augment(("mirror",), None)
    augment.watch(torch.ones(500, 1))
    resumed.load_state(augment.state())
    for _ in range(EVERY - 1):
        resumed.watch(torch.tensor([[1.0], [-1.0]]))
    assert resumed.strength < augment.strength
    fixed = Augment(("mirror",), 0.5)
    fixed.watch(torch.ones(500, 1))
    assert fixed.strength == 0.5


def test_a_move_shifts_and_a_cut_greys() -> None:
    torch.manual_seed(0)
    white = torch.ones(50, 3, 16, 16)
    moved, cut = OPERATIONS["translation"](white), OPERATIONS["cutout"](white)
    assert set(moved.unique().tolist()) == {0.0, 1.0}
    assert float((moved == 0).float().mean()) < 0.25
    assert set(cut.unique().tolist()) == {0.0, 1.0}
    assert int((cut[0, 0] == 0).sum()) <= 64
