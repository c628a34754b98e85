"""Until when hosts give no more, in one record for all picture sets: no later run asks them before."""

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from tasks.errors import Exhausted
from tasks.files import read_json, write_json
from tasks.scrape.address import is_below
from tasks.scrape.alone import alone
from tasks.scrape.clock import Clock
from tasks.scrape.pace import A_YEAR
from tasks.scrape.session import PoliteSession


@contextmanager
def waits_kept(path: Path, session: PoliteSession, clock: Clock, *, asking: bool) -> Generator[None]:
    """In the block no host is asked that told an earlier run to wait and still does; what hosts tell now is kept.

    Raises Exhausted at once where one of the source's own hosts waits, if the run would be `asking` at all.
    """
    with _record(path):
        waits = _read(path, clock.utc())
    for host, until in waits.items():
        spent = Exhausted(
            f"{host} gives no more until {until:%Y-%m-%d %H:%M} UTC, as it told an earlier run, so nothing was asked; "
            f"what was fetched stays, run it again then (or remove {path}, if you know better)",
            until,
            host,
        )
        session.pace(host).broken = spent
        if asking and is_below(host, session.hosts):
            raise spent
    told: list[Exhausted] = []
    try:
        yield
    except Exhausted as spent:
        told.append(spent)
        raise
    finally:
        told += session.exhausted()
        ours = {spent.host: spent.until for spent in told if spent.host and spent.until is not None}
        new = {host: until for host, until in ours.items() if waits.get(host) != until}
        with _record(path):  # which another run may have written meanwhile
            _write(path, _read(path, clock.utc()) | new, clock.utc())


def _record(path: Path) -> AbstractContextManager[None]:
    """While it is read and written; a moment, so that nobody who wants us to stop is kept waiting."""
    return alone(path.with_suffix(".lock"), Clock())


def _read(path: Path, now: datetime) -> dict[str, datetime]:
    """The hosts that still wait, and until when.

    What was told in the future was told by a clock that has been put back since. The wait then begins anew, written
    down as begun now, so it is never longer than the host wanted, and at most a year.
    """
    waits: dict[str, datetime] = {}
    anew = False
    for host, times in (read_json(path) if path.exists() else {}).items():
        told, until = (datetime.fromisoformat(times[name]) for name in ("told", "until"))
        if told > now:
            until, anew = now + min(until - told, timedelta(seconds=A_YEAR)), True
        if until > now:
            waits[host] = until
    if anew:
        _write(path, waits, now)
    return waits


def _write(path: Path, waits: Mapping[str, datetime], now: datetime) -> None:
    """Keep those of `waits` that last, as told now; no file where there are none."""
    lasting = {
        host: {"told": now.isoformat(), "until": until.isoformat()} for host, until in waits.items() if until > now
    }
    if lasting:
        write_json(path, lasting)
    else:
        path.unlink(missing_ok=True)
