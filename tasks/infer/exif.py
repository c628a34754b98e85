"""What a camera wrote beside the pixels, carried on to the print."""

import struct
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image

Base, IFD = ExifTags.Base, ExifTags.IFD
# Of a file's first directory, what tells of the photograph; the rest tells of the file, and the print is another one.
KEPT = {
    Base.DocumentName, Base.ImageDescription, Base.Make, Base.Model, Base.Software, Base.DateTime, Base.Artist,
    Base.HostComputer, Base.Rating, Base.Copyright, Base.XPTitle, Base.XPComment, Base.XPAuthor, Base.XPKeywords,
    Base.XPSubject, IFD.Exif, IFD.GPSInfo,
}  # fmt: skip
# Below it: the size and the colours are the print's own, and makers' notes point to places in the photo's file.
DROPPED = (Base.ExifImageWidth, Base.ExifImageHeight, Base.ColorSpace, Base.MakerNote)
DIRECTORIES = (IFD.Exif, IFD.GPSInfo, IFD.Interop)  # tags whose value is a directory
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}  # bytes a value, by kind
WORDS = {3: 2, 4: 4, 5: 4, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 13: 4}  # bytes that stand in the machine's order
LONGEST = 65_000  # bytes; a JPEG holds no longer block


@dataclass(frozen=True)
class Entry:
    """One entry of a TIFF directory: its value as it is written, little-endian, or the directory it leads to."""

    tag: int
    kind: int
    count: int
    value: bytes
    below: tuple["Entry", ...] = ()


def exif_of(path: Path) -> bytes:
    """The EXIF block of a picture file, of what is still true of a print; b"" where there is none or it is damaged."""
    try:
        with Image.open(path) as image:
            exif = image.getexif()
            for tag in set(exif) - KEPT:
                del exif[tag]
            below = exif.get_ifd(IFD.Exif)
            for tag in DROPPED:
                below.pop(tag, None)
            block = exif.tobytes() if len(exif) else b""
            return block if len(block) <= LONGEST else b""
    except Exception:  # Pillow raises whatever damaged metadata makes it raise; it is worth no print
        return b""


def entries_of(block: bytes) -> tuple[Entry, ...]:
    """The entries of an EXIF block's first directory, and of those below; () where it is damaged."""
    data = block.removeprefix(b"Exif\0\0")
    if len(data) < 8:
        return ()
    order = "<" if data[:2] == b"II" else ">"
    try:
        return _entries(data, struct.unpack_from(f"{order}I", data, 4)[0], order)
    except (struct.error, KeyError, RecursionError):
        return ()


def _entries(data: bytes, place: int, order: str) -> tuple[Entry, ...]:
    (num,) = struct.unpack_from(f"{order}H", data, place)
    return tuple(_entry(data, place + 2 + 12 * index, order) for index in range(num))


def _entry(data: bytes, place: int, order: str) -> Entry:
    tag, kind, count, value = struct.unpack_from(f"{order}HHII", data, place)
    if tag in DIRECTORIES:
        return Entry(tag, kind, 1, b"", _entries(data, value, order))
    size = SIZES[kind] * count
    start = place + 8 if size <= 4 else value
    return Entry(tag, kind, count, _little(data[start : start + size], WORDS.get(kind, 1), order))


def _little(value: bytes, word: int, order: str) -> bytes:
    """The value with the bytes of each word in little-endian order."""
    if order == "<" or word == 1:
        return value
    return b"".join(value[start : start + word][::-1] for start in range(0, len(value), word))
