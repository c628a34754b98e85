"""CycleGAN: sizes as the article's networks, losses and pool by hand, both directions, and the fall of the rates."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipelines import cyclegan, portraits
from tasks.errors import ParamsError
from tasks.train import checkpoint, load_painter
from tasks.train.adversarial import critic_loss, generator_loss


def tiny(**changes: Any) -> cyclegan.CycleGan:
    networks = {key: changes.pop(key) for key in list(changes) if key in cyclegan.Networks.model_fields}
    shapes = {"side": 32, "filters": 4, "blocks": 1, **networks}
    return cyclegan.build(cyclegan.Networks(**shapes), cyclegan.Train(**changes))


def plain(network: nn.Module, *inputs: Tensor, twice: bool = False) -> Any:
    return network(*inputs)


def pictures(num: int = 2, side: int = 32) -> dict[str, Tensor]:
    chance = torch.Generator().manual_seed(0)
    return {key: torch.rand(num, 3, side, side, generator=chance) * 2 - 1 for key in ("from", "to")}


def num_weights(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_articles_networks_have_their_sizes() -> None:
    with torch.device("meta"):
        recipe = cyclegan.build(cyclegan.Networks(), cyclegan.Train())
        shown = torch.empty(1, 3, 256, 256)
        assert recipe.there(shown).shape == shown.shape
        assert recipe.of_to(shown).shape == (1, 1, 30, 30)
    assert [num_weights(network) for network in recipe.networks.values()] == [11_378_179] * 2 + [2_764_737] * 2


@pytest.mark.parametrize(("halvings", "patch"), [(1, 16), (2, 34), (3, 70)])
def test_a_logit_sees_the_patch_it_judges(halvings: int, patch: int) -> None:
    critic = nn.Sequential(
        *(layer for layer in cyclegan.Critic(2, halvings).layers if not isinstance(layer, nn.InstanceNorm2d))
    )
    shown = torch.zeros(1, 3, 128, 128, requires_grad=True)
    logits = critic(shown)
    logits[0, 0, logits.shape[2] // 2, logits.shape[3] // 2].backward()
    assert shown.grad is not None
    rows = shown.grad.abs().sum(dim=(0, 1, 3)).nonzero()
    assert int(rows.max() - rows.min()) + 1 == patch


@pytest.mark.parametrize("loss", ["bce", "lsgan"])
def test_the_generators_minimise_what_the_paper_says(loss: Any) -> None:
    """Six passes and one sum, as the paper writes it, give the gradients of our four."""
    recipe, shown = tiny(loss=loss), pictures()
    recipe.optimizers["generator"].step = lambda *_: None  # type: ignore[method-assign]
    recipe._generator_step(shown["from"], shown["to"], plain)
    weights = [*recipe.there.parameters(), *recipe.back.parameters()]
    got = [weight.grad for weight in weights]

    there, back, photos, prints = recipe.there, recipe.back, shown["from"], shown["to"]
    painted, unpainted = there(photos), back(prints)
    total = generator_loss(loss, recipe.of_to(painted)) + generator_loss(loss, recipe.of_from(unpainted))
    total += 10 * ((back(painted) - photos).abs().mean() + (there(unpainted) - prints).abs().mean())
    total += 5 * ((there(prints) - prints).abs().mean() + (back(photos) - photos).abs().mean())
    for one, other in zip(got, torch.autograd.grad(total, weights), strict=True):
        assert one is not None
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-6)
    assert all(weight.grad is None for weight in recipe.of_to.parameters())


def test_least_squares_by_hand() -> None:
    real, fake = torch.tensor([2.0, 0.0]), torch.tensor([-3.0, 1.0])
    assert float(critic_loss("lsgan", real, fake)) == (1 + 1 + 9 + 1) / 4
    assert float(generator_loss("lsgan", fake)) == 16 / 2


def test_a_pool_fills_and_then_gives_back_old_paintings_half_the_time() -> None:
    torch.manual_seed(0)
    pool = cyclegan.Pool(5)
    painted = torch.arange(400.0)[:, None, None, None].expand(400, 3, 2, 2)
    first = pool.swap(painted[:5])
    assert torch.equal(first, painted[:5])
    shown = pool.swap(painted[5:])[:, 0, 0, 0]
    old = shown < torch.arange(5.0, 400.0)
    assert 0.4 < float(old.float().mean()) < 0.6
    assert (shown <= torch.arange(5.0, 400.0)).all()
    assert len(set(shown.tolist())) == len(shown)  # a painting leaves the pool when it is shown again
    assert cyclegan.Pool(0).swap(painted) is painted


def test_pools_go_on_where_they_were() -> None:
    recipe, again = tiny(pool=3), tiny(pool=3)
    for step in range(3):
        recipe.step(step, pictures(), plain)
    again.load_state(recipe.state())
    for key, pool in recipe.pools.items():
        assert len(pool.kept) == 3
        assert all(torch.equal(one, other) for one, other in zip(pool.kept, again.pools[key].kept, strict=True))


def test_the_rates_fall_in_the_second_half() -> None:
    assert cyclegan.Train().steady == 0.5


def test_grids_show_both_directions() -> None:
    recipe, shown = tiny(), pictures()
    rows = recipe.preview(shown)
    assert len(rows) == 8
    assert torch.equal(rows["painted"], recipe.painter()(shown["from"]))
    assert torch.equal(rows["painted and back"], recipe.painter_back()(rows["painted"]))
    assert torch.equal(rows["back and painted"], recipe.painter()(recipe.painter_back()(shown["to"])))
    assert torch.equal(rows["to, left as it is"], recipe.painter()(shown["to"]))


def test_a_checkpoint_paints_either_way(tmp_path: Path) -> None:
    recipe, shown = tiny(seed=3), pictures()
    checkpoint.save(tmp_path / "best", recipe, checkpoint.Point(0, None, {}), {})
    there, back = (load_painter(tmp_path / "best", tiny(), back) for back in (False, True))
    assert torch.equal(there(shown["from"]), recipe.painter()(shown["from"]))
    assert torch.equal(back(shown["to"]), recipe.painter_back()(shown["to"]))
    one_way = portraits.build(portraits.Networks(side=16, filters=4), portraits.Train())
    with pytest.raises(ParamsError, match=r"portraits.infer.back is true, and this recipe paints one way"):
        load_painter(tmp_path / "best", one_way, back=True)


@pytest.mark.parametrize("enlarge", ["transposed", "resized"])
def test_what_is_enlarged_before_it_is_convolved_shows_no_checkerboard(enlarge: Any) -> None:
    torch.manual_seed(0)
    generator = cyclegan.Generator(4, 1, enlarge, "none")
    middle = generator(torch.full((1, 3, 128, 128), 0.5))[0, :, 48:80, 48:80].detach()
    spread = float((middle - middle.mean(dim=(1, 2), keepdim=True)).abs().max())
    assert spread < 1e-6 if enlarge == "resized" else spread > 1e-4


@pytest.mark.parametrize("norm", ["instance", "none"])
def test_instance_norm_paints_a_pale_sky_as_bold_as_a_forest_and_none_does_not(norm: Any) -> None:
    torch.manual_seed(0)
    generator, forest = cyclegan.Generator(4, 1, "resized", norm), pictures(side=64)["from"]
    middles = (generator(x)[..., 20:-20, 20:-20].detach() for x in (forest, 0.02 * forest))
    bold, pale = (float(middle.std(dim=(2, 3)).mean()) for middle in middles)
    assert pale > 0.9 * bold if norm == "instance" else pale < 0.1 * bold


@pytest.mark.parametrize("enlarge", ["transposed", "resized"])
def test_without_norms_a_picture_comes_through_all_layers_at_first(enlarge: Any) -> None:
    x = pictures(side=64)["from"]
    for layer in list(tiny(norm="none", enlarge=enlarge, side=64, blocks=3, filters=8).there.layers)[:-2]:  # type: ignore[arg-type]
        x = layer(x).detach()
        assert 0.1 < float(x.std()) < 3


def test_without_identity_nothing_is_painted_for_it() -> None:
    losses = tiny(identity=0.0).step(0, pictures(), plain)
    assert losses.keys() == {"adversarial", "cycle", "critic"}


@pytest.mark.parametrize(
    ("block", "sentence"),
    [
        ({"side": 32, "critic_layers": 4}, "no whole patch in 32 px halved 4 times; lower critic_layers, or take a"),
        ({"side": 50}, "recipes.cyclegan.networks.side is 50; input should be a multiple of 4"),
    ],
)
def test_impossible_networks_are_said(block: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ParamsError, match=sentence):
        cyclegan.Networks.read(block, "recipes.cyclegan.networks")


@pytest.mark.parametrize("halvings", [1, 2, 3])
def test_the_smallest_side_a_critic_takes(halvings: int) -> None:
    side = max(16, 3 << halvings)
    recipe = tiny(side=side, critic_layers=halvings)
    losses = recipe.step(0, pictures(1, side), plain)
    assert all(torch.isfinite(loss) for loss in losses.values()), losses
