"""Progressive GAN: sizes as the originals', growth that keeps what was learned, exact resume through a boundary."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_recipes import Pictures, StopAfter
from torch import Tensor, nn

from pipelines import progressive
from tasks import train
from tasks.errors import CheckpointError, ParamsError, Stopped
from tasks.files import read_json, sha256_file
from tasks.infer.best import scored
from tasks.progress import Progress
from tasks.train.adversarial import slope_penalty
from tasks.train.checkpoint import load_painter
from tasks.train.equalised import Deviation, EqualConv, EqualLinear, PixelNorm

KARRAS = {"form": "karras", "first": 8, "filters": 4, "widest": 16, "noise": 8}
WGAN = {"loss": "wgan", "penalty": 10.0, "rate_generator": 1e-3, "rate_critic": 1e-3, "beta1": 0.0, "beta2": 0.99}


def tiny(networks: dict[str, Any] | None = None, **changes: Any) -> progressive.Progressive:
    shapes = {"side": 32, "first": 8, "filters": 4, "widest": 16, "noise": 8, **(networks or {})}
    return progressive.build(progressive.Networks(**shapes), progressive.Train(**{"batch": 4, **changes}))


def plain(network: nn.Module, *inputs: Tensor, twice: bool = False) -> Any:
    return network(*inputs)


def pictures(num: int = 4, side: int = 32) -> dict[str, Tensor]:
    return {"to": torch.rand(num, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1}


def num_weights(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_plain_form_at_64_px_is_the_dcgan() -> None:
    with torch.device("meta"):
        recipe = progressive.build(progressive.Networks(side=64, first=64), progressive.Train())
    assert (num_weights(recipe.generator), num_weights(recipe.critic)) == (3_576_704, 2_765_568)


def test_nvidias_form_has_its_size() -> None:
    """23.05 million weights each at 256 px, as its code has; at 1024 px the last layers are 16 filters wide."""
    with torch.device("meta"):
        for side in (256, 1024):
            shapes = progressive.Networks(side=side, first=side, form="karras", filters=256, noise=512)
            recipe = progressive.build(shapes, progressive.Train(loss="wgan", penalty=10))
            assert recipe.generator(torch.empty(4, 512)).shape == (4, 3, side, side)
            assert recipe.critic(torch.empty(4, 3, side, side)).shape == (4, 1)
            wide = 512 * 512 * 9
            blocks = 2 * 4 * (wide + 512) - (wide + 512)  # 4 px has one convolution, 8 to 32 px two each
            blocks += sum(9 * w * (2 * w + w) + 2 * w for w in (256, 128, 64, 32, 16)[: 3 if side == 256 else 5])
            dense, head = 512 * 512 * 16 + 512 * 16, 3 * shapes.width(side) + 3
            assert num_weights(recipe.generator) == dense + blocks + head
            if side == 256:
                assert round(num_weights(recipe.generator) / 1e6, 1) == 23.0
                assert round(num_weights(recipe.critic) / 1e6, 1) == 23.0


@pytest.mark.parametrize("form", ["plain", "karras"])
def test_a_new_level_begins_with_what_the_old_one_knew(form: Any) -> None:
    """Before it has faded in, what is painted is what was painted before, enlarged; so is what is judged."""
    recipe = tiny({"form": form}, fade=100)
    noise, shown = torch.randn(4, 8), pictures(side=16)["to"]
    small = nn.functional.avg_pool2d(shown, 2)
    before, judged = recipe.generator.eval()(noise), recipe.critic.eval()(small)
    assert recipe.advance(40, 120)
    assert (recipe.at, recipe.fading) == (16, True)
    for network in (recipe.generator, recipe.critic):
        network.eval().get_buffer("alpha").zero_()
    assert torch.equal(recipe.generator(noise), nn.functional.interpolate(before, scale_factor=2.0))
    assert torch.allclose(recipe.critic(shown), judged, atol=1e-6)


@pytest.mark.parametrize("form", ["plain", "karras"])
def test_it_grows_by_schedule_and_fades_in(form: Any) -> None:
    recipe = tiny({"form": form}, fade=8)
    seen = []
    for step in range(18):
        old = dict(recipe.optimizers)
        new = recipe.advance(step, 18)
        assert new == (recipe.optimizers["generator"] is not old["generator"])
        recipe.step(step, pictures(), plain)
        seen.append((recipe.at, recipe.fading, float(recipe.generator.alpha)))
        assert recipe.paint(pictures()).shape == (4, 3, 32, 32)
    level = [(True, 0.5), (True, 1.0), *[(False, 1.0)] * 4]
    assert seen == [(8, False, 1.0)] * 6 + [(at, *rest) for at in (16, 32) for rest in level]
    assert not [name for name in recipe.generator.state_dict() if name.startswith("heads.16")]


def test_without_fading_a_level_is_there_at_once() -> None:
    recipe = tiny()
    assert recipe.advance(6, 18)
    assert (recipe.at, recipe.fading) == (16, False)
    assert not recipe.advance(7, 18)


def test_a_plateau_grows_before_its_time() -> None:
    recipe = tiny({"grow": "plateau", "patience": 2})
    for distance in (1.0, 0.5, 0.495):
        recipe.told(distance)
        assert not recipe.advance(1, 300)
    recipe.told(0.497)
    assert recipe.advance(2, 300)
    assert recipe.at == 16
    assert not recipe.advance(3, 300)  # what was told of the level before is forgotten
    assert recipe.advance(200, 300)
    assert recipe.at == 32  # and no level waits longer than by schedule


def test_while_a_level_fades_in_pictures_are_blurred_as_much() -> None:
    recipe = tiny({"form": "karras"}, fade=8)
    recipe.advance(6, 18)
    shown = pictures(side=16)["to"]
    blurred = nn.functional.interpolate(nn.functional.avg_pool2d(shown, 2), scale_factor=2.0)
    assert torch.allclose(recipe._at_level(shown), (blurred + shown) / 2)


def trained(
    folder: Path,
    networks: dict[str, Any],
    settings: dict[str, Any],
    progress: Progress | None = None,
    start: Path | None = None,
) -> Path:
    """Four epochs of three steps on pictures of the size of `networks`."""
    block = {"epochs": 4, "batch": 4, "log_every": 2, "preview_pictures": 4, **settings}
    recipe: Any = tiny(networks, **block)
    feed = Pictures(2, 32)
    feed.pictures = nn.functional.interpolate(feed.pictures, scale_factor=recipe.side / 32)
    feed.fingerprint = f"pictures of {recipe.side} px"
    train.run(
        recipe=recipe, feeds={"to": feed}, settings=recipe.train, out=folder / "out", scratch=folder / "scratch",
        progress=progress or Progress(), record={}, start=start,
    )  # fmt: skip
    return folder / "out"


@pytest.mark.parametrize("stop", [4, 5, 9])
def test_a_run_stopped_at_a_boundary_goes_on_to_identical_numbers(stop: int, tmp_path: Path) -> None:
    """It grows at steps 4 and 8, and a level is in two steps later."""
    settings = {**WGAN, "fade": 8, "augment": ("mirror",)}
    whole = trained(tmp_path / "whole", KARRAS, settings)
    with pytest.raises(Stopped):
        trained(tmp_path / "parts", KARRAS, settings, StopAfter(stop))
    parts = trained(tmp_path / "parts", KARRAS, settings)
    for file in ("last/weights.safetensors", "best/weights.safetensors", "losses.csv", "scores.csv"):
        assert sha256_file(parts / file) == sha256_file(whole / file), file
    assert read_json(whole / "best/checkpoint.json")["step"] > 8  # the best of the last level, not of all


def test_a_checkpoint_opened_at_twice_the_side_grows(tmp_path: Path) -> None:
    by_hand = {"first": 32, "grow": "hand"}
    small = trained(tmp_path / "32", {"side": 32, **by_hand}, {})
    large = trained(tmp_path / "64", {"side": 64, **by_hand}, {"fade": 8}, start=small / "last")
    assert read_json(large / "last/checkpoint.json")["side"] == 64
    recipe = tiny({"side": 64, **by_hand})
    painter = load_painter(large / "last", recipe)
    assert (recipe.at, recipe.fading) == (64, False)
    assert painter(torch.randn(2, 8)).shape == (2, 3, 64, 64)
    with pytest.raises(CheckpointError, match="was trained at 64 px and the params say 32 px"):
        load_painter(large / "last", tiny({"side": 32, **by_hand}))


def test_the_slope_by_hand() -> None:
    """A critic whose gradient is 3 everywhere is 2 too steep."""
    critic = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 1))
    nn.init.constant_(critic[1].weight, 3 / 192**0.5)  # type: ignore[arg-type]
    shown = pictures(side=8)["to"]
    assert slope_penalty(plain, critic, shown, -shown).item() == pytest.approx(4.0, rel=1e-5)


def test_a_critic_is_levelled_at_every_fourth_step() -> None:
    """Its weights are others with the penalty than without, at step 0, and the same at step 1."""
    for step, equal in ((0, False), (1, True)):
        critics: list[dict[str, Tensor]] = []
        for r1 in (0.0, 100.0):
            recipe = tiny(KARRAS, r1=r1)
            torch.manual_seed(0)
            recipe.step(step, pictures(), plain)
            critics.append(recipe.critic.state_dict())
        assert all(torch.equal(one, other) for one, other in zip(*(c.values() for c in critics), strict=True)) == equal


def test_real_and_painted_judged_at_once_are_judged_apart() -> None:
    recipe = tiny(KARRAS, **WGAN)
    real, painted = (torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) for seed in range(2))
    for at_once, alone in zip(recipe.critic(real, painted), (real, painted), strict=True):
        torch.testing.assert_close(at_once, recipe.critic(alone))


def test_a_score_hardly_depends_on_how_many_are_scored_together() -> None:
    recipe = tiny(KARRAS, **WGAN)
    drawn = torch.rand(65, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1  # 64, and one more
    with torch.no_grad():
        whole, parts, alone = scored(drawn, recipe.judge, 65), scored(drawn, recipe.judge), recipe.judge(drawn[-1:])
    assert np.abs(parts - whole).max() < abs(float(alone) - whole[-1]) / 5


def test_layers_by_hand() -> None:
    torch.manual_seed(0)
    conv, dense = EqualConv(4, 3000, 3), EqualLinear(400, 3000, gain=1.0)
    assert conv.weight.std().item() == pytest.approx(1.0, abs=0.01)
    assert conv(torch.randn(1, 4, 9, 9))[0, :, 4, 4].std().item() == pytest.approx(2**0.5, rel=0.35)
    assert dense(torch.randn(1, 400)).std().item() == pytest.approx(1.0, rel=0.15)
    assert torch.allclose(PixelNorm()(torch.tensor([[3.0, 4.0]])), torch.tensor([[3.0, 4.0]]) / 12.5**0.5)
    # of four pictures, i and i + 2 are a group of two: deviations 1 and 3 over all features
    told = Deviation(2)(torch.tensor([0.0, 1.0, 2.0, 7.0])[:, None, None, None].expand(4, 3, 2, 2))
    assert told.shape == (4, 4, 2, 2)
    assert torch.allclose(told[:, 3, 0, 0], torch.tensor([1.0, 3.0, 1.0, 3.0]))
    assert torch.equal(told, Deviation(2)(told[:, :3]))
    assert float(Deviation(4)(torch.randn(3, 2, 2, 2))[:, 2].abs().max()) < 1e-3  # three have no group: each is its own


@pytest.mark.parametrize(
    ("networks", "sentence"),
    [
        ({"side": 96}, "side 96 px is not 4 px doubled some times; take 32, 64"),
        ({"side": 32, "first": 64}, "the form 'plain' does not grow from 64 to 32 px; take a first of 8 to 32"),
        ({"first": 4}, "the form 'plain' does not grow from 4 to 256 px; take a first of 8 to 256"),
        ({"filters": 2}, "2 filters at 64 px leave none at 256 px; raise filters"),
        ({"side": 8, "first": 8}, "networks.side is 8; input should be greater than or equal to 16"),
        (
            {"enlarge": "bilinear"},
            "enlarge is 'bilinear', read by form 'karras' alone; take that, or leave enlarge out",
        ),
        ({"group": 8}, "group is 8, read by form 'karras' alone; take that, or leave group out"),
        ({"border": "replicate"}, "border is 'replicate', read by form 'karras' alone; take that, or leave border out"),
        ({"patience": 5}, "patience is 5, read by grow 'plateau' alone; take that, or leave patience out"),
    ],
)
def test_impossible_networks_are_said(networks: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ParamsError, match=sentence):
        progressive.Networks.read(networks, "recipes.progressive.networks")


@pytest.mark.parametrize(
    ("networks", "settings", "sentence"),
    [
        ({}, {"r1": 10.0}, "r1 is 10, and batch norm gives no picture a slope of its own; take form 'karras'"),
        ({}, {"penalty": 10.0}, "penalty is 10, and batch norm gives no picture a slope of its own"),
        ({"form": "karras"}, {"loss": "wgan"}, "loss is 'wgan', which needs a critic of bounded slope; set penalty"),
        (KARRAS, {"batch": 6}, "batch is 6, no multiple of networks.group, 4, the pictures among which the minibatch"),
        (KARRAS, {"batch": 8, "micro_batch": 2}, "micro_batch is 2, no multiple of networks.group, 4"),
    ],
)
def test_settings_that_contradict_each_other_are_said(
    networks: dict[str, Any], settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ParamsError, match=f"^recipes.progressive.train.{sentence}"):
        tiny(networks, **settings)


@pytest.mark.parametrize(
    ("networks", "settings"),
    [
        (KARRAS, {"batch": 8, "micro_batch": 4}),
        (KARRAS, {"batch": 4, "micro_batch": 6}),  # larger than a batch, which is then computed whole
        ({**KARRAS, "group": 3}, {"batch": 6}),
        ({}, {"batch": 6}),  # the plain form takes no such deviation
        ({"grow": "plateau", "patience": 5}, {}),
        ({"side": 16, "first": 8}, {}),
    ],
)
def test_settings_that_agree_are_taken(networks: dict[str, Any], settings: dict[str, Any]) -> None:
    assert tiny(networks, **settings).side == networks.get("side", 32)


def test_enlarging_repeats_pixels_or_interpolates_as_params_say() -> None:
    ramp = torch.tensor([0.0, 1.0]).expand(1, 8, 2, 2)
    rows: dict[str, list[float]] = {}
    for enlarge in ("nearest", "bilinear"):
        recipe = tiny({**KARRAS, "enlarge": enlarge})
        (upsample, *_) = (module for module in recipe.generator.modules() if isinstance(module, nn.Upsample))
        rows[enlarge] = upsample(ramp)[0, 0, 0].tolist()
    assert rows == {"nearest": [0, 0, 1, 1], "bilinear": [0, 0.25, 0.75, 1]}


def test_beyond_the_edges_is_nothing_or_what_lies_there_as_params_say() -> None:
    """A layer leaves a flat field flat where its border is replicated; zeros frame it."""
    for border, framed in (("zeros", True), ("replicate", False)):
        recipe = tiny({**KARRAS, "border": border})
        conv = next(module for module in recipe.generator.modules() if isinstance(module, EqualConv))
        field = conv(torch.ones(1, 16, 8, 8))
        assert (field[..., 1:-1, 1:-1].std(dim=(2, 3)) < 1e-5).all()
        assert torch.allclose(field, field[..., 4:5, 4:5].expand_as(field), atol=1e-5) is not framed


def test_a_fading_longer_than_its_level_is_said_before_the_first_step() -> None:
    with pytest.raises(ParamsError, match=r"fade is 100 and each of 3 levels has 24 pictures; lower fade, or raise"):
        tiny(fade=100).advance(0, 18)


@pytest.mark.parametrize(("networks", "train"), [({}, {"fade": 8}), ({"grow": "plateau"}, {})])
def test_growth_that_never_comes_is_said(networks: dict[str, Any], train: dict[str, Any]) -> None:
    with pytest.raises(ParamsError, match=r"and nothing grows where .* set fade to 0 and grow to"):
        tiny({"first": 32, **networks}, **train)
    tiny({"first": 32, **networks, "grow": "hand"}, **train)  # from a checkpoint of a smaller side
    tiny({"first": 32, **networks}, **train, start="HEAD")
