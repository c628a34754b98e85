"""Prepare: every scraped picture is decided on, kept with its crops or refused under a named reason.

No pixel is stored here: the ledger names squares of the originals, and the shard step cuts them.
"""

from concurrent.futures import Executor
from pathlib import Path

from tasks.prepare.settings import Prepare
from tasks.progress import Progress


def run(
    *,
    picture_set: str,
    raw: Path,
    out: Path,
    settings: Prepare,
    executor: Executor,
    progress: Progress,
    curation: Path | None = None,
) -> None:
    """Decide on every candidate in `raw` (data/1-raw/SET) and write `out` (data/2-prepared/SET).

    `curation` names the CSV with a person's verdicts; it is created where it is missing. The ledger is the same, byte
    for byte, for any executor and any number of workers. Raises BarenError where there is no candidate, or none is
    kept; ParamsError for a verdict that makes no sense.
    """
    from tasks.prepare.copies import without_copies
    from tasks.prepare.curation import read_curation
    from tasks.prepare.datasheet import describe
    from tasks.prepare.decide import Decider, crashed
    from tasks.prepare.ledger import candidates, report_of, require_some, write
    from tasks.workers import each

    rows, known = candidates(raw)
    verdicts = read_curation(curation, known) if curation is not None else {}
    work = each(executor, Decider(raw, settings), ((row, verdicts.get(row.id)) for row in rows), crashed)
    decisions = list(progress.track(work, f"prepare {picture_set}", len(rows)))
    ledger = without_copies(decisions, settings.duplicates)
    require_some(picture_set, ledger)
    kept = {row.picture for row in ledger if row.outcome == "kept"}
    seen = (made.colours for made in decisions if made.colours is not None and made.first.picture in kept)
    report = report_of(picture_set, ledger, len(rows)) | describe(raw, rows, ledger, seen)
    write(out, ledger, report)
    progress.say(
        f"prepare {picture_set}: {report['kept']:,} of {len(rows):,} pictures kept"
        + "".join(f", {count:,} {reason}" for reason, count in report["refused"].items())
    )
