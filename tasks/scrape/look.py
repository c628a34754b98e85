"""What a file is by its bytes, from its header alone: format and size, or why it is no picture to keep."""

import os
import re
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from tasks import MOST_PIXELS
from tasks.errors import PictureRefused, TooLarge

ENDS = {"jpeg": b"\xff\xd9", "png": b"IEND"}
SCAN = b"\xda"  # the marker of a JPEG's samples
ALONE = [bytes([code]) for code in (0, 1, *range(0xD0, 0xD9), 255)]  # behind these no length stands
SUFFIXES = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "TIFF": "tif", "BMP": "bmp", "AVIF": "avif"}
FORMATS = tuple(SUFFIXES)
QUIET: Final = ("ignore", None, Warning, re.compile(r"PIL\."), 0)  # as Python keeps it; set for all threads at once


@dataclass(frozen=True)
class Seen:
    """What the header says; `suffix` goes with the format, whatever the file was called."""

    format: str
    suffix: str
    width: int
    height: int


def look(path: Path, max_pixels: int, *, whole: bool = False) -> Seen:
    """Read the header of the picture in `path`; no pixel is decoded.

    Where `whole` is asked for, a JPEG or PNG must have its end, which it lacks after a Content-Length that lied.
    Raises PictureRefused, "not a picture" or "cut short", and TooLarge, "too many pixels".
    """
    with path.open("rb") as file:
        seen = _header(file, max_pixels)
        if whole and (end := ENDS.get(seen.format)) is not None:
            _require(end, file, seen)
    return seen


def _header(file: BinaryIO, max_pixels: int) -> Seen:
    image = _pillow()
    try:
        with image.open(file, formats=FORMATS) as picture:
            kind, (width, height) = picture.format or "", picture.size
    except image.DecompressionBombError as error:
        raise TooLarge("too many pixels", str(error), MOST_PIXELS) from error
    except (OSError, ValueError, SyntaxError, EOFError, OverflowError, RuntimeError, struct.error) as error:
        raise PictureRefused("not a picture", str(error)) from error
    if width * height > max_pixels:
        raise TooLarge("too many pixels", f"{width} x {height}", max_pixels)
    kind = "JPEG" if kind == "MPO" else kind  # a JPEG with more pictures behind it
    return Seen(kind.lower(), SUFFIXES[kind], width, height)


def _require(end: bytes, file: BinaryIO, seen: Seen) -> None:
    start = _first_scan(file) if seen.format == "jpeg" else 0
    file.seek(max(start, file.seek(0, os.SEEK_END) - 64))
    if end in file.read():
        return
    file.seek(start)
    if end not in file.read():  # cameras append what they like
        raise PictureRefused("cut short", f"no end of {seen.format}")


def _first_scan(file: BinaryIO) -> int:
    """Where a JPEG's own samples begin; what is noted before them may hold a thumbnail, with an end of its own."""
    file.seek(0)
    before = b""
    while byte := file.read(1):
        if before == b"\xff" and byte == SCAN:
            break
        if before == b"\xff" and byte not in ALONE:
            file.seek(int.from_bytes(file.read(2)) - 2, os.SEEK_CUR)
        before = byte
    return file.tell()


def _pillow() -> Any:
    """PIL.Image, whose warnings at a header are none of anybody's: what is too large or broken is refused here.

    Its own limit is set to twice what `max_pixels` may be, so that it is never met first.
    """
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = MOST_PIXELS  # as in tasks.picture; Pillow refuses beyond twice as many
    if QUIET not in warnings.filters:
        warnings.filterwarnings(QUIET[0], module=QUIET[3].pattern)
    return Image
