"""What a file's bytes decide: the squares to cut from the picture, or why there are none. Runs in any worker."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tasks.errors import PictureRefused
from tasks.files import sha256_file
from tasks.picture import Pixels, open_picture, open_reduced
from tasks.prepare.borders import sound_part
from tasks.prepare.copies import Decision
from tasks.prepare.crop import Box, centre, fit, tiles, whole
from tasks.prepare.curation import Verdict
from tasks.prepare.datasheet import Colours, colours
from tasks.prepare.likeness import perceptual_hash
from tasks.prepare.settings import Prepare
from tasks.prepare.worth import measure, require_worth
from tasks.rows import Crop, Prepared, Scraped

LEAST = 512  # pixels of the short side at which a picture is judged, where it is to be resized anyway


@dataclass(frozen=True)
class File:
    """A picture that is to be looked at."""

    path: str  # relative to data/1-raw/SET
    sha256: str
    by_hand: bool  # a person said "keep"


@dataclass(frozen=True)
class Judgement:
    """What a file's bytes decide; whose it is, and what other pictures there are, has no part in it."""

    reason: str = ""  # it is refused for; "" where it is kept
    detail: str = ""
    crops: tuple[tuple[Crop, float | None], ...] = ()  # each with its detector's score
    measures: Mapping[str, float] = field(default_factory=dict[str, float])
    likeness: int = 0
    area: int = 0
    colours: Colours | None = None
    lasting: bool = True  # of these very bytes, so that it may be remembered

    def decision(self, row: Scraped, by_hand: bool) -> Decision:
        """The decision on `row`, whose bytes these are."""
        if self.reason:
            return refused(row, self.reason, self.detail)
        return Decision(kept(row, self.crops, self.measures), self.likeness, self.area, by_hand, self.colours)


@dataclass(frozen=True)
class Judge:
    """Judges files under `raw` by `settings`; it pickles, so that it can be sent to another process."""

    raw: Path
    settings: Prepare

    def __call__(self, file: File) -> Judgement:
        """What the bytes of one file decide; a file that is not what was scraped, or is missing, is judged for now."""
        try:
            found = self._judged(file)
        except PictureRefused as refusal:
            found = Judgement(refusal.reason, refusal.detail)
        path = self.raw / file.path
        lasting = path.is_file() and sha256_file(path) == file.sha256
        return found if lasting else replace(found, lasting=False)

    def _judged(self, file: File) -> Judgement:
        settings = self.settings
        picture, scale = self._opened(self.raw / file.path)
        height, width = picture.shape[:2]
        box = sound_part(picture) if settings.trim else Box(0, 0, width, height)
        sound = picture[box.top : box.bottom, box.left : box.right]
        measures = measure(sound)
        if not file.by_hand:
            require_worth(measures, settings.worth)
        matte = settings.limits.matte
        crops = [(replace(_at_full_size(crop, scale), matte=matte), score) for crop, score in self._crops(picture, box)]
        if settings.trim:
            measures["trimmed"] = round(1 - box.width * box.height / (width * height), 4)
        return Judgement(
            crops=tuple(crops), measures=measures, likeness=perceptual_hash(sound),
            area=round(box.width * box.height * scale**2), colours=colours(sound),
        )  # fmt: skip

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


def file_of(row: Scraped, by_hand: bool) -> File:
    """The file of a row that has one."""
    assert row.file is not None, f"{row.id} has no file to look at"
    return File(row.file, row.sha256, by_hand)


def decided_unseen(row: Scraped, verdict: Verdict | None, licences: tuple[str, ...]) -> Decision | None:
    """The decision on a candidate that needs no look at it; None where its bytes decide."""
    if verdict is not None and verdict.decision == "reject":
        return refused(row, "rejected by hand", verdict.reason)
    if row.outcome != "kept" or row.file is None:
        return refused(row, row.reason or "not fetched")
    if licences and row.origin.licence not in licences and verdict is None:
        return refused(row, "licence", row.origin.licence)
    return None


def kept(
    row: Scraped, crops: Sequence[tuple[Crop, float | None]], measures: Mapping[str, float]
) -> tuple[Prepared, ...]:
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


def crashed(_file: File) -> Judgement:
    """The picture killed the process that opened it, twice; where memory was short, it may have more the next time."""
    return Judgement("decoder crash", lasting=False)


def _at_full_size(crop: Crop, scale: float) -> Crop:
    if scale == 1:
        return crop
    left, top = round(crop.left * scale), round(crop.top * scale)
    return replace(crop, left=left, top=top, width=round(crop.width * scale), height=round(crop.height * scale))
