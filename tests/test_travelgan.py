"""TraVeLGAN: shapes and sizes as the article's, losses by hand, and that every network learns."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipelines import travelgan
from tasks.errors import ParamsError
from tasks.train.adversarial import critic_loss, generator_loss
from tasks.train.augment import gamma_jittered
from tasks.train.average import measure_statistics
from tasks.train.engine import in_parts

ARTICLE = travelgan.Networks(spectral=(), norm="none")


def num_weights(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def tiny(**changes: Any) -> travelgan.TravelGan:
    shapes: dict[str, Any] = {"side": 32, "filters": 4, "levels": 2, "latent": 8}
    networks = {key: changes.pop(key) for key in list(changes) if key in travelgan.Networks.model_fields}
    return travelgan.build(travelgan.Networks(**{**shapes, **networks}), travelgan.Train(**changes))


def plain(network: nn.Module, *inputs: Tensor, twice: bool = False) -> Any:
    return network(*inputs)


def pictures(num: int = 4, side: int = 32) -> dict[str, Tensor]:
    chance = torch.Generator().manual_seed(0)
    return {key: torch.rand(num, 3, side, side, generator=chance) * 2 - 1 for key in ("from", "to")}


def test_the_articles_networks_have_their_sizes() -> None:
    with torch.device("meta"):
        recipe = travelgan.build(ARTICLE, travelgan.Train(loss="hinge"))
        pair = torch.empty(2, 3, 256, 256)
        assert recipe.generator(pair).shape == (2, 3, 256, 256)
        assert recipe.critic(pair).shape == (2, 1)
        assert recipe.encoder(pair).shape == (2, 1000)
    # 64, 128, 256, 256, 256 filters down and the mirror up: 7.22 million
    assert num_weights(recipe.generator) == 2_756_544 + 4_463_299
    # five convolutions, 64 to 1024 filters, then 4x4x1024 to one or a thousand
    assert num_weights(recipe.critic) == 11_146_176 + 16_384 + 1
    assert num_weights(recipe.encoder) == 11_146_176 + 16_385_000


@pytest.mark.parametrize(("unet", "levels"), [("strided", 4), ("pooled", 3), ("folded", 2)])
def test_the_deepest_level_that_a_quarter_of_32_px_has(unet: str, levels: int) -> None:
    losses = tiny(unet=unet, levels=levels).step(0, pictures(), plain)
    assert all(bool(loss.isfinite()) for loss in losses.values())


@pytest.mark.parametrize("side", [32, 64, 128])
def test_networks_fit_smaller_pictures(side: int) -> None:
    recipe = tiny(side=side)
    shown = torch.zeros(2, 3, side, side)
    assert recipe.generator(shown).shape == shown.shape
    assert recipe.critic(shown).shape == (2, 1)
    assert recipe.encoder(shown).shape == (2, 8)
    assert len(recipe.critic.convolutions) == 5


def test_a_patch_critic_judges_every_place() -> None:
    recipe = tiny(critic="patches", spectral=("critic",))
    assert recipe.critic(torch.zeros(2, 3, 32, 32)).shape == (2, 1, 8, 8)
    losses = recipe.step(0, pictures(), plain)
    assert all(bool(loss.isfinite()) for loss in losses.values())


def test_a_patch_critic_judges_at_several_sizes() -> None:
    recipe = tiny(critic="patches", scales=2)
    assert recipe.critic(torch.zeros(1, 3, 32, 32)).shape == (1, 2, 8, 8)
    for scale, patch in ((0, 26), (1, 52)):
        larger = torch.zeros(1, 3, 128, 128, requires_grad=True)
        recipe.critic(larger)[0, scale, 16, 16].backward()
        assert larger.grad is not None
        reached = larger.grad.abs().sum(dim=(0, 1, 3)).nonzero()
        assert int(reached.max() - reached.min()) + 1 == patch


def test_identity_teaches_the_generator_to_leave_prints_alone() -> None:
    recipe = tiny(identity=1000.0, loss="bce", rate_generator=1e-3, norm="none", spectral=())
    shown = {**pictures(), "to": torch.full((4, 3, 32, 32), 0.5)}
    losses = [float(recipe.step(step, shown, plain)["identity"]) for step in range(20)]
    assert losses[-1] < 0.9 * losses[0]


def test_photographs_are_learned_in_other_light_and_prints_as_they_are() -> None:
    torch.manual_seed(0)
    photos = torch.linspace(-1, 1, 32).expand(64, 3, 32, 32)
    lit = gamma_jittered(photos, 0.4)
    assert float(lit.diff(dim=3).min()) >= 0, "what was lighter stays lighter"
    torch.testing.assert_close(lit[..., [0, -1]], photos[..., [0, -1]])  # black stays, and white
    middle = lit[:, 0, 0, 16]
    assert 0.1 < float(middle.std()) < 0.4
    assert abs(float(middle.mean())) < 0.15
    torch.testing.assert_close(gamma_jittered(photos, 0.0), photos)

    seen: list[torch.Tensor] = []
    recipe = tiny(gamma_jitter=0.4, directions="both")
    for network in recipe.networks.values():
        network.register_forward_hook(lambda _network, inputs, _output: seen.append(inputs[0]))
    shown = pictures()
    recipe.step(0, shown, plain)
    assert not torch.equal(seen[0], travelgan.quartered(shown["from"])), "the first that is painted"
    assert torch.equal(seen[1], travelgan.quartered(shown["to"])), "and painted back"
    for key in ("to", "from"):
        assert any(torch.equal(one, shown[key]) for one in seen[2:]), "what the critics know"


def test_quarters_are_the_quarters_and_come_back() -> None:
    shown = torch.arange(2 * 3 * 8 * 8.0).reshape(2, 3, 8, 8)
    quarters = travelgan.quartered(shown)
    assert torch.equal(quarters[0], shown[0, :, :4, :4])
    assert torch.equal(quarters[1], shown[0, :, :4, 4:])
    assert torch.equal(quarters[6], shown[1, :, 4:, :4])
    assert torch.equal(travelgan.rejoined(quarters), shown)


@pytest.mark.parametrize("unet", ["strided", "pooled", "folded"])
def test_without_norm_first_weights_decide_what_passes(unet: str) -> None:
    shown = pictures(2)["from"]
    spreads: dict[str, float] = {}
    for first in ("dcgan", "he"):
        recipe = tiny(
            first_weights=first, loss="hinge", unet=unet, norm="none", spectral=("critic",), filters=16, levels=3,
            four_patches=False,
        )  # fmt: skip
        with torch.no_grad():
            one, other = recipe.generator(shown)
        spreads[first] = (one - other).std().item()
        assert recipe.critic.convolutions[0].layer.weight.std().item() == pytest.approx(0.02, rel=0.2)
    assert spreads["dcgan"] < 0.02
    assert 0.1 < spreads["he"] < 0.7


@pytest.mark.parametrize("loss", ["wgan", "hinge", "bce"])
@pytest.mark.parametrize("four_patches", [True, False])
@pytest.mark.parametrize("unet", ["strided", "pooled", "folded"])
def test_a_step_changes_every_weight_of_every_network(loss: str, four_patches: bool, unet: str) -> None:
    recipe = tiny(
        loss=loss, four_patches=four_patches, unet=unet, ground="grey" if four_patches else "white", norm="none"
    )
    before = {
        f"{network}.{name}": parameter.detach().clone()
        for network, module in recipe.networks.items()
        for name, parameter in module.named_parameters()
    }
    losses = recipe.step(0, pictures(), plain)
    assert set(losses) == {"critic", "adversarial", "siamese", "travel"}
    for network, module in recipe.networks.items():
        for name, parameter in module.named_parameters():
            if name in (
                "linear.bias",
                "linear.layer.bias",
            ):  # a shift of all logits, or of all latent vectors, changes no loss here
                continue
            assert not torch.equal(parameter, before[f"{network}.{name}"]), f"{network}.{name}"
            assert parameter.requires_grad


def test_the_generators_gradient_is_the_mean_of_the_two() -> None:
    recipe = tiny(norm="none", spectral=(), loss="bce", travel=3.0, margin=2.0)
    for network in recipe.networks.values():
        network.double()
    shown = {key: value.double() for key, value in pictures().items()}
    critic_weights = [parameter.detach().clone() for parameter in recipe.critic.parameters()]
    recipe.optimizers["critic"].step = lambda *_: None  # type: ignore[method-assign] # the critic as it is
    recipe.optimizers["generator"].step = lambda *_: None  # type: ignore[method-assign]
    recipe.step(0, shown, plain)
    got = [parameter.grad.clone() for parameter in recipe.generator.parameters() if parameter.grad is not None]
    encoder_got = [parameter.grad.clone() for parameter in recipe.encoder.parameters() if parameter.grad is not None]

    painted = travelgan.rejoined(recipe.generator(travelgan.quartered(shown["from"])))
    adversarial = generator_loss("bce", recipe.critic(painted))
    of_photos, of_paintings = recipe.encoder(shown["from"]), recipe.encoder(painted)
    travel = 3.0 * travelgan.travel_loss(of_photos, of_paintings)
    siamese = travelgan.margin_loss(of_photos, 2.0)
    mean = torch.autograd.grad((adversarial + travel) / 2, list(recipe.generator.parameters()), retain_graph=True)
    of_encoder = torch.autograd.grad(travel + siamese, list(recipe.encoder.parameters()))
    for one, other in zip([*got, *encoder_got], [*mean, *of_encoder], strict=True):
        assert torch.allclose(one, other, rtol=1e-6, atol=1e-9)
    for one, other in zip(recipe.critic.parameters(), critic_weights, strict=True):
        assert torch.equal(one, other)


def test_losses_of_latent_vectors_by_hand() -> None:
    latents = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]])
    # distances 5, 1 and the root of 18
    assert float(travelgan.margin_loss(latents, 5.0)) == pytest.approx((0 + 4 + 5 - 18**0.5) / 3)
    assert float(travelgan.travel_loss(latents, latents)) == pytest.approx(0, abs=1e-6)
    assert float(travelgan.travel_loss(latents, latents + 7)) == pytest.approx(0, abs=1e-5)  # a shift is no change
    # turned about: cosine distance 2; differences are twice the vectors, squares over two dimensions
    assert float(travelgan.travel_loss(latents, -latents)) == pytest.approx(2 + 4 * (25 + 1 + 18) / 6)


def test_adversarial_losses_by_hand() -> None:
    real, fake = torch.tensor([2.0, 0.0]), torch.tensor([-3.0, 1.0])
    assert float(critic_loss("wgan", real, fake)) == -2.0
    assert float(critic_loss("hinge", real, fake)) == 0.5 + 1.0
    logs = [0.126928, 0.693147, 0.048587, 1.313262]
    assert float(critic_loss("bce", real, fake)) == pytest.approx(sum(logs) / 4, abs=1e-5)
    assert float(generator_loss("wgan", fake)) == float(generator_loss("hinge", fake)) == 1.0
    assert float(generator_loss("bce", fake)) == pytest.approx((3.048587 + 0.313262) / 2, abs=1e-5)


def test_first_paintings_are_as_they_were() -> None:
    """A golden value: whoever changes the networks or their first weights sees it here."""
    recipe = tiny(seed=3, norm="batch")
    painted = recipe.paint(pictures())
    assert painted.shape == (4, 3, 32, 32)
    assert float(painted.abs().mean()) == pytest.approx(0.0921336, rel=1e-3)


def test_no_output_pixel_sees_further_than_the_halo() -> None:
    generator = travelgan.UNet(4, 3, "batch").eval()
    shown = torch.zeros(1, 3, 128, 128, requires_grad=True)
    generator(shown)[0, :, 64, 64].sum().backward()
    assert shown.grad is not None
    reached = shown.grad.abs().sum(dim=(0, 1)).nonzero()
    assert int((reached - 64).abs().max()) <= 3 * 2**3 - 3


def test_both_painters_print_with_statistics_of_their_own() -> None:
    recipe = tiny(directions="both", loss="bce", spectral=())
    pictures = {key: torch.rand(4, 3, 32, 32) * 2 - 1 for key in ("from", "to")}
    measure_statistics(recipe.averages, recipe.networks, lambda: recipe.paint(pictures))
    for name, average in recipe.averages.items():
        means = [
            [norm.running_mean for norm in network.modules() if isinstance(norm, nn.BatchNorm2d)]
            for network in (average, recipe.networks[name])
        ]
        assert means[0]
        assert not any(torch.equal(one, other) for one, other in zip(*means, strict=True)), name  # type: ignore[arg-type]


def test_both_directions_share_one_encoder_but_for_its_first_layer() -> None:
    """The paper's form: what is learned each way is what one way alone would learn, halved."""
    shown = pictures()
    recipe = tiny(directions="both", loss="bce", spectral=(), norm="none")
    assert recipe.networks.keys() == {"generator", "critic", "encoder", "generator_back", "critic_back"}
    recipe.optimizers["critic"].step = lambda *_: None  # type: ignore[method-assign]
    recipe.optimizers["generator"].step = lambda *_: None  # type: ignore[method-assign]
    recipe.step(0, shown, plain)
    way, first = recipe.ways[1], recipe.encoder.first_of_prints
    painted = travelgan.rejoined(way.generator(travelgan.quartered(shown["to"])))
    of_prints, of_paintings = recipe.encoder(shown["to"], first), recipe.encoder(painted)
    wanted = generator_loss("bce", way.critic(painted)) + travelgan.travel_loss(of_prints, of_paintings)
    weights = list(way.generator.parameters())
    for weight, gradient in zip(weights, torch.autograd.grad(wanted / 4, weights), strict=True):
        assert weight.grad is not None
        assert torch.allclose(weight.grad, gradient, rtol=1e-5, atol=1e-9)
    assert not torch.equal(recipe.encoder(shown["to"]), recipe.encoder(shown["to"], first))
    assert torch.equal(recipe.preview(shown)["painted back"], recipe.averages["generator_back"](shown["to"]))
    assert torch.allclose(recipe.painter_back()(shown["to"]), recipe.averages["generator_back"](shown["to"]), atol=1e-6)
    with pytest.raises(ParamsError, match=r"paints one way; set recipes.travelgan.networks.directions to 'both'"):
        tiny().painter_back()


def test_at_the_end_batch_norm_learns_as_it_prints() -> None:
    recipe, shown = tiny(norm="batch", frozen=0.25), pictures()
    norms = [module for module in recipe.generator.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    for step in range(8):
        recipe.advance(step, 8)
        assert {norm.training for norm in norms} == {step < 6}
    before = [norm.running_mean.clone() for norm in norms if norm.running_mean is not None]
    recipe.step(7, shown, plain)
    assert all(torch.equal(norm.running_mean, old) for norm, old in zip(norms, before, strict=True))
    assert torch.allclose(
        recipe.generator(shown["from"]), copy.deepcopy(recipe.generator).eval()(shown["from"]), atol=1e-4
    )
    recipe.advance(5, 8)  # gone back
    assert all(norm.training for norm in norms)


def test_a_sibling_differs_in_its_first_weights_alone() -> None:
    shown = pictures()
    one = tiny(seed=1)
    assert torch.equal(one.sibling(1).paint(shown), one.paint(shown))
    assert not torch.equal(one.sibling(2).paint(shown), one.paint(shown))


@pytest.mark.parametrize(
    ("block", "sentence"),
    [
        (
            {"side": 64, "levels": 6},
            r"recipes.travelgan.networks: the generator is given 32 px, which cannot be halved 6",
        ),
        ({"side": 48, "levels": 3, "unet": "folded"}, r"the generator is given 24 px, which cannot be halved 4 times"),
        (
            {"side": 32, "levels": 4, "unet": "pooled"},
            r"16 px, which cannot be halved 4 times to whole pixels, 2 at least",
        ),
        (
            {"side": 64, "levels": 4, "unet": "folded"},
            r"32 px, which cannot be halved 5 times to whole pixels, 2 at least",
        ),
        ({"filter": 3}, r"recipes.travelgan.networks.filter is no setting; known there: side, directions"),
        ({"norm": "instance"}, r"recipes.travelgan.networks.norm is 'instance'; input should be 'batch' or 'none'"),
        ({"scales": 3}, "scales is 3 and the critic judges pictures whole; set critic to 'patches' or scales to 1"),
        ({"side": 32, "levels": 2, "critic": "patches", "scales": 3}, "32 px halved 2 times leave a critic of patches"),
        ({"side": 50}, r"recipes.travelgan.networks.side is 50; input should be a multiple of 16"),
    ],
)
def test_impossible_networks_are_said(block: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ParamsError, match=sentence):
        travelgan.Networks.read(block, "recipes.travelgan.networks")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"spectral": ("generator",)}, "loss is 'wgan', which needs a critic of bounded slope; name it in networks"),
        ({"frozen": 0.2, "norm": "none"}, "frozen is 0.2, and networks.norm is 'none': there is nothing to freeze"),
    ],
)
def test_settings_that_contradict_each_other_are_said(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ParamsError, match=f"recipes.travelgan.train.{sentence}"):
        tiny(**changes)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"levels": 4, "micro_batch": 1},
            r"micro_batch is 1, which leaves batch norm one picture alone, and networks\.",
        ),
        ({"levels": 4, "micro_batch": 3, "batch": 4}, "micro_batch is 3, which leaves batch norm one picture alone"),
        (
            {"first_weights": "he", "spectral": ("generator", "critic", "encoder")},
            "first_weights is 'he', which no netw",
        ),
    ],
)
def test_what_could_not_be_computed_or_would_not_be_read_is_said(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ParamsError, match=rf"recipes\.travelgan\.train\.{sentence}"):
        tiny(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"levels": 3, "micro_batch": 1}, {"levels": 4, "micro_batch": 2}, {"levels": 1, "micro_batch": 1},
        {"levels": 4, "micro_batch": 1, "norm": "none"}, {"levels": 3, "micro_batch": 1, "unet": "pooled"},
        {"levels": 4, "micro_batch": 16, "batch": 4},
    ],
)  # fmt: skip
def test_what_can_be_computed_in_parts_is(changes: dict[str, Any]) -> None:
    recipe = tiny(**changes)
    size = changes["micro_batch"]
    losses = recipe.step(0, pictures(), lambda network, *inputs, twice=False: in_parts(network, inputs, size))
    assert all(bool(loss.isfinite()) for loss in losses.values())
