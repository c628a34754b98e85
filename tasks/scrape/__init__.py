"""Scrape: pictures and where they come from, collected into data/1-raw/SET, originals byte for byte."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from tasks.progress import Progress
from tasks.scrape.settings import Scrape


def run(
    *,
    picture_set: str,
    settings: Scrape,
    out: Path,
    progress: Progress,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Collect up to `settings.limit` pictures of the present query into `out`.

    out/items (tasks.rows.Scraped), out/batches.jsonl, out/query.json and out/pictures only grow. A run that was
    killed goes on where it stood; a run with nothing new to find changes nothing.

    Raises ParamsError (unknown source, wrong query), SourceError, NoRoom, and BarenError where nothing was found.
    """
    from tasks.scrape.collect import collect

    collect(picture_set, settings, out, progress, now)
