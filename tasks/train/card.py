"""The card beside a model: what it is, what it learned from, how, how well, and what it is not good for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.files import read_json, write_text

LIMITS = (
    "It paints what resembles the pictures it learned from; anything else may come out wrong.",
    "The licences of those pictures, counted below, stand picture by picture in their sets' items, and bind what "
    "is painted.",
    "The distance above was measured on pictures it learned from; metrics on unseen ones are in data/5-metrics.",
)


def write_card(folder: Path, recipe: str) -> None:
    """Write CARD.md in a finished run's folder, from its run.json and checkpoints."""
    run: Mapping[str, Any] = read_json(folder / "run.json")
    points = {which: read_json(folder / which / "checkpoint.json") for which in ("best", "last")}
    lines = [f"# {recipe}", ""]
    lines += [f"- {which}: step {point['step']:,}{_distance(point['score'])}" for which, point in points.items()]
    lines += [f"- seed {row['seed']}: {row['why']}" for row in _population(folder)]
    lines += ["", "## Limits", "", *(f"- {limit}" for limit in LIMITS), "", "## How it was made", ""]
    lines += [f"- {key}: {value}" for key, value in sorted(_flat(run).items())]
    write_text(folder / "CARD.md", "\n".join(lines) + "\n")


def _population(folder: Path) -> list[dict[str, Any]]:
    path = folder / "population.json"
    return read_json(path) if path.exists() else []


def _distance(score: float | None) -> str:
    return "" if score is None else f", at {score:.2f} from what it learned from (palette and sliced Wasserstein)"


def _flat(block: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in block.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{above}{key}.")
        else:
            flat[above + key] = value
    return flat
