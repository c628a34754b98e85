"""Samples of more than eight bits, as PNGs and TIFFs hold them: read as they are meant, or refused.

Numbers of tags are those of TIFF 6.0 (Adobe, 1992); what Pillow and OpenCV misread of them is mended here.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from tasks.errors import PictureRefused

Samples = npt.NDArray[np.uint16]  # [H, W, 3 or 4], RGB and transparency

BITS, COLOURS, NUM_SAMPLES, IN_PLANES, EXTRA, KIND = 258, 262, 277, 284, 338, 339  # tags
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2  # colours
DARKENED, TRANSPARENT = 1, 2  # extra samples: transparency, the first with colours that are multiplied by it
SIGNED, REAL = 2, 3  # kinds of samples
STRIPS, TILES = (273, 279), (324, 325)  # where their bytes begin, and how many they are
SHAPE = (256, 257, 259, 266, 274, 278, 317, 322, 323)  # sizes, compression, order of bits, orientation, predictor


def loaded(image: Image.Image, data: bytes) -> Image.Image:
    """`image`, whose file is `data`, decoded; where Pillow would misread planes, with 8 bits a sample, and upright.

    Raises PictureRefused "odd depth".
    """
    tags = _tags(image)
    if not _in_planes(tags):
        _require_agreed_white(tags)
        image.load()
        return image
    found = Image.fromarray((sixteen_bits(image, data) >> 8).astype(np.uint8))
    found.info = image.info  # the profile lies there
    return found


def eight_bits(image: Image.Image) -> Image.Image:
    """A decoded image with 8 bits a sample: of grey with 16 the high byte."""
    if image.mode == "F":
        raise PictureRefused("odd depth", "floating-point pixels")
    if image.mode != "I" and not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image)
    if values.size and (values.min() < 0 or values.max() > 0xFFFF):
        raise PictureRefused("odd depth", "32-bit pixels")
    if _tags(image).get(COLOURS) == WHITE_IS_ZERO:
        values = ~values
    return Image.fromarray((values >> 8).astype(np.uint8))


def has_sixteen_bits(image: Image.Image, data: bytes) -> bool:
    """Whether a PNG or TIFF has 16 bits a sample, of which Pillow would give 8."""
    if image.mode not in ("RGB", "RGBA", "I;16", "I;16B"):
        return False
    if image.format == "PNG":
        return data[24] == 16  # IHDR's bit depth
    tags = _tags(image)
    return set(tags.get(BITS, ())) == {16} and tags.get(COLOURS) in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB)


def sixteen_bits(image: Image.Image, data: bytes) -> Samples:
    """The samples of such a file; a TIFF comes upright, a PNG as it is stored.

    Raises PictureRefused "truncated", "odd depth".
    """
    tags = _tags(image)
    _require_agreed_white(tags)
    if _in_planes(tags):
        return _straight(np.dstack([_decoded(plane) for plane in _planes(tags, data)]), tags)
    image.load()  # which says what is missing; OpenCV passes over it
    found = _decoded(data)
    if found.ndim == 2:
        return (~found if tags.get(COLOURS) == WHITE_IS_ZERO else found)[..., None].repeat(3, axis=2)
    order = cv2.COLOR_BGRA2RGBA if found.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return _straight(np.asarray(cv2.cvtColor(found, order), np.uint16), tags)


def _tags(image: Image.Image) -> Mapping[int, Any]:
    """A TIFF's tags; no other file has any."""
    return getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}


def _require_agreed_white(tags: Mapping[int, Any]) -> None:
    """Raise PictureRefused where nobody says which value is white, or our decoders mistake it."""
    bits, kinds = set(tags.get(BITS, (1,))), set(tags.get(KIND, (1,)))
    told = "floating-point" if REAL in kinds else "signed" if SIGNED in kinds else f"{max(bits)}-bit"
    if kinds & {SIGNED, REAL} or bits - {1, 2, 4, 8, 16}:
        raise PictureRefused("odd depth", f"{told} samples have no agreed white; save it with 8 or 16 bits, unsigned")
    if _in_planes(tags) and tags.get(COLOURS) != RGB:
        raise PictureRefused(
            "odd depth", "planes of 16 bits in colours other than RGB; save it with interleaved samples"
        )


def _in_planes(tags: Mapping[int, Any]) -> bool:
    """Whether 16-bit samples lie a colour at a time, which neither Pillow nor OpenCV reads."""
    return tags.get(IN_PLANES) == 2 and tags.get(NUM_SAMPLES, 1) > 1 and set(tags.get(BITS, ())) == {16}


def _planes(tags: Mapping[int, Any], data: bytes) -> list[bytes]:
    """A grey TIFF for each plane: the bytes of the whole file, behind them a directory that names that plane alone."""
    starts, sizes = TILES if TILES[0] in tags else STRIPS
    count = len(tags[starts]) // tags[NUM_SAMPLES]
    if max(start + size for start, size in zip(tags[starts], tags[sizes], strict=True)) > len(data):
        raise PictureRefused("truncated", "the planes of the TIFF end early")
    data += bytes(len(data) % 2)  # a directory begins at an even place
    order = "<" if data[:2] == b"II" else ">"
    header = struct.pack(f"{order}2sHI", data[:2], 42, len(data))
    shape = {tag: [tags[tag]] for tag in SHAPE if tag in tags}
    planes: list[bytes] = []
    for first in range(0, tags[NUM_SAMPLES] * count, count):
        place = {tag: tags[tag][first : first + count] for tag in (starts, sizes)}
        own = {**shape, **place, BITS: [16], COLOURS: [BLACK_IS_ZERO], NUM_SAMPLES: [1]}
        planes.append(header + data[8:] + _directory(own, len(data), order))
    return planes


def _directory(tags: Mapping[int, Sequence[int]], place: int, order: str) -> bytes:
    """The tags as a directory that begins at `place`; behind it lie the values of those that have several."""
    behind = place + 2 + 12 * len(tags) + 4
    entries = lists = b""
    for tag, values in sorted(tags.items()):
        told = struct.pack(f"{order}{len(values)}I", *values)
        if len(values) > 1:
            told, lists = struct.pack(f"{order}I", behind + len(lists)), lists + told
        entries += struct.pack(f"{order}HHI", tag, 4, len(values)) + told  # 4: whole numbers of 32 bits
    return struct.pack(f"{order}H", len(tags)) + entries + bytes(4) + lists


def _decoded(data: bytes) -> Samples:
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None or found.dtype != np.uint16:
        raise PictureRefused("truncated", "the 16-bit samples cannot be read")
    return np.asarray(found, np.uint16)


def _straight(values: Samples, tags: Mapping[int, Any]) -> Samples:
    """Samples without those that are no transparency, a saved selection say, and with colours as bright as they are."""
    if values.shape[2] == 3:
        return values
    extra = tags.get(EXTRA, (TRANSPARENT,))[0]
    if extra not in (DARKENED, TRANSPARENT):
        return np.ascontiguousarray(values[..., :3])
    if extra == DARKENED:
        brighter = values[..., :3] * (0xFFFF / np.maximum(values[..., 3:], 1).astype(np.float32))
        values[..., :3] = np.rint(np.minimum(brighter, 0xFFFF))
    return values
