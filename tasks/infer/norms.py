"""Normalisation that does not depend on the tile, so that no tile has a tone of its own.

frozen      the norms hold the statistics of training, or there are none: nothing to do
thumbnail   one pass over the photo made small; every norm becomes the affine map it was there
dense       one pass over patches of the photo; between their centres the statistics are interpolated, so that light
            and dark parts keep a normalisation of their own, as pictures had in training
exact       the statistics of the whole photo, taken layer after layer by tiles: as if it had fitted into memory
"""

import contextlib
import copy
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from tasks.infer.source import Source, stacked
from tasks.infer.tiles import Plan, Span, padded

Norm = nn.InstanceNorm2d | nn.GroupNorm | nn.BatchNorm2d
Map = tuple[Tensor, Tensor]  # mean and 1 / deviation of features, as a rule [1, C, 1, 1]


def measures(module: nn.Module) -> bool:
    """Whether a module, in eval mode, is a norm that takes its statistics from the picture it is shown."""
    if isinstance(module, nn.GroupNorm):
        return True
    return isinstance(module, nn.InstanceNorm2d | nn.BatchNorm2d) and module.running_mean is None


class Painter:
    """A network whose norms have been given their statistics; see the module's head for the ways."""

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self.device = device
        self.norms: list[Given] = []
        self.network = self._with_given_norms(network)

    def __call__(self, tiles: Tensor, row: Span, columns: Sequence[Span]) -> Tensor:
        """Paint tiles [B, 3, h, w] in (-1, 1) of one row; the same shape comes back, on the painter's device."""
        for norm in self.norms:
            norm.place = (row, columns)
        return self.network(tiles.to(self.device, non_blocking=True))

    def on(self, device: torch.device) -> "Painter":
        """The same painter with its weights and statistics on another device."""
        twin = copy.copy(self)  # not made anew: that would give its given norms norms
        twin.device, twin.network = device, copy.deepcopy(self.network).to(device)
        twin.norms = [module for module in twin.network.modules() if isinstance(module, Given)]
        return twin

    def _with_given_norms(self, network: nn.Module) -> nn.Module:
        """The network's structure, weights shared, with a Given in place of each norm that measures."""
        made: dict[int, nn.Module] = {}

        def replaced(module: nn.Module) -> nn.Module:
            if id(module) not in made:
                if measures(module):
                    given = Given(module)
                    self.norms.append(given)
                    made[id(module)] = given
                else:
                    shell = copy.copy(module)
                    made[id(module)] = shell
                    shell._modules = {  # pyright: ignore[reportPrivateUsage]
                        name: None if child is None else replaced(child)
                        for name, child in module._modules.items()  # pyright: ignore[reportPrivateUsage]
                    }
            return made[id(module)]

        return replaced(network)


class Given(nn.Module):
    """A norm that uses the statistics it is given; until then those of what it sees, which it hands to `seen`."""

    mean: Tensor | None
    rate: Tensor | None

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        assert isinstance(norm, nn.InstanceNorm2d | nn.GroupNorm | nn.BatchNorm2d)
        self.norm = norm
        self.register_buffer("mean", None)  # [1, C, 1, 1], or [rows, columns, C] of patches
        self.register_buffer("rate", None)  # 1 / deviation, likewise
        self.patch = 0  # px a side of the patches of a dense map; 0 where one map holds everywhere
        self.seen: Callable[[Tensor, Map], None] | None = None
        self.place: tuple[Span, Sequence[Span]] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x [B, C, h, w]."""
        if self.mean is None or self.rate is None:
            mean, rate = statistics_of(self.norm, x)
        elif self.patch:
            mean, rate = self._interpolated(x, self.mean), self._interpolated(x, self.rate)
        else:
            mean, rate = self.mean, self.rate
        if self.seen:
            self.seen(x, (mean, rate))
        y = (x - mean) * rate
        if self.norm.weight is None:  # pyright: ignore[reportUnnecessaryComparison]: None where not affine
            return y
        return y * self.norm.weight[:, None, None] + self.norm.bias[:, None, None]

    def give(self, mean: Tensor, rate: Tensor, patch: int = 0) -> None:
        """From now on use these statistics."""
        self.mean, self.rate, self.patch, self.seen = mean, rate, patch, None

    def _interpolated(self, x: Tensor, table: Tensor) -> Tensor:
        """The table between the centres of its patches, at the pixels of these tiles' features: [B, C, h, w]."""
        assert self.place is not None
        row, columns = self.place
        down = _between(row, x.shape[2], table.shape[0], self.patch).to(table)
        across = torch.stack([_between(column, x.shape[3], table.shape[1], self.patch) for column in columns])
        return torch.einsum("hr,rsc,bws->bchw", down, table, across.to(table))


def statistics_of(norm: Norm, x: Tensor) -> Map:
    """Mean and 1 / deviation, each [B, C, 1, 1], of features x [B, C, H, W], as `norm` takes them."""
    groups = norm.num_groups if isinstance(norm, nn.GroupNorm) else x.shape[1]
    variance, mean = torch.var_mean(x.reshape(len(x), groups, -1).float(), dim=2, correction=0)
    return _of_channels(norm, mean, variance, x.shape[1])


def _of_channels(norm: Norm, mean: Tensor, variance: Tensor, channels: int) -> Map:
    """Statistics of groups [B, groups], spread over their channels."""
    size = channels // mean.shape[1]
    rate = (variance + norm.eps).rsqrt()
    return mean.repeat_interleave(size, 1)[..., None, None], rate.repeat_interleave(size, 1)[..., None, None]


def _between(span: Span, size: int, count: int, patch: int) -> Tensor:
    """Shares [size, count] of `count` patches in the `size` features of a tile that spans [start, stop) px."""
    step = (span.stop - span.start) / size
    centre = (span.start + (torch.arange(size, dtype=torch.float64) + 0.5) * step) / patch - 0.5
    distance = (centre.clamp(0, count - 1)[:, None] - torch.arange(count)).abs()
    return (1 - distance).clamp(min=0).float()


@torch.inference_mode()
def give_thumbnail(painter: Painter, source: Source, stride: int, side: int) -> int:
    """Take the statistics of `source` made small, at most `side` px long; returns the pixels that took."""
    scale = min(1.0, side / max(source.height, source.width))
    height, width = (max(1, round(length * scale)) for length in (source.height, source.width))
    small = Source(source.photo, source.box, height, width)
    tall, wide = padded(height, stride), padded(width, stride)
    found: dict[Given, Map] = {}
    for norm in painter.norms:
        norm.seen = _remember(found, norm)
    painter.network(small.tile((0, tall), (0, wide))[None].to(painter.device))
    for norm, (mean, rate) in found.items():
        norm.give(mean.clone(), rate.clone())
    return tall * wide


def _remember(found: dict[Given, Map], norm: Given) -> Callable[[Tensor, Map], None]:
    """Keep the first statistics a norm meets: one that is used twice keeps one map."""

    def remember(_x: Tensor, values: Map) -> None:
        found.setdefault(norm, values)

    return remember


@torch.inference_mode()
def give_dense(painter: Painter, source: Source, stride: int, patch: int) -> int:
    """Take the statistics of each patch of `source`, about `patch` px a side; returns the pixels that took."""
    patch = padded(patch, stride)
    rows, columns = (math.ceil(length / patch) for length in (source.height, source.width))
    means: dict[Given, list[Tensor]] = {norm: [] for norm in painter.norms}
    rates: dict[Given, list[Tensor]] = {norm: [] for norm in painter.norms}
    for row in range(rows):
        for column in range(columns):
            # The last patches are moved in, so that none is mostly mirror image.
            top, left = (
                max(0, min(place * patch, length - patch))
                for place, length in ((row, source.height), (column, source.width))
            )
            found: dict[Given, Map] = {}
            for norm in painter.norms:
                norm.seen = _remember(found, norm)
            painter.network(source.tile((top, top + patch), (left, left + patch))[None].to(painter.device))
            for norm, (mean, rate) in found.items():
                means[norm].append(mean.flatten())
                rates[norm].append(rate.flatten())
    for norm in painter.norms:
        tables = [torch.stack(values[norm]).reshape(rows, columns, -1) for values in (means, rates)]
        norm.give(tables[0], tables[1], patch)
    return rows * columns * patch * patch


class _Enough(Exception):
    """The layer whose statistics are wanted has been reached."""


@torch.inference_mode()
def give_exact(painter: Painter, source: Source, plan: Plan) -> int:
    """Take the statistics of the whole `source`, layer after layer by tiles; returns the pixels that took.

    A norm's input is only right once the norms before it are settled: there is one pass over all tiles for each.
    """
    spent = 0
    for norm in _in_order(painter, source, plan):
        sums = _Sums(norm)
        norm.seen = sums.add
        for row in plan.rows:
            for column in plan.columns:
                sums.place = (row, column)
                tile = source.tile((row.start, row.stop), (column.start, column.stop))
                with contextlib.suppress(_Enough):
                    painter(stacked([tile]), row, [column])
                spent += tile.shape[1] * tile.shape[2]
        norm.give(*sums.map())
    return spent


def _in_order(painter: Painter, source: Source, plan: Plan) -> list[Given]:
    """The norms in the order in which a picture meets them."""
    met: dict[Given, None] = {}
    for norm in painter.norms:
        norm.seen = lambda _x, _map, norm=norm: met.setdefault(norm)
    painter.network(source.tile((0, plan.tile_height), (0, plan.tile_width))[None].to(painter.device))
    for norm in painter.norms:
        norm.seen = None
    return list(met)


class _Sums:
    """Adds up a norm's features over the cores of tiles."""

    def __init__(self, norm: Given) -> None:
        self.norm = norm.norm
        self.place: tuple[Span, Span] | None = None
        self._count = 0
        self._sum: Tensor | float = 0.0
        self._squares: Tensor | float = 0.0

    def add(self, x: Tensor, _map: Map) -> None:
        assert self.place is not None
        down, across = (_core(span, size) for span, size in zip(self.place, x.shape[2:], strict=True))
        core = x[:, :, down, across].double()
        self._sum = self._sum + core.sum(dim=(2, 3))
        self._squares = self._squares + core.square().sum(dim=(2, 3))
        self._count += core.shape[2] * core.shape[3]
        raise _Enough

    def map(self) -> Map:
        assert isinstance(self._sum, Tensor)
        assert isinstance(self._squares, Tensor)
        channels = self._sum.shape[1]
        groups = self.norm.num_groups if isinstance(self.norm, nn.GroupNorm) else channels
        mean, square = (
            values.reshape(1, groups, -1).mean(dim=2) / self._count for values in (self._sum, self._squares)
        )
        mean, rate = _of_channels(self.norm, mean, square - mean.square(), channels)
        return mean.float(), rate.float()


def _core(span: Span, size: int) -> slice:
    """The core of a tile in features of which `size` span it; cores lie on the network's stride."""
    step = (span.stop - span.start) / size
    return slice(round((span.core_start - span.start) / step), round((span.core_stop - span.start) / step))
