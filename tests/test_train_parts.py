"""What the loop is made of: chance, averages, spectral norm, precision, boards, the judgement, the watch."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_run import Pictures, small
from torch import Tensor, nn

from tasks.errors import ParamsError
from tasks.train.adversarial import r1_penalty
from tasks.train.average import averaged_copy, decay_at, measure_statistics, update_average
from tasks.train.board import Board, as_grid
from tasks.train.calm import calm_loss
from tasks.train.colours import colour_loss
from tasks.train.dcgan import PaintsFromNoise
from tasks.train.engine import Engine
from tasks.train.judge import Judge, num_compared
from tasks.train.precision import Precision, seed_chance
from tasks.train.preview import Preview
from tasks.train.rates import halve, named, share_at, take_share
from tasks.train.recipe import Run
from tasks.train.spectral import fold_spectrum, normalise_spectrum
from tasks.train.unets import PooledUNet, he_weights, on_ground
from tasks.train.watch import Watch


def test_chance_is_a_function_of_seed_and_step() -> None:
    def drawn(seed: int, step: int) -> tuple[float, float]:
        seed_chance(seed, step)
        return float(torch.rand(())), float(np.random.rand())

    assert drawn(1, 2) == drawn(1, 2)
    assert len({drawn(1, 2), drawn(1, 3), drawn(2, 2), drawn(2, 1)}) == 4


def test_calm_asks_for_quiet_where_the_picture_is_quiet() -> None:
    flat, stripes = torch.zeros(1, 3, 16, 16), torch.tensor([-0.5, 0.5]).repeat(8).expand(1, 3, 16, 16)
    assert float(calm_loss(flat, stripes)) == pytest.approx(1.0, abs=1e-3)
    assert float(calm_loss(stripes, stripes)) < 1e-6  # it is drawn on where the picture is
    assert float(calm_loss(stripes, flat)) == 0
    assert float(calm_loss(flat + 0.9, flat - 0.9)) == 0  # of whatever colour


def test_calm_lets_lines_along_rows_cost_what_others_of_their_steepness_do() -> None:
    flat = torch.zeros(1, 3, 32, 32)
    turns = torch.arange(32.0).sin().expand(1, 3, 32, 32)
    slanted = ((torch.arange(32.0)[:, None] + torch.arange(32.0)) / 2**0.5).sin().expand(1, 3, 32, 32)
    along, across, aslant = (float(calm_loss(flat, picture)) for picture in (turns, turns.mT, slanted))
    assert along == pytest.approx(across, rel=1e-3)
    assert along == pytest.approx(aslant, rel=0.1)


def test_colours_are_compared_in_their_shares_wherever_they_stand() -> None:
    torch.manual_seed(0)
    prints = torch.rand(8, 3, 16, 16) * 2 - 1
    elsewhere = prints[torch.randperm(8)].flip(2, 3)
    own = float(colour_loss(elsewhere, prints))
    assert own < 0.05  # the pixels drawn differ, no more
    assert float(colour_loss(prints + 0.3, prints)) == pytest.approx(0.3 * 3**0.5 / 2, rel=0.25)
    half = prints.clone()
    half[:4] = -1.0  # the right colours, and too much black
    assert float(colour_loss(half, prints)) > 5 * own


def test_the_colour_loss_leads_colours_to_the_prints() -> None:
    torch.manual_seed(0)
    prints = torch.rand(4, 3, 8, 8) * torch.tensor([0.2, 0.6, 1.0])[:, None, None]
    painted = torch.zeros_like(prints).requires_grad_()
    first = float(colour_loss(painted, prints).detach())
    optimizer = torch.optim.Adam([painted], 0.02)
    for _ in range(100):
        optimizer.zero_grad()
        colour_loss(painted, prints).backward()
        optimizer.step()
    assert float(colour_loss(painted, prints).detach()) < first / 5


def test_the_penalty_of_a_critic_that_adds_up_is_that_of_its_weights() -> None:
    critic = nn.Conv2d(3, 1, 1)
    pictures = torch.rand(5, 3, 4, 6)

    def run(network: nn.Module, *inputs: Tensor, twice: bool = False) -> Tensor:
        assert twice  # its gradient is derived once more
        return network(*inputs)

    penalty = r1_penalty(run, critic, pictures)
    assert float(penalty.detach()) == pytest.approx(float(critic.weight.detach().square().sum()) / 48, rel=1e-5)
    penalty.backward()
    assert critic.weight.grad is not None
    assert torch.allclose(critic.weight.grad, critic.weight / 24)
    assert not pictures.requires_grad


def test_on_grey_ground_light_stays_and_colours_are_the_networks() -> None:
    pictures = torch.rand(2, 3, 4, 4) * 1.8 - 0.9
    paints_nothing = nn.Conv2d(3, 3, 1)
    nn.init.zeros_(paints_nothing.weight)
    nn.init.zeros_(paints_nothing.bias)
    left = {ground: on_ground(paints_nothing, ground)(pictures) for ground in ("white", "photo", "grey")}
    assert torch.equal(left["white"], torch.zeros_like(pictures))
    assert torch.allclose(left["photo"], 0.98 * pictures)
    assert torch.allclose(left["grey"], 0.98 * pictures.mean(dim=1, keepdim=True).expand_as(pictures))


@pytest.mark.parametrize("folded", [False, True])
def test_a_network_that_enlarges_draws_no_lines_into_an_even_slope(folded: bool) -> None:
    torch.manual_seed(0)
    network = PooledUNet(8, 3, "none", folded).apply(he_weights)
    sky = torch.linspace(-0.5, 0.5, 128).expand(1, 3, 128, 128)
    with torch.no_grad():
        painted = network(sky)[..., 48:80, 48:80]
    first = painted.diff(dim=3)
    assert float(first.diff(dim=3).abs().mean()) < 0.5 * float(first.abs().mean())  # 1.2 where pixels are repeated


@pytest.mark.parametrize(("levels", "sees"), [(1, 36), (2, 76)])
def test_a_shallow_network_sees_no_further_than_a_stroke(levels: int, sees: int) -> None:
    torch.manual_seed(0)
    network = PooledUNet(4, levels, "none", folded=True).apply(he_weights)
    pictures = torch.rand(1, 3, 96, 96, requires_grad=True)
    reach = 0
    for column in range(40, 48):  # of every place among pixels that are pooled together
        (slope,) = torch.autograd.grad(network(pictures)[..., column].sum(), pictures)
        seen = slope.abs().sum(dim=(0, 1, 2)).nonzero()
        reach = max(reach, int(seen.max() - seen.min()) + 1)
    assert reach <= sees
    assert reach > sees / 2


def test_rates_stand_then_fall_to_zero() -> None:
    assert [share_at(step, 8, 0.5) for step in range(9)] == [1.0] * 5 + [0.75, 0.5, 0.25, 0.0]
    assert {share_at(step, 8, 1.0) for step in range(9)} == {1.0}


def test_a_fallen_rate_is_a_share_of_the_one_params_name() -> None:
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)], 0.5)
    for share in (0.5, 0.25):
        take_share([optimizer], share)
    assert optimizer.param_groups[0]["lr"] == 0.125
    halve([optimizer])
    take_share([optimizer], 0.5)
    assert (named(optimizer), optimizer.param_groups[0]["lr"]) == (
        [{"initial_lr": 0.25, "betas": (0.9, 0.999)}],
        0.125,
    )


def test_the_average_moves_by_its_decay_and_takes_buffers_whole() -> None:
    network = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    average = averaged_copy(network)
    with torch.no_grad():
        network[0].weight.fill_(1.0)
        average[0].weight.fill_(0.0)
        network[1].running_mean.fill_(5.0)
    update_average(average, network, 0.75)
    assert float(average[0].weight) == 0.25
    assert float(average[1].running_mean) == 5.0


def test_an_averages_statistics_are_of_its_own_weights() -> None:
    """What paints is then as lively as what learns; frozen norms, and those not reached, stay as they are."""
    torch.manual_seed(0)
    network = nn.Sequential(*(nn.BatchNorm2d(1) for _ in range(3)))
    average, shown = averaged_copy(network), torch.randn(64, 1, 4, 4) * 3 + 5
    network[1].eval()
    measure_statistics({"g": average}, {"g": network}, lambda: [average[0](part) for part in shown.chunk(2)])
    assert float(average[0].running_mean) == pytest.approx(float(shown.mean()), rel=1e-4)
    assert float(average[0].running_var) == pytest.approx(float(shown.var()), rel=0.01)
    assert average[0](shown).std().item() == pytest.approx(1, abs=0.01)
    assert [float(norm.running_mean) for norm in average[1:]] == [0.0, 0.0]
    assert not any(norm.training for norm in average)
    assert decay_at(0, 32, 1000) < 1e-6  # the first weights are forgotten at once
    assert decay_at(10**6, 32, 1000) == 0.5 ** (32 / 1000)
    assert decay_at(10**6, 32, 0) == 0.0


@pytest.mark.parametrize(
    "make",
    [lambda: nn.Conv2d(3, 5, 4, 2, 1), lambda: nn.ConvTranspose2d(6, 4, 4, 2, 1), lambda: nn.Linear(7, 3)],
    ids=["convolution", "transposed", "linear"],
)
def test_spectral_norm_brings_the_largest_singular_value_to_one(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)  # how fast power iteration settles depends on the weights drawn
    layer = make()
    network = normalise_spectrum(nn.Sequential(layer))
    folded = fold_spectrum(copy.deepcopy(network))
    assert type(folded[0]) is type(layer)
    weight = folded[0].weight.detach()
    matrix = (weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight).flatten(1)
    assert float(torch.linalg.matrix_norm(matrix, 2)) == pytest.approx(1, abs=1e-3)


def test_a_network_runs_in_bfloat16_and_answers_in_float32() -> None:
    seen: list[torch.dtype] = []
    network = nn.Sequential(nn.Conv2d(3, 4, 3))
    network.register_forward_hook(lambda _net, _inputs, output: seen.append(output.dtype))
    engine = Engine.of(small(precision="bfloat16", device="cpu"))
    assert engine.run(network, torch.zeros(1, 3, 8, 8)).dtype == torch.float32
    assert seen == [torch.bfloat16]


@pytest.mark.parametrize(
    ("flags", "dtype"),
    [
        ("fma avx2", torch.float32),
        ("avx2 avx512f avx512_vnni", torch.float32),
        ("avx512f avx512_bf16", torch.bfloat16),
        ("avx512f amx_bf16 amx_tile", torch.bfloat16),
    ],
)
def test_auto_takes_bfloat16_only_where_the_processor_multiplies_it(
    flags: str, dtype: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "cpuinfo"
    told.write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    monkeypatch.setattr("tasks.train.precision.CPU", told)
    assert Precision.of(small(precision="auto", device="cpu")).dtype == dtype
    assert Precision.of(small(device="cpu")).dtype == torch.float32
    named = Precision.of(small(precision="bfloat16", device="cpu"))
    assert named.dtype == torch.bfloat16
    assert ("no instructions for bfloat16" in named.warning()) == (dtype == torch.float32)
    assert Precision.of(small(precision="auto", device="cpu")).warning() == ""


def test_a_run_begun_with_a_checkpoint_from_another_processor_computes_as_suits_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor, settings = tmp_path / "cpuinfo", small(precision="auto", device="cpu")
    monkeypatch.setattr("tasks.train.precision.CPU", processor)
    processor.write_text("flags : avx512_bf16")
    elsewhere = Engine.of(settings).state()
    processor.write_text("flags : avx2")
    engine = Engine.of(settings)
    engine.take(elsewhere)
    assert engine.precision.dtype == torch.bfloat16  # as a resumed run goes on
    engine.hold_to(settings)
    assert engine.precision.dtype == torch.float32  # as a new one begins


def test_a_grid_lays_rows_of_pictures_on_white() -> None:
    black, white = -torch.ones(2, 3, 4, 4), torch.ones(2, 3, 4, 4)
    grid = as_grid([black, white])
    assert grid.shape == (14, 14, 3)
    assert grid[2:6, 2:6].max() == 0
    assert grid[8:12].min() == 255


def test_paintings_that_repeat_each_other_or_the_pictures_are_told() -> None:
    def noise(seed: int) -> Tensor:
        return torch.rand(32, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1

    def warning(painted: Tensor, painted_from: Tensor | None = None) -> str:
        return Watch(learned, painted_from).look(painted).warning()

    learned, photos = noise(1), noise(2)
    assert warning(noise(3), photos) == ""
    collapsed = noise(4)[:2].repeat(16, 1, 1, 1)
    assert "100% of the paintings have a twin" in warning(collapsed, photos)
    assert "100% of the paintings have a twin" in warning(collapsed)
    twins = noise(5)[:2].repeat(16, 1, 1, 1)
    assert "have a twin" not in warning(collapsed, twins)  # painted from twins
    assert "100% of the paintings repeat a picture" in warning(learned)


def test_paintings_that_are_all_alike_are_told_though_none_is_a_twin() -> None:
    learned, mould = Pictures(1, 32).pictures, Pictures(3, 1).pictures
    watch = Watch(learned, None)
    alike = watch.look((mould + 0.2 * Pictures(2, 32).pictures).clamp(-1, 1))
    assert alike.likeness > 0.8
    assert (
        "alike (MS-SSIM) and the pictures 0.10: the generator may be collapsing"
        in replace(alike, duplicates=0.0).warning()
    )
    assert watch.look(Pictures(2, 32).pictures).warning() == ""


def test_the_judgement_sees_a_change_of_colour_and_one_of_texture() -> None:
    pictures, others = Pictures(1, 64).pictures, Pictures(3, 64).pictures
    judge = Judge(pictures)
    same = judge.of(others)
    assert judge.of(pictures).distance == 0
    recoloured = judge.of((others + 0.5).clamp(-1, 1))
    assert recoloured.palette > 2 * same.palette
    roughened = judge.of((others + 0.3 * torch.randn_like(others)).clamp(-1, 1))
    assert roughened.swd > 2 * same.swd
    assert min(recoloured.distance, roughened.distance) > same.distance


def test_many_pictures_are_compared_and_fewer_where_they_would_fill_the_memory() -> None:
    assert [num_compared(side) for side in (32, 64, 256, 512, 1024)] == [256, 256, 256, 85, 64]


def test_paintings_that_repeat_each_other_are_further_from_the_pictures(tmp_path: Path) -> None:
    class Mould(PaintsFromNoise):
        def __init__(self) -> None:
            self.num = 64

        def paint(self, pictures: Mapping[str, Tensor]) -> Tensor:
            return Pictures(2, 64).pictures[: self.num].repeat(64 // self.num, 1, 1, 1)

        def step(self, step: int, pictures: Mapping[str, Tensor], run: Run) -> Mapping[str, Tensor]:
            return {}

    recipe, board = Mould(), Board(tmp_path)
    preview = Preview(recipe, {"to": Pictures(1, 64).pictures}, small(preview_pictures=4))
    varied = preview.look(board, 1, 0.1)
    recipe.num = 32  # each twice
    twins = preview.look(board, 2, 0.2)
    board.close()
    judge = Judge(Pictures(1, 64).pictures)
    assert varied.distance == pytest.approx(judge.of(Pictures(2, 64).pictures).distance)
    assert twins.distance == pytest.approx(2 * judge.of(recipe.paint({})).distance)
    assert (varied.is_best, twins.is_best) == (True, False)


def test_a_gpu_that_is_absent_is_said() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(ParamsError, match="PyTorch sees no GPU here"):
        Precision.of(small(device="cuda"))
