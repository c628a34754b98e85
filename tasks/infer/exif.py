"""What a camera wrote beside the pixels, carried on to the print."""

from pathlib import Path

from PIL import ExifTags, Image

# The print is upright, is another size, and its profile says what its colours are.
DROPPED = (
    ExifTags.Base.Orientation, ExifTags.Base.ImageWidth, ExifTags.Base.ImageLength, ExifTags.Base.XResolution,
    ExifTags.Base.YResolution, ExifTags.Base.ResolutionUnit,
)  # fmt: skip


def exif_of(path: Path) -> bytes:
    """The EXIF block of a picture file without what is no longer true; b"" where there is none or it is damaged."""
    try:
        with Image.open(path) as image:
            exif = image.getexif()
            for tag in DROPPED:
                exif.pop(tag, None)
            return exif.tobytes() if len(exif) else b""
    except Exception:  # Pillow raises whatever damaged metadata makes it raise; it is worth no print
        return b""
