"""The proof sheet: small pictures side by side, to judge many prints at a glance."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from tasks.files import no_half_file
from tasks.infer.source import Pixels

HEIGHT, GAP = 256, 12  # px of a picture, and between two
CAPTION = 20  # px below a picture, where there are captions
PAPER, INK = (250, 248, 244), (60, 55, 50)


def small(picture: Pixels) -> Pixels:
    """The picture made HEIGHT px tall, at most three times as wide."""
    height, width = picture.shape[:2]
    wide = max(1, min(3 * HEIGHT, round(width * HEIGHT / height)))
    return np.asarray(Image.fromarray(picture).resize((wide, HEIGHT), Image.Resampling.BOX))


def small_file(path: Path) -> Pixels:
    """`small` of a photo or a print, upright."""
    with Image.open(path) as image:
        image.draft("RGB", (2 * HEIGHT, 2 * HEIGHT))  # a JPEG is decoded only as far as needed
        return small(np.asarray(ImageOps.exif_transpose(image).convert("RGB")))


def write_proof(
    path: Path, groups: Sequence[Sequence[Pixels]], columns: int | None = None, captions: Sequence[str] = ()
) -> None:
    """Write a JPEG of `groups`, each of which (a photo and its prints) stays together; all HEIGHT px tall.

    `columns` groups stand in a row; by default so many that the sheet is about square. `captions` are those of the
    pictures of every group.
    """
    widths = [sum(picture.shape[1] for picture in group) + GAP for group in groups]
    columns = columns or max(1, round(math.sqrt(len(groups) * HEIGHT / max(1, sum(widths) / len(widths)))))
    lines = [list(range(first, min(first + columns, len(groups)))) for first in range(0, len(groups), columns)]
    width = max(sum(widths[index] for index in line) for line in lines) + GAP
    tall = HEIGHT + GAP + (CAPTION if captions else 0)
    sheet = Image.new("RGB", (width, len(lines) * tall + GAP), PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, line in enumerate(lines):
        left, top = GAP, GAP + number * tall
        for index in line:
            for place, picture in enumerate(groups[index]):
                sheet.paste(Image.fromarray(picture), (left, top))
                if captions:
                    pen.text((left, top + HEIGHT + 2), captions[place], INK)
                left += picture.shape[1]
            left += GAP
    with no_half_file(path) as temporary:
        sheet.save(temporary, "JPEG", quality=90)
