"""What the page tells of a recipe: how training went, how it measures, and what it painted."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.credits import NAME as CREDITS
from tasks.files import read_json
from tasks.report.album import Album, Document, Shown, spread
from tasks.report.curves import Curve, read_curves
from tasks.report.metrics import Measure, table
from tasks.report.sets import folders
from tasks.report.settings import Report

MODELS, METRICS, PRINTS = "4-models", "5-metrics", "6-prints"
PREVIEWS = "previews"  # beside prints, each made small


@dataclass(frozen=True)
class Print:
    """A painted photograph, beside the photo where that is still here."""

    title: str
    before: Shown | None
    after: Shown


@dataclass(frozen=True)
class Fact:
    """One line on how a run can be repeated."""

    name: str
    value: str


@dataclass(frozen=True)
class Seed:
    """One of several seeds: what became of it, why, and what it painted last."""

    number: int
    fate: str
    why: str
    grid: Shown | None


@dataclass(frozen=True)
class Recipe:
    """One recipe, from training to prints; what a stage has not made is empty."""

    name: str
    facts: tuple[Fact, ...]
    measures: tuple[Measure, ...]
    curves: tuple[Curve, ...]
    grids: tuple[Shown, ...]
    seeds: tuple[Seed, ...]
    held_out: Shown | None
    documents: tuple[Document, ...]
    prints: tuple[Print, ...]
    sheet: Shown | None  # every photograph as each kept seed painted it, where there are several


def recipe_names(data: Path) -> set[str]:
    """The recipes that any stage knows."""
    return {path.name for place in (MODELS, METRICS, PRINTS) for path in folders(data / place)}


def gather_recipe(
    data: Path, name: str, originals: Mapping[str, Path], album: Album, settings: Report
) -> Recipe:  # fmt: skip
    """All that is known of recipe `name`; `originals` leads from picture id to photo."""
    model, metrics = data / MODELS / name, data / METRICS / name
    measured: dict[str, float] = {}
    for path in (metrics / "metrics.json", metrics / "beside.json"):
        measured |= read_json(path) if path.exists() else {}
    pictures = metrics / "pictures.png"
    return Recipe(
        name=name,
        facts=tuple(_facts(model)),
        measures=table(measured),
        curves=read_curves(model / "losses.csv") + read_curves(model / "scores.csv"),
        grids=_grids(model / "samples", album, settings),
        seeds=tuple(_seeds(model, album)),
        held_out=album.copy(pictures, "held-out pictures") if pictures.exists() else None,
        documents=_documents(metrics, album),
        prints=_prints(data / PRINTS / name, originals, album, settings),
        sheet=_sheet(data / PRINTS / name, album),
    )


def _documents(metrics: Path, album: Album) -> tuple[Document, ...]:
    found = [album.document(metrics / "MODEL_CARD.md", "model card"), album.document(metrics / CREDITS, "credits")]
    return tuple(document for document in found if document)


def _facts(model: Path) -> list[Fact]:
    facts: list[Fact] = []
    for which in ("best", "last"):
        path = model / which / "checkpoint.json"
        if path.exists():
            facts.append(Fact(f"{which} checkpoint", f"step {read_json(path).get('step', 0):,}"))
    if (model / "run.json").exists():
        run: dict[str, Any] = read_json(model / "run.json")
        for key in ("seed", "git_revision", "versions", "machine"):
            if key in run:
                facts.append(Fact(key.replace("_", " "), _told(run[key])))
    return facts


def _told(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {told}" for key, told in value.items())  # pyright: ignore[reportUnknownVariableType]
    return str(value)


def _grids(samples: Path, album: Album, settings: Report) -> tuple[Shown, ...]:
    """Reals, then the untrained, then grids spread over the steps."""
    named = [samples / f"{name}.png" for name in ("reals", "untrained")]
    steps = sorted(samples.glob("step-*.png"))
    chosen = [path for path in named if path.exists()] + spread(steps, settings.grids)
    return tuple(album.copy(path, _moment(path.stem)) for path in chosen)


def _seeds(model: Path, album: Album) -> Iterator[Seed]:
    """The seeds that were tried, each with the grid at which it was dropped or ended."""
    path = model / "population.json"
    for row in read_json(path) if path.exists() else []:
        steps = sorted((model / f"seed-{row['seed']}" / "samples").glob("step-*.png"))
        fate = "painted with" if row["chosen"] else "kept" if row["kept"] else "dropped"
        grid = album.copy(steps[-1], f"seed {row['seed']}, {_moment(steps[-1].stem)}") if steps else None
        yield Seed(row["seed"], fate, row["why"], grid)


def _moment(stem: str) -> str:
    step = stem.removeprefix("step-")
    return f"step {int(step):,}" if step.isdecimal() else stem


def _prints(folder: Path, originals: Mapping[str, Path], album: Album, settings: Report) -> tuple[Print, ...]:
    paths = spread(sorted(folder.glob("*.png")), settings.prints) if settings.prints else []
    found: list[Print] = []
    for path in album.track(paths, "prints"):
        preview = folder / PREVIEWS / f"{path.stem}.jpg"  # the print itself may be of any size
        after = album.whole(preview if preview.exists() else path, "painted", settings.print_side)
        if after is None:
            continue
        told: dict[str, Any] = read_json(path.with_suffix(".json")) if path.with_suffix(".json").exists() else {}
        photo: dict[str, Any] = told.get("photo") or {}
        original = originals.get(str(photo.get("id", "")))
        before = album.whole(original, "photo", settings.print_side) if original else None
        found.append(Print(_title(photo, path.stem), before, after))
    return tuple(found)


def _sheet(folder: Path, album: Album) -> Shown | None:
    several = any(folder.glob("seed-*/*.png"))
    return album.copy(folder / "proof.jpg", "each kept seed") if several else None


def _title(photo: Mapping[str, Any], otherwise: str) -> str:
    known: Sequence[str] = [str(photo.get(key) or "") for key in ("title", "author", "licence")]
    return " · ".join(word for word in known if word and word != "unknown") or otherwise
