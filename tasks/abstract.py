"""Abstract compositions by a small painter of our own: fields, grids, discs, bars, bands, mosaics, strokes, threads.

Each number is another painting: a way of composing, a palette and its chances. It imitates no work and learns nothing.
"""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

from tasks.easel import Colour, Easel, Picture, blend, box, curve, ellipse, hexadecimal, shade

# The first colour of each is its ground. Ours, mixed by eye.
PALETTES = {
    "harbour": "efe6d2 1f3a5f d1495b edae49 66a182 22223b",
    "orchard": "f4ecd8 6a994e bc4749 f2b134 386641 7f5539",
    "dusk": "2b2d42 ef8354 f7c59f 8d5b8c 4f5d95 f4f1de",
    "primary": "f5f2e8 d62828 1d4e89 f6bd27 1b1b1e e8e4d8",
    "clay": "e9dcc9 9c4a2f d08c60 5b3a29 3f5e5a c9a66b",
    "glacier": "e4eef1 2a6f97 61a5c2 014f86 f28f3b a9d6e5",
    "ember": "3d0c11 d00000 ff7b00 ffba08 6a040f f8e1c1",
    "meadow": "f1f4df 90be6d 43aa8b f9c74f f3722c 577590",
    "plum": "f3e9ee 6d1a44 b5446e f0a6ca 3c1642 f2cc8f",
    "night": "12152b 3a3f7a 7b6fd0 f5d547 e4572e bfd7ea",
    "sand": "f7efe0 e07a5f 81b29a 3d405b f2cc8f b56576",
    "moss": "dfe3cf 3a5a40 a3b18a 588157 d4a017 2f3e46",
    "rose": "fbeee6 e5989b b5838d 6d6875 ffcdb2 335c67",
    "signal": "fafaf5 111111 e63946 ffb703 219ebc 8ecae6",
}
Palette = Sequence[Colour]
Chance = np.random.Generator


def abstract(number: int, side: int = 128, seed: int = 1) -> Picture:
    """Composition `number`, uint8 [side, side, 3] sRGB; the same for the same arguments, at any side the same one."""
    rng = np.random.default_rng([seed, 0xAB5, number])
    names = list(PALETTES)
    palette = [_varied(hexadecimal(text), rng) for text in PALETTES[names[rng.integers(len(names))]].split()]
    easel = Easel(side, palette[0])
    compose = WAYS[rng.integers(len(WAYS))]
    compose(easel, palette, rng)
    return easel.finished(grain=0.012, seed=number)


def _varied(colour: Colour, rng: Chance) -> Colour:
    red, green, blue = np.clip(np.array(colour) + rng.normal(0, 0.025, 3), 0, 1).tolist()
    return red, green, blue


def _pick(palette: Palette, rng: Chance) -> Colour:
    """Any colour but the ground's."""
    return palette[int(rng.integers(1, len(palette)))]


def _fields(easel: Easel, palette: Palette, rng: Chance) -> None:
    """Two to four soft fields above each other, in thin layers."""
    easel.lay(np.ones_like(easel.sheet[..., 0]), _pick(palette, rng), 0.85)
    cuts = np.concatenate([[0.05], np.sort(rng.uniform(0.2, 0.8, rng.integers(1, 4))), [0.95]])
    for top, bottom in itertools.pairwise(cuts):
        if bottom - top < 0.08:
            continue
        colour, middle, half = _pick(palette, rng), (top + bottom) / 2, (bottom - top) / 2 - 0.015
        for _ in range(3):
            wide, tall = 0.42 + rng.normal(0, 0.012), half + rng.normal(0, 0.008)
            easel.fill(box(0.5 + rng.normal(0, 0.008), middle, wide, tall), colour, 0.5, soft=0.012)


def _grid(easel: Easel, palette: Palette, rng: Chance) -> None:
    """Rectangles cut from rectangles, some coloured, parted by dark bars."""
    dark = min(palette, key=sum)
    easel.lay(np.ones_like(easel.sheet[..., 0]), max(palette, key=sum))
    cells, bar = [(0.0, 0.0, 1.0, 1.0)], rng.uniform(0.012, 0.03)
    for _ in range(rng.integers(4, 9)):
        largest = max(range(len(cells)), key=lambda i: (cells[i][2] - cells[i][0]) * (cells[i][3] - cells[i][1]))
        left, top, right, bottom = cells.pop(largest)
        share = rng.uniform(0.28, 0.72)
        if right - left > bottom - top:
            cut = left + (right - left) * share
            cells += [(left, top, cut, bottom), (cut, top, right, bottom)]
        else:
            cut = top + (bottom - top) * share
            cells += [(left, top, right, cut), (left, cut, right, bottom)]
    for left, top, right, bottom in cells:
        middle, half = ((left + right) / 2, (top + bottom) / 2), ((right - left) / 2, (bottom - top) / 2)
        if rng.random() < 0.5:
            easel.fill(box(*middle, *half), _pick(palette, rng))
        frame = np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]])
        for one, other in itertools.pairwise(frame):
            easel.stroke(np.array([one, other]), bar, dark)


def _discs(easel: Easel, palette: Palette, rng: Chance) -> None:
    """Rings within rings, in a square of squares, or a few large ones over each other."""
    if rng.random() < 0.5:
        num = int(rng.integers(2, 5))
        places = [((x + 0.5) / num, (y + 0.5) / num, 0.46 / num) for x in range(num) for y in range(num)]
        for x, y, radius in places:
            easel.fill(box(x, y, 0.5 / num, 0.5 / num), _pick(palette, rng))
            _rings(easel, palette, rng, x, y, radius)
        return
    for _ in range(rng.integers(3, 7)):
        x, y = rng.uniform(0.1, 0.9, 2)
        _rings(easel, palette, rng, x, y, rng.uniform(0.08, 0.34))


def _rings(easel: Easel, palette: Palette, rng: Chance, x: float, y: float, radius: float) -> None:
    for share in np.linspace(1, 0.25, rng.integers(2, 5)):
        easel.fill(ellipse(x, y, radius * share, radius * share), _pick(palette, rng), rng.uniform(0.8, 1))


def _bars(easel: Easel, palette: Palette, rng: Chance) -> None:
    """Bars, wedges and a disc, most of them along one slant."""
    slant = rng.uniform(0, math.pi)
    if rng.random() < 0.6:
        x, y, radius = *rng.uniform(0.25, 0.75, 2), rng.uniform(0.12, 0.24)
        easel.fill(ellipse(x, y, radius, radius), _pick(palette, rng))
    for _ in range(rng.integers(5, 12)):
        turn = slant + (math.pi / 2 if rng.random() < 0.25 else 0) + rng.normal(0, 0.06)
        x, y = rng.uniform(0.12, 0.88, 2)
        long, thin = rng.uniform(0.08, 0.38), rng.uniform(0.012, 0.07)
        outline = box(x, y, long, thin, turn)
        if rng.random() < 0.2:
            outline = outline[:3]  # a wedge
        easel.fill(outline, _pick(palette, rng))


def _bands(easel: Easel, palette: Palette, rng: Chance) -> None:
    """Wavy bands from edge to edge, like hills or water."""
    easel.turn = float(rng.choice([0, 0, math.pi / 2, rng.uniform(0, math.pi)]))
    x = np.linspace(-0.4, 1.4, 40)
    waves, swing = rng.uniform(0.6, 2.4), rng.uniform(0.015, 0.09)
    tops = np.linspace(-0.05, 1.05, rng.integers(5, 10))
    before = -1
    for top in tops:
        phase = rng.uniform(0, 2 * math.pi)
        wave = top + swing * np.sin(2 * math.pi * waves * x + phase) + rng.normal(0, 0.015)
        index = int(rng.integers(len(palette)))
        index = (index + 1) % len(palette) if index == before else index
        before = index
        outline = np.vstack([np.stack([x, wave], 1), [[1.4, 1.6], [-0.4, 1.6]]])
        easel.fill(outline, palette[index])
        easel.stroke(np.stack([x, wave], 1), 0.008, shade(palette[index], 0.7))
    easel.turn = 0.0


def _mosaic(easel: Easel, palette: Palette, rng: Chance) -> None:
    """A field of uneven tiles, their colours drifting from corner to corner."""
    num = int(rng.integers(4, 9))
    corners = [_pick(palette, rng) for _ in range(4)]
    grid = np.stack(np.meshgrid(np.linspace(0, 1, num + 1), np.linspace(0, 1, num + 1)), -1)  # [num+1, num+1, 2]
    grid[1:-1, 1:-1] += rng.normal(0, 0.12 / num, (num - 1, num - 1, 2))
    for row in range(num):
        for column in range(num):
            x, y = (column + 0.5) / num, (row + 0.5) / num
            drifting = blend(blend(corners[0], corners[1], x), blend(corners[2], corners[3], x), y)
            colour = _pick(palette, rng) if rng.random() < 0.2 else shade(drifting, rng.uniform(0.82, 1.18))
            tile = grid[[row, row, row + 1, row + 1], [column, column + 1, column + 1, column]]
            easel.fill(tile.mean(0) + (tile - tile.mean(0)) * 0.93, colour)


def _strokes(easel: Easel, palette: Palette, rng: Chance) -> None:
    """Broad strokes of a dry brush, each of many bristles."""
    for _ in range(rng.integers(4, 9)):
        start, end = rng.uniform(-0.05, 1.05, (2, 2))
        bend = (start + end) / 2 + rng.normal(0, 0.18, 2)
        path = curve([tuple(start), tuple(bend), tuple(end)], steps=10)
        colour, broad = _pick(palette, rng), rng.uniform(0.07, 0.2)
        bristles = int(broad * 90)
        easel.stroke(path, broad * 0.8, colour, 0.75)
        for offset in np.linspace(-0.5, 0.5, bristles):
            swayed = path + (end - start)[::-1] * (-1, 1) / max(float(np.hypot(*(end - start))), 0.1) * offset * broad
            first, last = int(rng.integers(0, 4)), len(swayed) - int(rng.integers(0, 5))
            tone = shade(colour, rng.uniform(0.78, 1.15))
            easel.stroke(swayed[first:last], broad / bristles * rng.uniform(0.8, 1.5), tone, 0.8)


def _threads(easel: Easel, palette: Palette, rng: Chance) -> None:
    """Looping threads of paint, thick and thin, over a washed ground."""
    x, y = rng.uniform(0.2, 0.8, 2)
    easel.fill(ellipse(x, y, 0.4, 0.4), _pick(palette, rng), 0.7, soft=0.15)
    for _ in range(rng.integers(7, 14)):
        knots = rng.uniform(-0.1, 1.1, (rng.integers(4, 8), 2))
        widths = rng.uniform(0.006, 0.036, 5).tolist()
        easel.stroke(curve(knots, steps=12), widths, _pick(palette, rng))
    for _ in range(rng.integers(4, 16)):
        x, y = rng.uniform(0, 1, 2)
        radius = rng.uniform(0.006, 0.03)
        easel.fill(ellipse(x, y, radius, radius), _pick(palette, rng))


WAYS: tuple[Callable[[Easel, Palette, Chance], None], ...] = (
    _fields, _grid, _discs, _bars, _bands, _mosaic, _strokes, _threads,
)  # fmt: skip
