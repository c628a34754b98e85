"""The pictures of the page: cut, made small, and saved beside it."""

import hashlib
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from PIL import Image

from tasks.credits import NAME as CREDITS
from tasks.credits import write_credits
from tasks.errors import PictureRefused
from tasks.picture import cut, open_picture
from tasks.progress import Progress
from tasks.report.settings import Report
from tasks.rows import Crop, Origin

QUALITY = 88  # of JPEG
FOLDER = "pictures"
DOCUMENTS = "documents"

T = TypeVar("T")


@dataclass(frozen=True)
class Shown:
    """A picture of the page: `file` relative to it, size in pixels, and the words under or behind it."""

    file: str
    width: int
    height: int
    caption: str


@dataclass(frozen=True)
class Document:
    """A file that lies beside the page and is linked from it."""

    file: str
    title: str


class Album:
    """Saves pictures under `folder`; what cannot be opened is left out."""

    def __init__(self, folder: Path, settings: Report, progress: Progress) -> None:
        self._folder, self._settings, self._progress = folder, settings, progress
        (folder / FOLDER).mkdir()

    def track(self, items: Sequence[T], what: str) -> Iterable[T]:
        """Pass `items` on, telling how far; stops cleanly between two."""
        return self._progress.track(items, f"report {what}")

    def crop(self, path: Path, crop: Crop, caption: str) -> Shown | None:
        """The square that was kept of the picture at `path`."""
        try:
            pixels = cut(open_picture(path), replace(crop, side=self._settings.thumbnail))
        except PictureRefused:
            return None
        return self._save(Image.fromarray(pixels), f"{path}{crop}", caption)

    def whole(self, path: Path, caption: str, side: int | None = None) -> Shown | None:
        """The picture at `path`, at most `side` pixels long."""
        try:
            image = Image.fromarray(open_picture(path))
        except PictureRefused:
            return None
        side = side or self._settings.thumbnail
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        return self._save(image, f"{path}{side}", caption)

    def copy(self, path: Path, caption: str) -> Shown:
        """The file at `path` as it is; where it describes itself, those words take the place of `caption`."""
        name = f"{FOLDER}/{_name(str(path))}{path.suffix}"
        shutil.copyfile(path, self._folder / name)
        with Image.open(path) as image:
            return Shown(name, image.width, image.height, str(image.info.get("Description", caption)))

    def document(self, path: Path, title: str) -> Document | None:
        """The text at `path` as it is; None where it is not there."""
        if not path.exists():
            return None
        (self._folder / DOCUMENTS).mkdir(exist_ok=True)
        name = f"{DOCUMENTS}/{path.parent.name}-{path.name}"
        shutil.copyfile(path, self._folder / name)
        return Document(name, title)

    def credits(self, name: str, origins: Iterable[Origin]) -> Document:
        """CREDITS.csv of the works that picture set `name` keeps."""
        folder = self._folder / DOCUMENTS / name
        write_credits(folder, origins)
        return Document(f"{DOCUMENTS}/{name}/{CREDITS}", "every work")

    def _save(self, image: Image.Image, key: str, caption: str) -> Shown:
        name = f"{FOLDER}/{_name(key)}.jpg"
        image.save(self._folder / name, quality=QUALITY, subsampling=0)
        return Shown(name, image.width, image.height, str(image.info.get("Description", caption)))


def spread(items: Sequence[T], most: int) -> list[T]:
    """At most `most` of `items`, evenly spaced, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    if most == 1:
        return [items[-1]]
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def _name(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:16]
