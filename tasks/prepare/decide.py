"""The decision on one picture: kept with its crop, or refused under a named reason. Runs in any worker."""

from dataclasses import dataclass
from pathlib import Path

from tasks.errors import PictureRefused
from tasks.picture import open_picture
from tasks.prepare.crop import centre
from tasks.prepare.settings import Prepare
from tasks.rows import Crop, Prepared, Scraped


@dataclass(frozen=True)
class Decider:
    """Decides by `settings` on files under `raw`; it pickles, so that it can be sent to another process."""

    raw: Path
    settings: Prepare

    def __call__(self, row: Scraped) -> Prepared:
        """The ledger's row for one candidate."""
        if row.outcome != "kept" or row.file is None:
            return refused(row, row.reason or "not fetched")
        try:
            picture = open_picture(self.raw / row.file, self.settings.limits)
            height, width = picture.shape[:2]
            return kept(row, centre(width, height, self.settings.side))
        except PictureRefused as refusal:
            return refused(row, refusal.reason)


def kept(row: Scraped, crop: Crop) -> Prepared:
    """`row` kept, with the square to cut from it."""
    return Prepared(
        id=row.id, picture=row.id, batch=row.batch, outcome="kept", reason="", origin=row.origin, group=row.group,
        sha256=row.sha256, file=row.file, crop=crop,
    )  # fmt: skip


def refused(row: Scraped, reason: str) -> Prepared:
    """`row` refused under `reason`."""
    return Prepared(
        id=row.id, picture=row.id, batch=row.batch, outcome="refused", reason=reason, origin=row.origin,
        group=row.group, sha256=row.sha256, file=row.file,
    )  # fmt: skip
