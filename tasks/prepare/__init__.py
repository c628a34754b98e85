"""Prepare: every scraped picture is decided on, kept with its crops or refused under a named reason.

No pixel is stored here: the ledger names squares of the originals, and the shard step cuts them.
"""

from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.prepare.settings import Prepare
from tasks.progress import Progress
from tasks.rows import Scraped

if TYPE_CHECKING:
    from tasks.prepare.copies import Decision
    from tasks.prepare.curation import Verdict


def run(
    *,
    picture_set: str,
    raw: Path,
    out: Path,
    settings: Prepare,
    executor: Executor,
    progress: Progress,
    curation: Path | None = None,
    cache: Path | None = None,
) -> None:
    """Decide on every candidate in `raw` (data/1-raw/SET) and write `out` (data/2-prepared/SET).

    `curation` names the CSV with a person's verdicts; it is created where it is missing. `cache` names a folder where
    judgements are remembered, so that bytes judged before are not opened again. The ledger is the same, byte for byte,
    for any executor, any number of workers, with a cache or without. Raises BarenError where there is no candidate, or
    none is kept; ParamsError for a verdict that makes no sense.
    """
    from tasks.prepare.copies import without_copies
    from tasks.prepare.curation import read_curation
    from tasks.prepare.datasheet import describe
    from tasks.prepare.ledger import candidates, report_of, require_some, write

    rows, known = candidates(raw)
    verdicts = read_curation(curation, known) if curation is not None else {}
    with closing(_decisions(rows, verdicts, raw, settings, executor, cache)) as work:
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


def _decisions(
    rows: Sequence[Scraped], verdicts: Mapping[str, "Verdict"], raw: Path, settings: Prepare, executor: Executor,
    cache: Path | None,
) -> Generator["Decision"]:  # fmt: skip
    """The decision on each of `rows`, in their order; what was never judged is judged by the executor's workers."""
    from tasks.prepare.cache import Cache
    from tasks.prepare.decide import Judge, crashed, decided_unseen, file_of
    from tasks.workers import each

    unseen = [decided_unseen(row, verdicts.get(row.id), settings.licences) for row in rows]
    files = [None if decision else file_of(row, row.id in verdicts) for row, decision in zip(rows, unseen, strict=True)]
    with Cache(cache, settings) as known:
        recalled = known.recall([file for file in files if file])
        new = (file for file in files if file and file not in recalled)
        judged = each(executor, Judge(raw, settings), new, crashed)
        for row, decision, file in zip(rows, unseen, files, strict=True):
            if file is None:
                assert decision is not None
                yield decision
            elif file in recalled:
                yield recalled[file].decision(row, file.by_hand)
            else:
                judgement = next(judged)
                if judgement.lasting:
                    known.keep(file, judgement)
                yield judgement.decision(row, file.by_hand)
