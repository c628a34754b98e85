"""Report: one static page that shows what every stage did."""

from pathlib import Path

from tasks.progress import Progress
from tasks.report.settings import Report

__all__ = ["Report", "run"]


def run(*, data: Path, out: Path, settings: Report, progress: Progress) -> None:
    """Write out/index.html and the pictures it shows, from the folders of the stages under `data`.

    What a stage has not made yet is left out. The page asks no other place for anything. Raises BarenError for a
    ledger that is damaged, and NoRoom.
    """
    from tasks.files import no_half_folder
    from tasks.report.album import Album
    from tasks.report.page import render
    from tasks.report.recipes import gather_recipe, recipe_names
    from tasks.report.sets import gather_set, set_names

    with no_half_folder(out) as folder:
        album = Album(folder, settings, progress)
        sets = [gather_set(data, name, album, settings) for name in set_names(data)]
        originals = {key: path for each in sets for key, path in each.originals.items()}
        recipes = [gather_recipe(data, name, originals, album, settings) for name in recipe_names(data)]
        (folder / "index.html").write_text(render(settings.title, sets, recipes), encoding="utf-8")
