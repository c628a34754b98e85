"""Tables of numbers over steps, drawn as small line charts."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path

WIDTH, HEIGHT = 320.0, 110.0  # units of the drawing
POINTS = 400  # at most; more cannot be seen
SILENT = ("step", "epoch", "best", "warnings")  # the best so far is to be seen in the distance itself
SPAN = 0.05  # share of the points that the smooth line averages over


@dataclass(frozen=True)
class Curve:
    """One column: SVG paths of its points and of their moving mean, and the numbers at its ends."""

    name: str
    raw: str
    smooth: str
    low: float
    high: float
    last: float
    steps: int


def read_curves(path: Path) -> tuple[Curve, ...]:
    """A curve for each column of a CSV file but those of SILENT; none where the file is missing or empty."""
    if not path.exists():
        return ()
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        return ()
    steps = [float(row["step"]) for row in rows]
    names = [name for name in rows[0] if name not in SILENT]
    return tuple(curve for name in names if (curve := draw(name, steps, [float(row[name] or "nan") for row in rows])))


def draw(name: str, steps: list[float], values: list[float]) -> Curve | None:
    """The curve of `values` over `steps`; None where fewer than two of them are numbers."""
    every = max(1, len(values) // POINTS)
    points = [(x, y) for x, y in zip(steps, values, strict=True) if math.isfinite(y)]
    if len(points) < 2:
        return None
    last, points = points[-1], points[::every]
    if points[-1] != last:
        points.append(last)
    heights = [y for _, y in points]
    low, high = min(heights), max(heights)
    return Curve(
        name=name,
        raw=_path(points, low, high),
        smooth=_path([(x, y) for (x, _), y in zip(points, _means(heights), strict=True)], low, high),
        low=low,
        high=high,
        last=last[1],
        steps=int(last[0]),
    )


def _path(points: list[tuple[float, float]], low: float, high: float) -> str:
    first, last = points[0][0], points[-1][0]
    across, up = (last - first) or 1.0, (high - low) or 1.0
    places = [((x - first) / across * WIDTH, HEIGHT - (y - low) / up * HEIGHT) for x, y in points]
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)


def _means(values: list[float]) -> list[float]:
    reach = max(1, round(len(values) * SPAN / 2))
    windows = [values[max(0, i - reach) : i + reach + 1] for i in range(len(values))]
    return [sum(window) / len(window) for window in windows]
