"""The model card: what a model learned from, how it was made, how it measures, where its limits are."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from safetensors import safe_open

from tasks.credits import write_credits
from tasks.files import read_json, write_text
from tasks.measures.kinds import BESIDE, apart, beaten
from tasks.rows import Packed

NAME = "MODEL_CARD.md"
RESTRICTED = re.compile(r"(?<![a-z])n[cd](?![a-z])", re.IGNORECASE)  # not for commerce, or not to be changed
MANY = 0.05  # share of duplicates or copies that a person should know of


@dataclass(frozen=True)
class About:
    """What the measures alone do not know of a model."""

    recipe: str
    model: Path  # data/4-models/RECIPE
    learned_from: Mapping[str, Sequence[Packed]]  # picture set -> the rows trained on


@dataclass(frozen=True)
class Share:
    """Pictures of one set from one source under one licence."""

    picture_set: str
    source: str
    licence: str
    pictures: int
    works: int


def write_card(folder: Path, about: About, metrics: Mapping[str, float]) -> None:
    """Write MODEL_CARD.md and CREDITS.csv into `folder`; parts of the model that are not there are left out."""
    run: dict[str, Any] = read_json(about.model / "run.json") if (about.model / "run.json").exists() else {}
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip
    text = environment.get_template("card.md").render(
        recipe=about.recipe,
        sets=list(about.learned_from),
        shares=shares(about.learned_from),
        params=parameters(about.model / "best" / "weights.safetensors"),
        checkpoints={which: _step(about.model / which) for which in ("best", "last")},
        settings={key: _yaml(run[key]) for key in ("networks", "train") if key in run},
        made={key: run[key] for key in ("seed", "git_revision", "versions", "machine") if key in run},
        beside=[suffix for suffix in BESIDE if any(name.endswith(suffix) for name in metrics)],
        measures=list(apart(metrics)[0]),
        metrics=metrics,
        limits=limits(about.learned_from, metrics, run.get("train", {}).get("crop")),
    )
    write_text(folder / NAME, text)
    write_credits(folder, (row.origin for rows in about.learned_from.values() for row in rows))


def shares(learned_from: Mapping[str, Sequence[Packed]]) -> list[Share]:
    """What each set owes to whom: by set, source and licence."""
    found: list[Share] = []
    for name, rows in learned_from.items():
        kinds = Counter((row.origin.source, row.origin.licence) for row in rows)
        for (source, licence), pictures in sorted(kinds.items()):
            works = {row.group for row in rows if (row.origin.source, row.origin.licence) == (source, licence)}
            found.append(Share(name, source, licence, pictures, len(works)))
    return found


def parameters(weights: Path) -> dict[str, int]:
    """How many numbers each network of a checkpoint holds, by its name; averages are copies and do not count."""
    counts: Counter[str] = Counter()
    if weights.exists():
        with safe_open(weights, framework="numpy") as tensors:
            for key in tensors.keys():  # noqa: SIM118 (it is no dict)
                size = 1
                for side in tensors.get_slice(key).get_shape():
                    size *= side
                counts[key.partition(".")[0]] += size
    return {name: count for name, count in counts.items() if name != "average"}


def limits(
    learned_from: Mapping[str, Sequence[Packed]], metrics: Mapping[str, float], crop: int | None = None
) -> list[str]:
    """What a person should know before trusting the model, in sentences; each follows from the figures.

    `crop` is the side in pixels of the random squares that were learned from, where that was not the whole of each.
    """
    told: list[str] = []
    for name, rows in learned_from.items():
        works = len({row.group for row in rows})
        if rows:
            side = rows[0].crop.side
            seen = f"{side} x {side} pixels" + (f", {crop} x {crop} at a time" if crop and crop < side else "")
            told.append(f"Of {name} it saw {len(rows):,} squares of {seen}, from {works:,} works, only.")
        unknown = sum(row.origin.licence in ("", "unknown") for row in rows)
        if unknown:
            told.append(f"The licence of {unknown:,} pictures of {name} is not known: ask before you publish.")
        bound = sorted({row.origin.licence for row in rows if RESTRICTED.search(row.origin.licence)})
        if bound:
            told.append(f"Pictures of {name} are not for every use: {', '.join(bound)}.")
    for name, what in (("copies", "repeat a picture it learned from"), ("duplicates", "repeat another of its own")):
        if metrics.get(name, 0) > max(MANY, metrics.get(f"{name}_floor", 0)):
            told.append(f"{metrics[name]:.0%} of its pictures {what}.")
    for suffix, other in (("_untrained", "its untrained self"), ("_untouched", "the photo as it is"),
                          ("_recoloured", "the photo recoloured")):  # fmt: skip
        lost = [
            name
            for name, value in metrics.items()
            if name + suffix in metrics and beaten(name, value, metrics[name + suffix], suffix) is False
        ]
        if lost:
            told.append(f"It is behind {other} in: {', '.join(lost)}.")
    return told


def _step(checkpoint: Path) -> int | None:
    path = checkpoint / "checkpoint.json"
    return int(read_json(path)["step"]) if path.exists() else None


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True).rstrip()
