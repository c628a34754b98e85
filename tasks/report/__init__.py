"""Report: one static page that shows what every stage did."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from tasks.progress import Progress
from tasks.report.settings import Report

__all__ = ["Report", "run"]


def run(
    *,
    data: Path,
    out: Path,
    settings: Report,
    progress: Progress,
    recipes: Sequence[str] = (),
    sets: Sequence[str] = (),
) -> None:
    """Write out/index.html and the pictures it shows, from the folders of the stages under `data`.

    `recipes` and `sets` name what comes first, in their order; all else that lies there follows by name. What a stage
    has not made yet is left out. The page asks no other place for anything. Raises BarenError for a
    ledger that is damaged, and NoRoom.
    """
    from tasks.files import no_half_folder
    from tasks.report.album import Album
    from tasks.report.page import render
    from tasks.report.recipes import gather_recipe, recipe_names
    from tasks.report.sets import gather_set, set_names

    with no_half_folder(out) as folder:
        album = Album(folder, settings, progress)
        of_sets = [gather_set(data, name, album, settings) for name in _ordered(set_names(data), sets)]
        originals = {key: path for each in of_sets for key, path in each.originals.items()}
        of_recipes = [
            gather_recipe(data, name, originals, album, settings) for name in _ordered(recipe_names(data), recipes)
        ]
        (folder / "index.html").write_text(render(settings.title, of_sets, of_recipes), encoding="utf-8")


def _ordered(names: Iterable[str], first: Sequence[str]) -> list[str]:
    """`names`, those of `first` ahead of the others and in its order, the others by name."""
    return sorted(names, key=lambda name: (first.index(name) if name in first else len(first), name))
