"""What earlier prints left in a folder, told by their reports: nothing else that lies there is written over."""

import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError

from tasks.errors import BarenError
from tasks.files import read_json
from tasks.infer.preview import FOLDER, preview_of
from tasks.infer.proof import is_proof


class Photographed(BaseModel):
    """Of which photograph a print is."""

    sha256: str


class Report(BaseModel):
    """What the report of a print tells of its files, each with its bytes."""

    photo: Photographed | None = None  # a drawing is of none
    key: str  # stands for how `files` were made; "" while they are being made
    files: dict[str, int]
    older: dict[str, int] = {}  # made otherwise before, and still there

    @property
    def made(self) -> dict[str, int]:
        """All files it answers for."""
        return self.older | self.files

    def answers_for(self, target: Path) -> bool:
        """Whether `target` is a print it tells of: unchanged, or gone, so that it may be made again."""
        size = target.stat().st_size if target.is_file() else None
        return target.name in self.made and (self.made[target.name] == size or not os.path.lexists(target))


def read_report(path: Path) -> Report | None:
    """The report at `path`; None where there is none, or another program's file."""
    try:
        return Report.model_validate(read_json(path))
    except (BarenError, ValidationError, IsADirectoryError, NotADirectoryError, RecursionError):
        return None


def is_ours(path: Path) -> bool:
    """Whether the picture at `path` is a print, its preview, a tile of its pyramid, or a sheet that shows prints."""
    if (report := read_report(path.with_suffix(".json"))) and report.answers_for(path):
        return True
    above = path.parent.parent
    if path.parent.name == FOLDER and read_report(above / f"{path.stem}.json"):
        return True
    pyramid = above.name.removesuffix("_files").removesuffix("_before")
    if pyramid != above.name and (above.parent / f"{pyramid}.dzi").exists():
        return True
    return path.name.startswith("proof") and is_proof(path)


def own_name(out: Path, name: str, kinds: Sequence[str], sha256: str, taken: Collection[Path]) -> str:
    """`name`, with a number where its files in `out` would replace any but earlier prints of the photo `sha256`.

    `kinds` are the formats, such as "png"; `taken` are paths, resolved, on which nothing may be written.
    """
    own, number = name, 2
    while not _is_free(out, own, kinds, sha256, taken):
        own, number = f"{name}-{number}", number + 1
    return own


def _is_free(out: Path, name: str, kinds: Sequence[str], sha256: str, taken: Collection[Path]) -> bool:
    report = read_report(out / f"{name}.json")
    if report and (report.photo is None or report.photo.sha256 != sha256):
        return False
    return all(
        path.resolve() not in taken
        and (not os.path.lexists(path) or (report and (target is None or report.answers_for(target))))
        for path, target in _files(out, name, kinds)
    )


def _files(out: Path, name: str, kinds: Sequence[str]) -> Iterator[tuple[Path, Path | None]]:
    """What a print is written to, each with the target it belongs to; None where it belongs to the report."""
    for target in (out / f"{name}.{kind}" for kind in kinds):
        yield target, target
        if target.suffix == ".dzi":
            for beside in (f"{name}.html", f"{name}_files", f"{name}_before_files"):
                yield out / beside, target
    yield out / f"{name}.json", None
    yield preview_of(out / name), None
