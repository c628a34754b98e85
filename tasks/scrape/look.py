"""What a file is by its bytes, from its header alone: format and size, or why it is no picture to keep."""

import struct
import warnings
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import PictureRefused

SUFFIXES = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "TIFF": "tif", "BMP": "bmp", "AVIF": "avif"}


@dataclass(frozen=True)
class Seen:
    """What the header says; `suffix` goes with the format, whatever the file was called."""

    format: str
    suffix: str
    width: int
    height: int


def look(path: Path, max_pixels: int) -> Seen:
    """Read the header of the picture in `path`; no pixel is decoded.

    Raises PictureRefused: "not a picture", "too many pixels".
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=tuple(SUFFIXES)) as picture:
                kind, (width, height) = picture.format or "", picture.size
    except Image.DecompressionBombError as error:
        raise PictureRefused("too many pixels", str(error)) from error
    except (OSError, ValueError, SyntaxError, EOFError, OverflowError, struct.error) as error:
        raise PictureRefused("not a picture", str(error)) from error
    if width * height > max_pixels:
        raise PictureRefused("too many pixels", f"{width} x {height}")
    kind = "JPEG" if kind == "MPO" else kind  # a JPEG with more pictures behind it
    return Seen(kind.lower(), SUFFIXES[kind], width, height)


def require_whole(path: Path, seen: Seen) -> None:
    """Raise PictureRefused "cut short" where a JPEG or PNG lacks its end, as after a Content-Length that lied."""
    ends = {"jpeg": b"\xff\xd9", "png": b"IEND"}
    if (end := ends.get(seen.format)) is None:
        return
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 64))
        if end in file.read():
            return
        file.seek(0)
        if end not in file.read():  # cameras append what they like
            raise PictureRefused("cut short", f"no end of {seen.format}")
