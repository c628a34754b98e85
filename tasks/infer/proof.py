"""The contact sheet: photographs and their prints made small, side by side, to judge many at a glance."""

import io
import math
import os
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageDraw, ImageFont

from tasks.files import no_half_file
from tasks.infer.sinks import Jpeg
from tasks.infer.source import Pixels
from tasks.infer.strips import Tags

HEIGHT, GAP = 256, 12  # px of a picture, and between two
CAPTION = 22  # px below a picture
DPI, ASPECT = 100.0, 1.5  # of the sheet
PAPER, INK = (250, 248, 244), (60, 55, 50)
TITLE = "baren: photographs and their prints"  # written into the file, by which it is known as ours


class Proof:
    """A sheet of groups, each of which (a photo and its prints) stays together, every picture with a caption.

    Groups are kept as JPEG until the sheet is written, line by line: one of a thousand photographs is no large thing.
    """

    def __init__(self) -> None:
        self._groups: list[tuple[int, bytes]] = []  # width, and the JPEG

    def add(self, pictures: Sequence[Pixels], captions: Sequence[str]) -> None:
        """Add a group of pictures, uint8 [h, w, 3] of any size."""
        parts = [small(picture) for picture in pictures]
        group = Image.new("RGB", (sum(part.shape[1] + GAP for part in parts), HEIGHT + CAPTION), PAPER)
        pen, font, left = ImageDraw.Draw(group), ImageFont.load_default(13), 0
        for part, caption in zip(parts, captions, strict=True):
            group.paste(Image.fromarray(part), (left, 0))
            pen.text((left, HEIGHT + 3), _shortened(caption, font, part.shape[1]), INK, font)
            left += part.shape[1] + GAP
        data = io.BytesIO()
        group.save(data, "JPEG", quality=95)
        self._groups.append((group.width, data.getvalue()))

    def write(self, path: Path) -> None:
        """Write the sheet as JPEG, somewhat wider than tall, whole or not at all."""
        lines = self._lines()
        width = max(sum(wide for wide, _ in line) for line in lines) + GAP
        tall, tags = HEIGHT + CAPTION + GAP, Tags(DPI, exif=_title())
        with no_half_file(path) as temporary, Jpeg(temporary, GAP + len(lines) * tall, width, tags) as sheet:
            sheet.write(np.full((GAP, width, 3), PAPER, np.uint8))
            for line in lines:
                band, left = Image.new("RGB", (width, tall), PAPER), GAP
                for wide, data in line:
                    band.paste(Image.open(io.BytesIO(data)), (left, 0))
                    left += wide
                sheet.write(np.asarray(band))

    def _lines(self) -> list[list[tuple[int, bytes]]]:
        """The groups in lines of about one length."""
        area = (HEIGHT + CAPTION + GAP) * sum(wide for wide, _ in self._groups)
        most = math.sqrt(ASPECT * area)
        lines: list[list[tuple[int, bytes]]] = []
        length = math.inf
        for group in self._groups:
            if length + group[0] / 2 > most:
                lines.append([])
                length = 0
            lines[-1].append(group)
            length += group[0]
        return lines


def proof_in(out: Path, taken: Collection[Path]) -> Path:
    """Where in `out` the sheet goes: proof.jpg, with a number where that is none of ours, or among `taken`."""
    path, number = out / "proof.jpg", 2
    while path.resolve() in taken or (os.path.lexists(path) and not is_proof(path)):
        path, number = out / f"proof-{number}.jpg", number + 1
    return path


def is_proof(path: Path) -> bool:
    """Whether the file at `path` is a sheet that we wrote."""
    try:
        with Image.open(path) as image:
            return image.getexif().get(ExifTags.Base.ImageDescription) == TITLE
    except Exception:  # Pillow raises whatever a damaged file makes it raise; it is none of ours
        return False


def _title() -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = TITLE
    return exif.tobytes()


def small(picture: Pixels) -> Pixels:
    """The picture made HEIGHT px tall, at most three times as wide."""
    height, width = picture.shape[:2]
    wide = max(1, min(3 * HEIGHT, round(width * HEIGHT / height)))
    return np.asarray(Image.fromarray(picture).resize((wide, HEIGHT), Image.Resampling.BOX))


def _shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """The text, or as much of it as is at most `width` px wide."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"
