"""Prepare: every scraped picture is decided on, kept with its crop or refused under a named reason.

No pixel is stored here: the ledger names squares of the originals, and the shard step cuts them.
"""

from concurrent.futures import Executor
from pathlib import Path

from tasks.prepare.settings import Prepare
from tasks.progress import Progress


def run(*, picture_set: str, raw: Path, out: Path, settings: Prepare, executor: Executor, progress: Progress) -> None:
    """Decide on every candidate in `raw` (data/1-raw/SET) and write `out` (data/2-prepared/SET).

    The ledger is the same, byte for byte, for any executor and any number of workers. Raises BarenError where there
    is no candidate, or none is kept.
    """
    from tasks.prepare.decide import Decider
    from tasks.prepare.ledger import candidates, report_of, require_some, write
    from tasks.prepare.parallel import each

    rows = candidates(raw)
    decided = list(progress.track(each(executor, Decider(raw, settings), rows), f"prepare {picture_set}", len(rows)))
    require_some(picture_set, decided)
    report = report_of(picture_set, decided, len(rows))
    write(out, decided, report)
    progress.say(
        f"prepare {picture_set}: {report['kept']:,} of {len(rows):,} pictures kept"
        + "".join(f", {count:,} {reason}" for reason, count in report["refused"].items())
    )
