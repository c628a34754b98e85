"""The raw ledger: what a picture set has, and the batch that is being collected.

data/1-raw/SET only grows, and only when a batch closes: until then pictures and rows lie in a journal under .scratch,
where a run that was killed goes on. Closing again after a kill in the middle of closing gives the same bytes.
"""

import dataclasses
import errno
import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tasks.errors import PictureRefused, TooLarge
from tasks.files import (
    canonical_json,
    no_half_file,
    read_json,
    read_json_lines,
    write_bytes,
    write_json,
    write_json_lines,
)
from tasks.rows import ITEMS, Origin, Scraped, as_json, read_scraped, sha256_rows, write_rows
from tasks.scrape.fetch import Fetched
from tasks.scrape.source import Mark
from tasks.scrape.takedown import TAKEN_DOWN

TOO_MANY = 3  # keys of one site with the same bytes: something a site shows in the place of many pictures
READ_ANEW = timedelta(days=30)  # after which a source is asked for everything, whatever it marked
HOPE = timedelta(days=3)  # in which a picture that failed may yet come; later it is worth no reading of all listings
SAME = "same picture under many keys"


@dataclass(frozen=True)
class Batch:
    """A run's harvest: opened once, with its number and UTC time."""

    batch: int
    opened: str  # ISO 8601, UTC


class Ledger:
    """The rows of one picture set, as the present query sees them."""

    def __init__(self, out: Path, journal: Path, query: str, now: datetime, bounds: Mapping[str, int]) -> None:
        """Open `out`; go on in the batch that `journal` holds, or open the next one at `now`.

        `bounds`: how large a picture may be, by the reason for which a larger one is refused.
        """
        self.out, self.query, self._journal, self._lines = out, query, journal, journal / "rows.jsonl"
        self._bounds = bounds
        self.cursor: Mapping[str, Any] | None = None
        self._cleared = journal.with_name("cleared")  # a journal whose batch is closed, while it is removed
        if self._cleared.exists():
            shutil.rmtree(self._cleared)
        self._marks = journal.with_name("marks.json")  # what a later batch may begin with
        self._lasting: Mapping[str, Any] | None = None
        self._present: dict[str, Scraped] = {}  # the latest row of each id, for the present query
        self._elsewhere: dict[str, Scraped] = {}  # for any other query
        self._new: dict[tuple[str, str], Scraped] = {}  # by query and id
        self._taken_down: set[str] = set()  # ids, whatever query found them
        self._kept, self._sound = 0, True
        self._files: set[str] = set()  # that closed batches brought
        self._from_the_web: dict[str, dict[str, Scraped]] = {}  # by the hash of their bytes
        closed = _closed(out)
        last = closed[-1].batch if closed else 0
        self.batch = self._open(closed, last, now)
        self._incoming = journal / "incoming"
        self._incoming.mkdir(exist_ok=True)
        for row in read_scraped(out / ITEMS) if closed else ():
            if row.batch <= last:
                self._remember(row)
                self._files.add(row.file or "")
        self._since = self._begin_where_the_last_batch_ended()
        self._go_on()

    def opened(self) -> datetime:
        """When the batch was opened (UTC); for a run that goes on, that is when it first began."""
        return datetime.fromisoformat(self.batch.opened)

    def sound(self) -> bool:
        """Whether more may be written after an error."""
        return self._sound

    def kept(self) -> int:
        """How many pictures the present query has."""
        return self._kept

    def counts(self) -> Counter[str]:
        """How the present query's candidates ended: kept, failed and why, or the reason of the refusal."""
        told = {"kept": "kept", "failed": "failed ({})", "refused": "{}"}
        return Counter(told[row.outcome].format(row.reason) for row in self._present.values())

    def settled(self, id: str) -> bool:
        """Whether nothing more is to be done about `id`: a failed picture is tried again by the next batch."""
        row = self._present.get(id)
        if row is None or self._may_now(row):
            return False
        return row.outcome != "failed" or row.batch == self.batch.batch

    def has(self, id: str) -> bool:
        """Whether the picture is kept for the present query."""
        row = self._present.get(id)
        return row is not None and row.outcome == "kept"

    def taken_down(self) -> Set[str]:
        """The ids that a person took down, whatever query found them."""
        return self._taken_down

    def adopt(self, id: str) -> bool:
        """Take over what another query of this set already settled about `id`; False where none did."""
        row = self._elsewhere.get(id)
        if row is None or row.outcome == "failed" or self._may_now(row):
            return False
        self._write(dataclasses.replace(row, batch=self.batch.batch, query=self.query))
        return True

    def place(self, id: str) -> Path:
        """A path in the journal where the picture's bytes may be written; the same when a run goes on."""
        return self._incoming / hashlib.sha256(id.encode()).hexdigest()[:24]

    def _waiting(self, file: str) -> Path:
        """Where a picture waits in the journal for its batch to close."""
        return self._incoming / file.rpartition("/")[2]

    def keep(self, id: str, origin: Origin, group: str, fetched: Fetched) -> None:
        """Take the fetched file over, byte for byte."""
        path, seen, sha256, num_bytes = fetched.path, fetched.seen, fetched.sha256, fetched.bytes
        file = f"pictures/{sha256[:2]}/{sha256}.{seen.suffix}"
        if file in self._files:
            path.unlink()
        else:
            path.replace(self._waiting(file))
        row = Scraped(
            id=id, batch=self.batch.batch, query=self.query, outcome="kept", reason="", origin=origin, group=group,
            file=file, sha256=sha256, bytes=num_bytes, width=seen.width, height=seen.height, format=seen.format,
        )  # fmt: skip
        self._write(row)
        same = self._from_the_web.get(sha256, {})
        if len(same) >= TOO_MANY:
            for other in [*same.values()]:
                if other.batch == self.batch.batch and other.outcome == "kept":
                    self._write(dataclasses.replace(other, outcome="refused", reason=SAME, file=None))

    def refuse(self, id: str, origin: Origin, group: str, refused: PictureRefused) -> None:
        """Remember that the picture is never to be asked for again."""
        bound = refused.bound if isinstance(refused, TooLarge) else 0
        self._write(Scraped(id, self.batch.batch, self.query, "refused", refused.reason, origin, group, bound=bound))

    def fail(self, id: str, origin: Origin, group: str, reason: str) -> None:
        """Remember that the picture did not come this time; the next batch asks again."""
        if id not in self._present or self._may_now(self._present[id]):
            self._write(Scraped(id, self.batch.batch, self.query, "failed", reason, origin, group))

    def mark(self, mark: Mark) -> None:
        """Everything the source yielded so far is settled; a run that is killed begins again here."""
        self.cursor = mark.cursor
        self._lasting = mark.cursor if mark.lasting else None
        told = {"cursor": dict(mark.cursor), "query": self.query, "lasting": mark.lasting, "bounds": self._bounds}
        write_json(self._journal / "mark.json", told)

    def close(self, told: Mapping[str, Any]) -> None:
        """Move the journal into `out`: pictures, then rows in id order, then `told` as query.json, then the batch.

        A batch that found nothing new leaves no trace, so nothing downstream goes stale.
        """
        if self._new:
            os.sync()  # what is renamed below must be on the disk already
            self._move_pictures()
            new = sorted(self._new.values(), key=lambda row: (row.id, row.query))
            write_rows(self.out / ITEMS, new)
        _write_if_other(self.out / "query.json", told)
        if self._new:
            batches = [*_closed(self.out), self.batch]
            write_json_lines(self.out / "batches.jsonl", (dataclasses.asdict(batch) for batch in batches))
        if self._lasting is not None:
            rows = sha256_rows(self.out / ITEMS)
            told = {"cursor": dict(self._lasting), "query": self.query, "rows": rows, "bounds": self._bounds}
            write_json(self._marks, {**told, "since": self._since, "until": self.batch.opened})
        self._clear()

    def abandon(self) -> None:
        """Of this query nothing could be kept: the next run finds everything anew, and tries again what failed.

        It opens a batch of its own, at its own time: what came since is found.
        """
        (self._journal / "mark.json").unlink(missing_ok=True)
        shutil.rmtree(self._journal / "pages", ignore_errors=True)
        rows = (row for row in self._new.values() if row.outcome != "failed" or row.query != self.query)
        write_json_lines(self._lines, (as_json(row) for row in rows))
        (self._journal / "batch.json").unlink(missing_ok=True)

    def _begin_where_the_last_batch_ended(self) -> str:
        """Take its mark over, if it speaks of the rows as they are here; gives since when the source is read so.

        Not where a picture failed lately, which must be found once more to be tried again, nor when everything has not
        been read for long: what a site moves behind a mark would else never be seen. Nor where a clock that ran ahead
        made the mark: no site is read up to then. Nor where a bound was raised since.
        """
        if not self._marks.exists():
            return self.batch.opened
        marked = read_json(self._marks)
        lately = {one.batch for one in _closed(self.out) if timedelta(0) <= self._since_then(one.opened) < HOPE}
        failed = any(row.outcome == "failed" and row.batch in lately for row in self._present.values())
        ahead = self._since_then(marked.get("until", marked["since"])) < timedelta(0)
        anew = failed or ahead or self._raised(marked)
        if marked["query"] != self.query or anew or self._since_then(marked["since"]) > READ_ANEW:
            return self.batch.opened
        if not _closed(self.out) or marked["rows"] != sha256_rows(self.out / ITEMS):
            return self.batch.opened
        self.cursor = self._lasting = marked["cursor"]
        return marked["since"]

    def _may_now(self, row: Scraped) -> bool:
        """Whether the row refuses a picture for a size that is allowed by now."""
        return 0 < row.bound < self._bounds.get(row.reason, 0)

    def _raised(self, marked: Mapping[str, Any]) -> bool:
        """Whether a bound is higher than when the mark was made: what it refused lies before the mark."""
        return any(bound < self._bounds.get(reason, 0) for reason, bound in marked.get("bounds", {}).items())

    def _since_then(self, moment: str) -> timedelta:
        return self.opened() - datetime.fromisoformat(moment)

    def _open(self, closed: list[Batch], last: int, now: datetime) -> Batch:
        head = self._journal / "batch.json"
        if head.exists():
            batch = Batch(**read_json(head))
            if batch not in closed:
                return dataclasses.replace(batch, batch=last + 1)  # `out` may have been exchanged meanwhile
            self._clear()  # killed between closing and clearing up
        batch = Batch(last + 1, now.isoformat(timespec="seconds"))
        write_json(head, dataclasses.asdict(batch))
        return batch

    def _clear(self) -> None:
        """Let the journal go in one step: rows that a kill left of it would be taken for those of an open batch."""
        self._journal.rename(self._cleared)
        shutil.rmtree(self._cleared)

    def _go_on(self) -> None:
        mark = self._journal / "mark.json"
        if mark.exists() and (marked := read_json(mark))["query"] == self.query and not self._raised(marked):
            self.cursor = marked["cursor"]
            self._lasting = marked["cursor"] if marked["lasting"] else None
        if not self._lines.exists():
            return
        whole, newline, _torn = self._lines.read_bytes().rpartition(b"\n")  # a line torn by a kill is no line
        write_bytes(self._lines, whole + newline)
        for row in read_scraped(self._lines):
            row = dataclasses.replace(row, batch=self.batch.batch)
            if row.file is None or self._waiting(row.file).exists() or (self.out / row.file).exists():
                self._remember(row)
                self._new[row.query, row.id] = row

    def _write(self, row: Scraped) -> None:
        self._sound = False  # a line that was torn (a full disk, say) must stay the last one
        with self._lines.open("a", encoding="utf-8") as file:
            file.write(canonical_json(as_json(row)) + "\n")
        self._sound = True
        self._remember(row)
        self._new[row.query, row.id] = row

    def _remember(self, row: Scraped) -> None:
        if row.reason == TAKEN_DOWN:
            self._taken_down.add(row.id)
        if row.query != self.query:
            self._elsewhere[row.id] = row
            return
        before = self._present.get(row.id)
        self._kept += (row.outcome == "kept") - (before is not None and before.outcome == "kept")
        self._present[row.id] = row
        if row.sha256 and row.origin.url.startswith("http"):
            self._from_the_web.setdefault(row.sha256, {})[row.id] = row

    def _move_pictures(self) -> None:
        for file in sorted({row.file for row in self._new.values() if row.file}):
            if file not in self._files:
                _move(self._waiting(file), self.out / file)


def _closed(out: Path) -> list[Batch]:
    path = out / "batches.jsonl"
    return [Batch(**row) for row in read_json_lines(path)] if path.exists() else []


def _move(path: Path, final: Path) -> None:
    """Move a picture to its place, where an earlier closing that was killed did not do so already."""
    if final.exists() and not path.exists():
        return
    final.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.replace(final)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with no_half_file(final) as temporary:  # .scratch lies on another disk
            shutil.copyfile(path, temporary)
        path.unlink()


def _write_if_other(path: Path, value: Mapping[str, Any]) -> None:
    if not path.exists() or read_json(path) != value:
        write_json(path, value)
