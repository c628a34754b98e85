"""How things stand: who works in this checkout, what each set holds, which models paint, what was kept."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flows import lock
from flows.harvest import silent
from flows.history import runs
from flows.publish import waiting
from flows.restore import versions
from flows.room import kept_pictures
from flows.settings import Operations, load_blocks
from flows.turn import holder
from tasks.files import read_json

MODELS, METRICS = Path("data/4-models"), Path("data/5-metrics")


def told() -> str:
    """The state of the checkout for a person."""
    return "\n".join(_lines(load_blocks("pictures"), load_blocks("recipes")))


def _lines(pictures: Mapping[str, Any], recipes: Mapping[str, Any]) -> Iterator[str]:
    yield f"at work: {holder() or 'nobody'}"
    for name, block in pictures.items():
        kept, num_bytes = kept_pictures(name)
        yield f"set {name}: {kept:,} of {block['scrape']['limit']:,} pictures, {num_bytes / 1e6:,.1f} MB"
    recorded, operations = lock.entries(), Operations.load()
    for recipe in recipes:
        yield f"recipe {recipe}: {_of_recipe(recipe, recorded, operations)}"
    kept_versions = versions()
    yield f"kept: {kept_versions[0] if kept_versions else 'nothing yet'}"
    for remote in waiting(operations) if kept_versions else ():
        yield f"waiting: the last version has not reached {remote}; the next run hands it on"
    last = runs()[-1:]
    yield from (f"last stage: {run.stage}, ended {run.ended}" for run in last)
    for quiet in silent(pictures):
        yield f"silent: {quiet.source} brought nothing new to {quiet.picture_set} for three nights; look at it"


def _of_recipe(recipe: str, recorded: lock.Entries, operations: Operations) -> str:
    model = MODELS / recipe / "last"
    if not model.exists():
        return (
            "no model yet" if f"train@{recipe}" not in recorded else "its model is recorded and not here: dvc checkout"
        )
    made = datetime.fromtimestamp(model.stat().st_mtime, UTC)
    told = [f"a model of {made:%Y-%m-%d %H:%M} UTC"]
    if (METRICS / recipe / "metrics.json").exists():
        metrics = read_json(METRICS / recipe / "metrics.json")
        told += [f"{name} {metrics[name]:g}" for name in operations.judged_by if name in metrics]
    told.append(f"its pictures have grown by {lock.growth(recipe, recorded):.0%} since")
    return ", ".join(told)
