"""Painted by tiles equals painted whole, for U-Nets and ResNets, at odd sizes, whatever their norms."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipelines import cyclegan
from tasks.infer.norms import Painter, give_dense, give_exact, give_thumbnail
from tasks.infer.probe import Reach, probe
from tasks.infer.source import Source
from tasks.infer.tiles import Plan, Span, plan_tiles
from tasks.train.unets import Over, PooledUNet

Make = Callable[[int], nn.Module]


class UNet(nn.Module):
    """Convolutions k4 s2 down, transposed ones up, each level's features joined to its mirror's."""

    def __init__(self, depth: int, norm: Make, width: int = 4) -> None:
        super().__init__()
        widths = [3, *(min(width * 2**level, width * 4) for level in range(depth))]
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(nn.Sequential(nn.Conv2d(a, b, 4, 2, 1), norm(b), nn.LeakyReLU(0.2)) for a, b in pairs)
        self.up = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(b + joined, max(a, width), 4, 2, 1), norm(max(a, width)), nn.ReLU())
            for (a, b), joined in zip(reversed(pairs), [0, *widths[-2:0:-1]], strict=True)
        )  # fmt: skip
        self.out = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        skips: list[Tensor] = []
        for down in self.down:
            x = down(x)
            skips.append(x)
        x = skips.pop()
        for up in self.up:
            x = up(x)
            if skips:
                x = torch.cat([x, skips.pop()], dim=1)
        return torch.tanh(self.out(x))


class Residual(nn.Module):
    def __init__(self, width: int, norm: Make) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(2):
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), norm(width), nn.ReLU()]
        self.body = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def resnet(blocks: int, norm: Make, width: int = 4) -> nn.Module:
    return nn.Sequential(
        nn.ReflectionPad2d(3), nn.Conv2d(3, width, 7), norm(width), nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, 2, 1), norm(2 * width), nn.ReLU(),
        nn.Conv2d(2 * width, 4 * width, 3, 2, 1), norm(4 * width), nn.ReLU(),
        *(Residual(4 * width, norm) for _ in range(blocks)),
        nn.ConvTranspose2d(4 * width, 2 * width, 3, 2, 1, 1), norm(2 * width), nn.ReLU(),
        nn.ConvTranspose2d(2 * width, width, 3, 2, 1, 1), norm(width), nn.ReLU(),
        nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh(),
    )  # fmt: skip


def batch_norm(width: int) -> nn.Module:
    norm = nn.BatchNorm2d(width)
    nn.init.uniform_(norm.running_mean, -0.3, 0.3)
    nn.init.uniform_(norm.running_var, 0.3, 1.5)
    return norm


def group_norm(width: int) -> nn.Module:
    return nn.GroupNorm(2, width)


def no_norm(_width: int) -> nn.Module:
    return nn.Identity()


def picture(height: int, width: int) -> np.ndarray:
    """Soft shapes and noise."""
    noise = np.random.default_rng(1)
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 17 + y / 31), np.cos(x / 41), np.sin(y / 13)], axis=-1)
    return np.clip(127 + 90 * waves + noise.normal(0, 20, waves.shape), 0, 255).astype(np.uint8)


CPU = torch.device("cpu")


@torch.inference_mode()
def whole(painter: Painter, source: Source, plan: Plan) -> Tensor:
    """The photo painted in one piece."""
    height, width = plan.padded_height, plan.padded_width
    tile = source.tile((0, height), (0, width))[None]
    return painter(tile, Span(0, height, 0, height), [Span(0, width, 0, width)])[0]


def lively(network: nn.Module) -> nn.Module:
    """Weights at which a picture survives all layers, so that a wrong halo shows."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            up = isinstance(module, nn.ConvTranspose2d)
            fan = module.weight[0].numel() / module.stride[0] ** 2 if up else module.weight[0].numel()
            nn.init.normal_(module.weight, std=1.2 / fan**0.5)
    return network.eval()


@torch.inference_mode()
def worst_difference(painter: Painter, source: Source, plan: Plan) -> float:
    """The largest difference between the photo painted by tiles and painted whole."""
    assert plan.num_tiles > 1
    untiled = whole(painter, source, plan)
    assert untiled.std() > 0.1
    worst = 0.0
    for row in plan.rows:
        for column in plan.columns:
            tile = source.tile((row.start, row.stop), (column.start, column.stop))[None]
            painted = painter(tile, row, [column])[0]
            inside = painted[:, row.core_start - row.start :, column.core_start - column.start :]
            same = untiled[:, row.core_start : row.core_stop, column.core_start : column.core_stop]
            worst = max(worst, float((inside[:, : same.shape[1], : same.shape[2]] - same).abs().max()))
    return worst


def planned(network: nn.Module, photo: np.ndarray, tile: int) -> Plan:
    return plan_tiles(photo.shape[0], photo.shape[1], reach=probe(network), tile=tile)


@pytest.mark.parametrize("norm", [batch_norm, no_norm, nn.InstanceNorm2d, group_norm])
@pytest.mark.parametrize(("make", "tile"), [(lambda norm: UNet(4, norm), 160), (lambda norm: resnet(2, norm), 96)])
@pytest.mark.parametrize("size", [(333, 251), (97, 300)])
def test_tiled_equals_untiled(make: Callable[[Make], nn.Module], tile: int, norm: Make, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network, source = lively(make(norm)), Source.whole(picture(*size))
    plan, painter = planned(network, source.photo, tile), Painter(network, CPU)
    if painter.norms:
        give_thumbnail(painter, source, plan.stride, 96)
    assert worst_difference(painter, source, plan) <= 2e-5


@pytest.mark.parametrize(
    "make",
    [
        lambda: PooledUNet(4, 2, "none"),
        lambda: Over(PooledUNet(4, 2, "none", folded=True)),
        lambda: Over(cyclegan.Generator(4, 1, "resized", "none")),
        lambda: cyclegan.Generator(4, 1, "resized"),
    ],
)
def test_the_recipes_other_generators_are_tiled_exactly_too(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    network, source = lively(make()), Source.whole(picture(203, 251))
    plan, painter = planned(network, source.photo, 160), Painter(network, CPU)
    if painter.norms:
        give_thumbnail(painter, source, plan.stride, 96)
    assert worst_difference(painter, source, plan) <= 2e-5


@pytest.mark.parametrize("norm", [nn.InstanceNorm2d, group_norm])
@pytest.mark.parametrize(("make", "tile"), [(lambda norm: UNet(4, norm), 160), (lambda norm: resnet(2, norm), 96)])
def test_dense_statistics_are_tiled_as_they_are_whole(make: Callable[[Make], nn.Module], tile: int, norm: Make) -> None:
    torch.manual_seed(0)
    network, source = lively(make(norm)), Source.whole(picture(203, 251))
    plan, painter = planned(network, source.photo, tile), Painter(network, CPU)
    give_dense(painter, source, plan.stride, 64)
    assert worst_difference(painter, source, plan) <= 2e-5


@pytest.mark.parametrize("norm", [nn.InstanceNorm2d, group_norm])
@pytest.mark.parametrize(("make", "tile"), [(lambda norm: UNet(4, norm), 160), (lambda norm: resnet(2, norm), 96)])
def test_exact_statistics_are_those_of_the_whole_picture(
    make: Callable[[Make], nn.Module], tile: int, norm: Make
) -> None:
    """The network itself, unchanged, on the whole picture is the oracle."""
    torch.manual_seed(0)
    network, source = lively(make(norm)), Source.whole(picture(203, 251))
    plan, painter = planned(network, source.photo, tile), Painter(network, CPU)
    give_exact(painter, source, plan)
    with torch.inference_mode():
        own = network(source.tile((0, plan.padded_height), (0, plan.padded_width))[None])[0]
    assert (whole(painter, source, plan) - own).abs().max() <= 1e-4
    assert worst_difference(painter, source, plan) <= 2e-5


@pytest.mark.parametrize("norm", [nn.InstanceNorm2d, group_norm, batch_norm])
def test_a_painter_on_another_device_has_the_same_statistics(norm: Make) -> None:
    torch.manual_seed(0)
    network, source = lively(UNet(3, norm)), Source.whole(picture(203, 251))
    plan, painter = planned(network, source.photo, 160), Painter(network, CPU)
    if painter.norms:
        give_dense(painter, source, plan.stride, 64)
    twin = painter.on(CPU)
    assert len(twin.norms) == len(painter.norms)
    assert not set(map(id, twin.norms)) & set(map(id, painter.norms))
    assert torch.equal(whole(twin, source, plan), whole(painter, source, plan))


@pytest.mark.parametrize(("make", "tile"), [(lambda norm: UNet(4, norm), 160), (lambda norm: resnet(2, norm), 96)])
def test_half_the_halo_is_seen(make: Callable[[Make], nn.Module], tile: int) -> None:
    """The check above can fail: it does where the halo is too small."""
    torch.manual_seed(0)
    network = lively(make(batch_norm))
    reach = probe(network)
    assert reach.halo is not None
    plan = plan_tiles(300, 300, reach=Reach(reach.stride, reach.halo // 2), tile=tile)
    assert worst_difference(Painter(network, CPU), Source.whole(picture(300, 300)), plan) > 1e-3


def test_a_tile_with_statistics_of_its_own_is_seen() -> None:
    """What the first article fought: the same check fails for the naive way."""
    torch.manual_seed(0)
    network = lively(resnet(2, nn.InstanceNorm2d))
    source = Source.whole(picture(300, 300))
    assert worst_difference(Painter(network, CPU), source, planned(network, source.photo, 96)) > 0.1


DOWN = nn.Conv2d(8, 3, 4, 2, 1)


@pytest.mark.parametrize(
    ("network", "stride", "halo"),
    [
        (nn.Conv2d(3, 3, 5, padding=2), 1, 2),
        (resnet(6, nn.InstanceNorm2d), 4, 59),
        (resnet(9, nn.BatchNorm2d), 4, 83),
        (nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect"), nn.Upsample(scale_factor=2), DOWN), 1, 2),
    ],
)  # fmt: skip
def test_the_probe_finds_stride_and_halo(network: nn.Module, stride: int, halo: int) -> None:
    assert probe(network) == Reach(stride, halo)


def test_the_probe_leaves_the_network_as_it_was() -> None:
    network = UNet(3, nn.BatchNorm2d)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    probe(network)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert isinstance(network.down[0][0], nn.Conv2d)


def test_the_probe_sees_through_spectral_norm() -> None:
    network = nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 4, 3, padding=1)), nn.Tanh())
    assert probe(network) == Reach(1, 1)


def test_a_network_that_looks_at_everything_has_no_halo() -> None:
    class Everywhere(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + x.mean(dim=(2, 3), keepdim=True)

    assert probe(Everywhere()).halo is None
