"""A picture opened as deep as its file: 16 bits stay 16, and what is transparent is told apart."""

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from tasks.errors import PictureRefused
from tasks.limits import Limits
from tasks.picture import open_deep, open_picture
from tests.test_picture import swapped_profile


def samples(channels: int = 3) -> np.ndarray:
    return np.random.default_rng(channels).integers(0, 65536, (20, 30, channels), dtype=np.uint16)


def saved(path: Path, values: np.ndarray) -> Path:
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[values.shape[2]]
    assert cv2.imwrite(str(path), values[..., order])
    return path


def turned(path: Path, values: np.ndarray, orientation: int) -> Path:
    """A 16-bit PNG or TIFF that says how it should stand, written by hand: no library here writes one."""
    height, width = values.shape[:2]
    if path.suffix == ".png":
        exif = b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 0x0112, 3, 1, orientation) + b"\0" * 4
        lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in values)
        chunks = [
            (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)), (b"eXIf", exif),
            (b"IDAT", zlib.compress(lines)), (b"IEND", b""),
        ]  # fmt: skip
        body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
        return path
    data = values.astype("<u2").tobytes()
    place = 8 + len(data)
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, place + 2 + 12 * 10 + 4), (259, 3, 1, 1), (262, 3, 1, 2),
        (273, 4, 1, 8), (274, 3, 1, orientation), (277, 3, 1, 3), (278, 4, 1, height), (279, 4, 1, len(data)),
    ]  # fmt: skip
    directory = struct.pack("<H", 10) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    path.write_bytes(
        struct.pack("<2sHI", b"II", 42, place) + data + directory + b"\0" * 4 + struct.pack("<3H", *[16] * 3)
    )
    return path


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_stay(tmp_path: Path, name: str, channels: int) -> None:
    values = samples(channels)
    found = open_deep(saved(tmp_path / name, values))
    assert found.pixels.dtype == np.uint16
    assert found.pixels.shape == (20, 30, 3)
    shown = values[..., 3] > 0 if channels == 4 else np.full((20, 30), True)
    assert np.array_equal(found.pixels[shown], np.broadcast_to(values[..., :3], (20, 30, 3))[shown])
    assert found.alpha is None if channels < 4 else np.array_equal(found.alpha, values[..., 3])


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_sixteen_bits_stand_as_eight_do(tmp_path: Path, name: str, orientation: int) -> None:
    path = turned(tmp_path / name, samples(), orientation)
    deep = open_deep(path).pixels
    assert deep.dtype == np.uint16
    assert np.array_equal(deep >> 8, open_picture(path))


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif", "a.bmp"])
def test_eight_bits_are_as_ever(tmp_path: Path, name: str) -> None:
    Image.fromarray((samples() >> 8).astype(np.uint8)).save(tmp_path / name)
    found = open_deep(tmp_path / name)
    assert np.array_equal(found.pixels, open_picture(tmp_path / name))
    assert found.alpha is None


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif"])
def test_colours_under_transparency_are_not_mixed_with_paper(tmp_path: Path, name: str) -> None:
    image = np.zeros((8, 8, 4), np.uint8)
    image[..., :3] = (200, 100, 50)
    image[:4, :, 3], image[4:, :, 3] = 128, 0
    options = {"lossless": True, "exact": True} if name == "a.webp" else {}
    Image.fromarray(image).save(tmp_path / name, **options)
    found = open_deep(tmp_path / name, Limits(min_side=1, matte="#ffeedd"))
    assert (found.pixels[:4] == (200, 100, 50)).all()
    assert (found.pixels[4:] == (0xFF, 0xEE, 0xDD)).all()
    assert np.array_equal(found.alpha, image[..., 3])
    image[..., 3] = 255
    Image.fromarray(image).save(tmp_path / name)
    assert open_deep(tmp_path / name, Limits(min_side=1)).alpha is None


def with_profile(path: Path, profile: bytes) -> Path:
    data = path.read_bytes()
    body = b"x\0\0" + zlib.compress(profile)
    chunk = struct.pack(">I", len(body)) + b"iCCP" + body + struct.pack(">I", zlib.crc32(b"iCCP" + body))
    path.write_bytes(data[:33] + chunk + data[33:])
    return path


def test_a_linear_profile_is_applied_whatever_its_name(tmp_path: Path) -> None:
    """Its name says sRGB, as that of GIMP's "Linear sRGB" does; a fifth of the light is 127 of 255 there."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for sign, place, _ in struct.iter_unpack(
        ">4sII", profile[132 : 132 + 12 * struct.unpack_from(">I", profile, 128)[0]]
    ):
        if sign == b"rTRC":  # which all three channels share
            struct.pack_into(">H2xI", profile, place + 8, 0, 65536)  # a power of 1
    assert b"s\0R\0G\0B" in profile
    path = with_profile(saved(tmp_path / "a.png", np.full((20, 30, 3), 14135, np.uint16)), bytes(profile))
    assert np.abs(open_deep(path).pixels.astype(int) - 127).max() <= 2


def test_another_profile_is_applied_with_eight_bits(tmp_path: Path) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    path = with_profile(saved(tmp_path / "a.png", samples()), lab)
    found = open_deep(path)
    assert found.pixels.dtype == np.uint8
    assert np.array_equal(found.pixels, open_picture(path))


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_half_a_deep_file_is_refused(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path / name, samples())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(PictureRefused):
        open_deep(path)


PLAIN = Limits(min_side=1)
RGB, GREY = samples(), samples(1)[..., 0]
DOTS = np.random.default_rng(5).integers(1, 65536, (20, 30), dtype=np.uint16)


def tiff(path: Path, values: np.ndarray, **options: Any) -> Path:
    """A TIFF by another library; planes where `planarconfig` says "separate"."""
    planes = options.get("planarconfig") == "separate"
    tifffile.imwrite(path, np.moveaxis(values, -1, 0).copy() if planes else values, **options)
    return path


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "options",
    [
        {}, {"compression": "deflate", "predictor": 2}, {"tile": (16, 16)}, {"rowsperstrip": 7},
        {"tile": (16, 16), "compression": "deflate"},
    ],
)  # fmt: skip
def test_planes_of_sixteen_bits_are_one_picture(tmp_path: Path, order: str, options: dict[str, Any]) -> None:
    """Photoshop writes them where it is asked for layers "per channel"."""
    for big in (False, True) if order == "<" else (False,):  # of large files, Pillow opens no others
        path = tiff(
            tmp_path / "a.tif", RGB, photometric="rgb", planarconfig="separate", byteorder=order, bigtiff=big, **options
        )  # fmt: skip
        assert np.array_equal(open_deep(path).pixels, RGB)
        assert np.array_equal(open_picture(path), RGB >> 8)


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_planes_stand_upright_and_keep_their_profile(tmp_path: Path, orientation: int) -> None:
    profile = swapped_profile(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = [(274, "H", 1, orientation, True)]
    both = [
        tiff(tmp_path / name, RGB, photometric="rgb", planarconfig=name, extratags=tags, iccprofile=icc)
        for name in ("contig", "separate")
        for icc in (None, profile)
    ]
    for opened in (open_picture, lambda path: open_deep(path).pixels):
        plain, told, planes, planes_told = map(opened, both)
        assert np.array_equal(planes, plain)
        assert np.array_equal(planes_told, told)
        assert not np.array_equal(told, plain >> 8)


@pytest.mark.parametrize("planarconfig", ["contig", "separate"])
def test_only_what_is_said_to_be_transparency_hides(tmp_path: Path, planarconfig: str) -> None:
    """A saved selection is a sample too; and colours under some transparency are stored darker by it."""
    dark = np.rint(RGB * (DOTS[..., None] / 65535)).astype(np.uint16)
    for kind, stored in ((0, RGB), (1, dark), (2, RGB)):
        path = tiff(
            tmp_path / "a.tif", np.dstack([stored, DOTS]), photometric="rgb", planarconfig=planarconfig,
            extrasamples=[kind],
        )  # fmt: skip
        found = open_deep(path, PLAIN)
        rounded = 0 if kind != 1 else 1 + 65535 // (2 * DOTS[..., None].astype(int))
        assert (np.abs(found.pixels.astype(int) - RGB) <= rounded).all()
        assert found.alpha is None if kind == 0 else np.array_equal(found.alpha, DOTS)
        if kind == 0:
            assert np.array_equal(open_picture(path), RGB >> 8)
        else:
            clear = DOTS > 60_000
            laid = (RGB * (DOTS[..., None] / 65535) + (65535 - DOTS[..., None].astype(float))) / 257
            assert np.abs(open_picture(path) - laid)[clear].max() < 3


def test_white_may_be_zero(tmp_path: Path) -> None:
    for values, white in ((GREY, 65535), ((GREY >> 8).astype(np.uint8), 255)):
        path = tiff(tmp_path / "a.tif", white - values, photometric="miniswhite")
        assert np.array_equal(open_deep(path).pixels[..., 0], values)
        assert np.array_equal(open_picture(path)[..., 0], GREY >> 8)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (GREY.astype(np.uint32), "32-bit"), ((GREY >> 8).astype(np.int32), "signed"), (GREY.view(np.int16), "signed"),
        ((GREY >> 8).astype(np.int8), "signed"), (GREY.astype(np.float32) / 65535, "floating-point"),
    ],
)  # fmt: skip
def test_samples_without_an_agreed_white_are_refused(tmp_path: Path, values: np.ndarray, told: str) -> None:
    path = tiff(tmp_path / "a.tif", values, photometric="minisblack")
    for opened in (open_picture, open_deep):
        with pytest.raises(PictureRefused, match=rf"^odd depth: {told} .*; save it .* 8 or 16 bits"):
            opened(path)


def test_planes_of_other_colours_are_refused(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", samples(4), photometric="separated", planarconfig="separate")
    for opened in (open_picture, open_deep):
        with pytest.raises(PictureRefused, match=r"^odd depth: planes of .* other than RGB; save it .* interleaved"):
            opened(path)


@pytest.mark.parametrize("options", [{}, {"compression": "deflate"}])
def test_planes_cut_short_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tiff(tmp_path / "a.tif", RGB, photometric="rgb", planarconfig="separate", rowsperstrip=5, **options)
    whole = path.read_bytes()
    for part in (0.5, 0.9, 0.99):
        path.write_bytes(whole[: int(len(whole) * part)])
        for opened in (open_picture, open_deep):
            with pytest.raises(PictureRefused, match=r"truncated|no picture"):
                opened(path)
