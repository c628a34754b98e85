"""The decision on one picture: kept with its crops, or refused under a named reason. Runs in any worker."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tasks.errors import PictureRefused
from tasks.picture import Pixels, open_picture, open_reduced
from tasks.prepare.borders import sound_part
from tasks.prepare.copies import Decision
from tasks.prepare.crop import Box, centre, fit, tiles, whole
from tasks.prepare.curation import Verdict
from tasks.prepare.datasheet import colours
from tasks.prepare.likeness import perceptual_hash
from tasks.prepare.settings import Prepare
from tasks.prepare.worth import measure, require_worth
from tasks.rows import Crop, Prepared, Scraped

LEAST = 512  # pixels of the short side at which a picture is judged, where it is to be resized anyway

Candidate = tuple[Scraped, Verdict | None]


@dataclass(frozen=True)
class Decider:
    """Decides by `settings` on files under `raw`; it pickles, so that it can be sent to another process."""

    raw: Path
    settings: Prepare

    def __call__(self, candidate: Candidate) -> Decision:
        """What is to become of one candidate, as far as it can be told without looking at the others."""
        row, verdict = candidate
        if verdict is not None and verdict.decision == "reject":
            return refused(row, "rejected by hand", verdict.reason)
        if row.outcome != "kept" or row.file is None:
            return refused(row, row.reason or "not fetched")
        by_hand = verdict is not None
        licences = self.settings.licences
        if licences and row.origin.licence not in licences and not by_hand:
            return refused(row, "licence", row.origin.licence)
        try:
            return self._decide(row, row.file, by_hand)
        except PictureRefused as refusal:
            return refused(row, refusal.reason, refusal.detail)

    def _decide(self, row: Scraped, file: str, by_hand: bool) -> Decision:
        settings = self.settings
        picture, scale = self._opened(self.raw / file)
        height, width = picture.shape[:2]
        box = sound_part(picture) if settings.trim else Box(0, 0, width, height)
        sound = picture[box.top : box.bottom, box.left : box.right]
        measures = measure(sound)
        if not by_hand:
            require_worth(measures, settings.worth)
        matte = settings.limits.matte
        crops = [(replace(_at_full_size(crop, scale), matte=matte), score) for crop, score in self._crops(picture, box)]
        if settings.trim:
            measures["trimmed"] = round(1 - box.width * box.height / (width * height), 4)
        return Decision(
            rows=kept(row, crops, measures),
            likeness=perceptual_hash(sound),
            area=round(box.width * box.height * scale**2),
            by_hand=by_hand,
            colours=colours(sound),
        )

    def _opened(self, path: Path) -> tuple[Pixels, float]:
        """The picture to judge, and how many pixels of the original one of its pixels stands for."""
        settings = self.settings
        if settings.crop in ("centre", "tiles"):  # nothing will be resized: what is judged is what will be seen
            return open_picture(path, settings.limits), 1.0
        picture, header = open_reduced(path, max(LEAST, 2 * settings.side), settings.limits)
        return picture, header.width / picture.shape[1]

    def _crops(self, picture: Pixels, box: Box) -> list[tuple[Crop, float | None]]:
        side = self.settings.side
        match self.settings.crop:
            case "centre":
                return [(centre(box, side), None)]
            case "tiles":
                return [(crop, None) for crop in tiles(box, side, self.settings.max_crops)]
            case "fit":
                return [(fit(box, side), None)]
            case "whole":
                return [(whole(box, side), None)]
            case "faces":
                from tasks.prepare.faces import face_crops  # dlib takes long to load, and most sets need none

                return list(face_crops(picture, self.settings.faces, side, self.settings.max_crops))


def kept(row: Scraped, crops: list[tuple[Crop, float | None]], measures: Mapping[str, float]) -> tuple[Prepared, ...]:
    """`row` kept, with the squares to cut from it; `score` among the measures is the detector's."""
    return tuple(
        Prepared(
            id=row.id if len(crops) == 1 else f"{row.id}#{number:02}", picture=row.id, batch=row.batch, outcome="kept",
            reason="", origin=row.origin, group=row.group, sha256=row.sha256, file=row.file, crop=crop,
            measures=measures if score is None else {**measures, "score": score},
        )
        for number, (crop, score) in enumerate(crops)
    )  # fmt: skip


def refused(row: Scraped, reason: str, detail: str = "") -> Decision:
    """`row` refused under `reason`."""
    return Decision(
        rows=(
            Prepared(
                id=row.id, picture=row.id, batch=row.batch, outcome="refused", reason=reason, origin=row.origin,
                group=row.group, sha256=row.sha256, file=row.file, detail=detail,
            ),
        )
    )  # fmt: skip


def crashed(candidate: Candidate) -> Decision:
    """The picture killed the process that opened it, twice."""
    return refused(candidate[0], "decoder crash")


def _at_full_size(crop: Crop, scale: float) -> Crop:
    if scale == 1:
        return crop
    left, top = round(crop.left * scale), round(crop.top * scale)
    return replace(crop, left=left, top=top, width=round(crop.width * scale), height=round(crop.height * scale))
