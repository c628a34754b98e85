"""Any picture file as RGB: upright, sRGB, 8 bits, without alpha; and the cutting of squares from it.

A file's header is read first, and checked against limits; only then is anything decoded.
"""

import io
import struct
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageColor

from tasks import MOST_PIXELS, samples
from tasks.errors import PictureRefused
from tasks.limits import LIMITS, Limits
from tasks.rows import Crop

Image.MAX_IMAGE_PIXELS = MOST_PIXELS  # Pillow warns beyond this and refuses beyond twice as many

CODE = (Path(__file__), Path(samples.__file__))  # what decides how a file becomes pixels
Pixels = npt.NDArray[np.uint8]  # [H, W, 3], RGB

# No more than these: Pillow also knows formats that call other programs (EPS), or that hold no photograph.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF", "BMP", "PPM", "JPEG2000")
ORIENTATION = 0x0112  # the EXIF tag
TURNED = (5, 6, 7, 8)  # orientations that swap width and height
# OpenCV's flags for a JPEG decoded at 1/part of its size.
REDUCED = {
    1: 0,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}
# What Pillow's decoders raise on damaged bytes, by format (RuntimeError: AVIF).
DAMAGED = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, KeyError, OverflowError, RuntimeError,
    struct.error,
)  # fmt: skip


@dataclass(frozen=True)
class Header:
    """What a file says of itself before it is decoded; width and height are those of the upright picture."""

    format: str  # "jpeg", "png", ... by the bytes, not by the name
    width: int
    height: int
    frames: int


def read_header(path: Path, limits: Limits = LIMITS) -> Header:
    """The header of the file at `path`, checked against `limits`; nothing is decoded.

    Raises PictureRefused: "missing file", "too many bytes", "no picture", "too many pixels", "too small",
    "odd aspect", "animated".
    """
    with _opened(_bytes(path, limits)) as image:
        return _checked(image, limits)


def open_picture(path: Path, limits: Limits = LIMITS) -> Pixels:
    """The picture at `path` as uint8 [H, W, 3], RGB in sRGB, upright, 0..255.

    Embedded colour profiles are applied, 16 bits are shifted to 8, transparency is laid on `limits.matte`, of an
    animation the first frame is taken. Raises PictureRefused with the reasons of `read_header`, and "truncated"
    (some pixels are missing or damaged) or "odd depth" (32-bit, signed and floating-point pixels have no agreed white).
    """
    return _open(path, limits, lambda _: 1)[0]


@dataclass(frozen=True)
class Deep:
    """A picture as deep as its file; what is transparent is told apart and keeps its colour."""

    pixels: Pixels | npt.NDArray[np.uint16]  # [H, W, 3], RGB in sRGB, upright
    alpha: Pixels | npt.NDArray[np.uint16] | None  # [H, W] likewise, 0 where nothing shows; None where all does


def open_deep(path: Path, limits: Limits = LIMITS) -> Deep:
    """The picture at `path` with 16 bits where its file has them, and its transparency.

    What is wholly transparent gets the colour `limits.matte`. Pixels of 16 bits with a profile other than sRGB come
    with 8, for what applies profiles here knows no more. Raises PictureRefused as `open_picture` does.
    """
    data = _bytes(path, limits)
    with _opened(data) as image:
        header = _checked(image, limits)
        turn = _orientation(image)
        if header.format == "jpeg" and image.mode in ("L", "RGB") and _is_srgb(image):
            return Deep(_upright(_jpeg(data, 1), turn), None)
        try:
            if samples.has_sixteen_bits(image, data) and _is_srgb(image):
                values = samples.sixteen_bits(image, data)
                return _deep(values, 1 if header.format == "tiff" else _orientation(image), limits.matte)
            decoded = samples.loaded(image, data)
            turn = _orientation(decoded)
            pixels, alpha = _colours(decoded)
        except PictureRefused:
            raise
        except DAMAGED as error:
            raise PictureRefused("truncated", str(error)) from error
        if alpha is None:
            return Deep(_upright(np.array(pixels), turn), None)
        return _deep(np.dstack([np.array(pixels), np.array(alpha)]), turn, limits.matte)


def open_reduced(path: Path, least: int, limits: Limits = LIMITS) -> tuple[Pixels, Header]:
    """The picture at 1, 1/2, 1/4 or 1/8 of its size, the least whose short side still has `least` pixels; its header.

    A JPEG is decoded at that size, in a fraction of the time; others are averaged down.
    """
    return _open(path, limits, lambda header: _reduction(min(header.width, header.height) // max(least, 1)))


def cut_all(path: Path, crops: Sequence[Crop], limits: Limits = LIMITS) -> list[Pixels]:
    """The squares that `crops` name of the file at `path`, on the matte they name.

    It is decoded no larger than the least shrunk of them needs.
    """
    picture, header = _open(
        path,
        limits.model_copy(update={"matte": crops[0].matte}),
        lambda _: _reduction(min(min(crop.width, crop.height) // crop.side for crop in crops)),
    )
    across, down = picture.shape[1] / header.width, picture.shape[0] / header.height
    return [cut(picture, _scaled(crop, across, down)) for crop in crops]


def cut(picture: Pixels, crop: Crop) -> Pixels:
    """The square that `crop` names, uint8 [side, side, 3].

    Pixels are copied, not resampled, where the box already has that size and stands straight; a box is averaged down
    (area) or interpolated up (cubic). What lies beyond the picture's edge is its mirror image.
    """
    box = _turned_box(picture, crop) if crop.turn else _box(picture, crop.left, crop.top, crop.width, crop.height)
    if crop.width == crop.height == crop.side:
        return np.ascontiguousarray(box)
    way = cv2.INTER_AREA if min(crop.width, crop.height) >= crop.side else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(box, (crop.side, crop.side), interpolation=way), np.uint8)


def _open(path: Path, limits: Limits, reduction: Callable[[Header], int]) -> tuple[Pixels, Header]:
    """The picture decoded at 1/`reduction(header)` of its size, and its header."""
    data = _bytes(path, limits)
    with _opened(data) as image:
        header = _checked(image, limits)
        part = reduction(header)
        turn = _orientation(image)
        if header.format == "jpeg" and image.mode in ("L", "RGB") and _is_srgb(image):
            return _upright(_jpeg(data, part), turn), header
        try:
            decoded = samples.loaded(image, data)
            turn = _orientation(decoded)  # some of Pillow's decoders turn the picture themselves, and say so here
            pixels = _rgb(decoded, limits.matte)
        except PictureRefused:
            raise
        except DAMAGED as error:
            raise PictureRefused("truncated", str(error)) from error
        return _averaged(_upright(pixels, turn), part), header


def _bytes(path: Path, limits: Limits) -> bytes:
    try:
        size = path.stat().st_size
        if size > limits.max_bytes:
            raise PictureRefused("too many bytes", f"{size:,} of at most {limits.max_bytes:,}")
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise PictureRefused("missing file", path.name) from error


def _opened(data: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, and of sizes that `_checked` refuses
            return Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise PictureRefused("too many pixels", str(error)) from error
    except DAMAGED as error:
        raise PictureRefused("no picture", f"begins with {data[:12]!r}") from error


def _checked(image: Image.Image, limits: Limits) -> Header:
    width, height = image.size
    if width * height > limits.max_pixels:
        raise PictureRefused("too many pixels", f"{width} x {height}, of at most {limits.max_pixels:,}")
    if min(width, height) < limits.min_side:
        raise PictureRefused("too small", f"{width} x {height}, short side at least {limits.min_side}")
    if max(width, height) > limits.max_aspect * min(width, height):
        raise PictureRefused("odd aspect", f"{width} x {height}, at most {limits.max_aspect:g} to 1")
    frames = _num_frames(image)
    kind = "jpeg" if image.format == "MPO" else str(image.format).lower()  # MPO: a JPEG with a second one behind it
    if frames > 1 and kind in ("gif", "png", "webp", "avif") and limits.animated == "refuse":
        raise PictureRefused("animated", f"{frames} frames")
    if _orientation(image) in TURNED and image.format != "TIFF":  # of a TIFF, Pillow gives the size it has upright
        width, height = height, width
    return Header(kind, width, height, frames)


def _num_frames(image: Image.Image) -> int:
    try:
        return int(getattr(image, "n_frames", 1))
    except DAMAGED:
        return 1  # what is damaged is met again when it is decoded


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except DAMAGED:
        return 1


def _is_srgb(image: Image.Image) -> bool:
    """True where there is no profile to apply: none is embedded, its colours are sRGB's, or it cannot be read."""
    return _profile(image) is None or _has_srgb_colours(bytes(image.info["icc_profile"]))


@lru_cache(maxsize=64)
def _has_srgb_colours(data: bytes) -> bool:
    """Whether a profile leaves RGB where sRGB has it, but for rounding: names tell little, as "Linear sRGB" shows."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
    if getattr(profile.profile, "xcolor_space", "").strip() != "RGB":
        return False
    shades = np.linspace(0, 255, 9).astype(np.uint8)
    colours = np.stack(np.meshgrid(shades, shades, shades), axis=-1).reshape(1, -1, 3)
    moved = np.asarray(_in_srgb(Image.fromarray(colours), profile), np.int16)
    return int(np.abs(moved - colours).max()) <= 2


def _profile(image: Image.Image) -> ImageCms.ImageCmsProfile | None:
    data = image.info.get("icc_profile")
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(data)) if data else None
    except (OSError, TypeError, ImageCms.PyCMSError):
        return None


def _jpeg(data: bytes, part: int) -> Pixels:
    # OpenCV decodes a plain JPEG to the same picture in half of Pillow's time.
    way = REDUCED[part] | cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), way)
    if pixels is None:
        raise PictureRefused("truncated", "the JPEG ends early or is damaged")
    return np.asarray(pixels, np.uint8)


def _rgb(image: Image.Image, matte: str) -> Pixels:
    """A decoded image as RGB in sRGB, its transparency laid on `matte`."""
    colours, alpha = _colours(image)
    if alpha is not None:
        colours = Image.composite(colours, Image.new("RGB", colours.size, matte), alpha)
    return np.array(colours)


def _colours(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """A decoded image as RGB in sRGB, and its transparency."""
    profile = _profile(image)
    image = samples.eight_bits(image)
    alpha = None
    if image.has_transparency_data:
        image = image.convert("LA" if image.mode in ("1", "L", "LA", "La") else "RGBA")
        alpha = image.getchannel("A")
        image = image.convert(image.mode[:-1])
    elif image.mode in ("1", "P", "PA"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    return _in_srgb(image, profile), alpha


def _deep(values: npt.NDArray[Any], turn: int, matte: str) -> Deep:
    """Samples [H, W, 3 or 4] as a picture; transparency that hides nothing is none."""
    top = np.iinfo(values.dtype).max
    values = _upright(values, turn)
    pixels = np.ascontiguousarray(values[..., :3])
    if values.shape[2] == 3 or values[..., 3].min() == top:
        return Deep(pixels, None)
    alpha = np.ascontiguousarray(values[..., 3])
    pixels[alpha == 0] = np.array(ImageColor.getrgb(matte), values.dtype) * (top // 255)
    return Deep(pixels, alpha)


def _in_srgb(image: Image.Image, profile: ImageCms.ImageCmsProfile | None) -> Image.Image:
    if profile is not None:
        try:
            moved = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if moved is not None:
                return moved
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # a profile for another kind of pixel: the picture is worth more than its profile
    return image.convert("RGB")


def _upright(pixels: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """The picture as its EXIF orientation says it should stand."""
    match orientation:
        case 2:
            turned = pixels[:, ::-1]
        case 3:
            turned = pixels[::-1, ::-1]
        case 4:
            turned = pixels[::-1]
        case 5:
            turned = pixels.transpose(1, 0, 2)
        case 6:
            turned = np.rot90(pixels, -1)
        case 7:
            turned = pixels[::-1, ::-1].transpose(1, 0, 2)
        case 8:
            turned = np.rot90(pixels)
        case _:
            return pixels
    return np.ascontiguousarray(turned)


def _reduction(most: int) -> int:
    """The largest of 1, 2, 4, 8 that is at most `most`."""
    return max((part for part in REDUCED if part <= most), default=1)


def _averaged(picture: Pixels, part: int) -> Pixels:
    if part == 1:
        return picture
    height, width = picture.shape[:2]
    size = (-(-width // part), -(-height // part))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _scaled(crop: Crop, across: float, down: float) -> Crop:
    """The same square in a picture that is `across` times as wide and `down` times as high."""
    if across == down == 1:
        return crop
    left, top = round(crop.left * across), round(crop.top * down)
    right, bottom = round((crop.left + crop.width) * across), round((crop.top + crop.height) * down)
    return replace(crop, left=left, top=top, width=max(1, right - left), height=max(1, bottom - top))


def _turned_box(picture: Pixels, crop: Crop) -> Pixels:
    """The box as it stands once turned about its centre, sampled at the picture's own scale."""
    middle = (crop.left + (crop.width - 1) / 2, crop.top + (crop.height - 1) / 2)
    turn = cv2.getRotationMatrix2D(middle, crop.turn, 1.0)
    turn[:, 2] -= (crop.left, crop.top)
    size = (crop.width, crop.height)
    return np.asarray(
        cv2.warpAffine(picture, turn, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101), np.uint8
    )


def _box(picture: Pixels, left: int, top: int, width: int, height: int) -> Pixels:
    """Rows top..top+height, columns left..left+width; mirrored where they lie outside."""
    rows, columns = picture.shape[:2]
    if left >= columns or top >= rows or left + width <= 0 or top + height <= 0:
        raise PictureRefused("crop outside", f"{left},{top} {width} x {height} of a picture of {columns} x {rows}")
    if left >= 0 and top >= 0 and left + width <= columns and top + height <= rows:
        return picture[top : top + height, left : left + width]
    return picture[_mirrored(top, height, rows)][:, _mirrored(left, width, columns)]


def _mirrored(start: int, count: int, size: int) -> npt.NDArray[np.intp]:
    """The indices start..start+count, folded back into 0..size-1 as by mirrors in the first and the last pixel."""
    period = max(2 * (size - 1), 1)
    folded = np.arange(start, start + count) % period
    return np.minimum(folded, period - folded)
