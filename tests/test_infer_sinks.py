"""Files written row by row hold the pixels, the resolution, the profile and the EXIF block they were given."""

import io
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from tasks.errors import ParamsError
from tasks.infer.deepzoom import DeepZoom
from tasks.infer.exif import entries_of, exif_of
from tasks.infer.sinks import SINKS, Jpeg, check_format
from tasks.infer.strips import SRGB, STRIP, Strips, Tags, plain
from tasks.infer.tiff import Tiff


def pixels(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 9 + y / 31), np.cos(x / 21), np.sin(y / 13)], axis=-1)
    noise = np.random.default_rng(0).normal(0, 10, waves.shape)
    return np.clip(127 + 120 * waves + noise, 0, 255).astype(np.uint8)


def written(sink: Strips, image: np.ndarray, portions: list[int]) -> None:
    with sink:
        start, index = 0, 0
        while start < len(image):
            stop = start + portions[index % len(portions)]
            sink.write(image[start:stop])
            start, index = stop, index + 1


@pytest.mark.parametrize("kind", [".png", ".tif"])
@settings(max_examples=15, deadline=None)
@given(
    height=st.integers(1, 200), width=st.integers(1, 90), portions=st.lists(st.integers(1, 150), min_size=1, max_size=4)
)
def test_lossless_files_read_back_alike(
    tmp_path_factory: pytest.TempPathFactory, kind: str, height: int, width: int, portions: list[int]
) -> None:
    path, image = tmp_path_factory.mktemp("sink") / f"a{kind}", pixels(height, width)
    written(SINKS[kind](path, height, width, Tags(300.0)), image, portions)
    with Image.open(path) as found:
        assert np.array_equal(np.asarray(found), image)


@pytest.mark.parametrize("kind", [".png", ".tif"])
@pytest.mark.parametrize("alpha", [False, True])
def test_sixteen_bits_and_transparency_read_back_alike(tmp_path: Path, kind: str, alpha: bool) -> None:
    chance = np.random.default_rng(3)
    image = np.sort(chance.integers(0, 65536, (150, 47, 3 + alpha), dtype=np.uint16), axis=1)
    written(SINKS[kind](tmp_path / f"a{kind}", 150, 47, Tags(300.0, depth=16, alpha=alpha)), image, [70, 9])
    found = cv2.imread(str(tmp_path / f"a{kind}"), cv2.IMREAD_UNCHANGED)
    assert found.dtype == np.uint16
    assert np.array_equal(found, image[..., [2, 1, 0, 3]] if alpha else image[..., ::-1])
    with Image.open(tmp_path / f"a{kind}") as image_of_8_bits:
        assert image_of_8_bits.mode == ("RGBA" if alpha else "RGB")
        assert np.array_equal(np.asarray(image_of_8_bits), image >> 8)


@pytest.mark.parametrize("kind", [".png", ".tif"])
def test_transparency_of_8_bits_reads_back_alike(tmp_path: Path, kind: str) -> None:
    image = np.random.default_rng(4).integers(0, 256, (90, 31, 4), dtype=np.uint8)
    written(SINKS[kind](tmp_path / f"a{kind}", 90, 31, Tags(300.0, alpha=True)), image, [50])
    with Image.open(tmp_path / f"a{kind}") as found:
        assert np.array_equal(np.asarray(found), image)


def test_plain_rows_are_8_bits_on_white() -> None:
    deep = np.array([[[0, 257 * 100, 65535, 65535], [0, 0, 0, 0], [0, 0, 0, 257 * 51]]], np.uint16)
    rows = plain(deep)
    assert rows.dtype == np.uint8
    assert rows.tolist() == [[[0, 100, 255], [255, 255, 255], [204, 204, 204]]]
    colours = plain(np.arange(65536, dtype=np.uint16).reshape(1, -1, 1).repeat(3, 2))
    assert np.abs(colours[0, :, 0] - np.arange(65536) / 257).max() <= 0.5


@pytest.mark.parametrize("kind", [".png", ".tif", ".jpg"])
def test_resolution_and_profile_read_back(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a{kind}"
    written(SINKS[kind](path, 70, 50, Tags(300.0)), pixels(70, 50), [70])
    with Image.open(path) as found:
        assert [float(value) for value in found.info["dpi"]] == pytest.approx([300, 300], abs=0.01)
        assert found.info["icc_profile"] == SRGB


def test_the_profile_does_not_say_when_it_was_made() -> None:
    code = "from tasks.infer.strips import SRGB; import sys; sys.stdout.buffer.write(SRGB)"
    time.sleep(1.1)
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout == SRGB


class Big(Tiff):
    """A BigTIFF, though it is small."""

    def _begin(self) -> None:
        self._height *= 10**7
        super()._begin()
        self._height //= 10**7


def test_a_large_tiff_is_a_bigtiff(tmp_path: Path) -> None:
    image = pixels(130, 40)
    written(Big(tmp_path / "a.tif", 130, 40, Tags(150.0)), image, [7])
    assert (tmp_path / "a.tif").read_bytes()[2] == 43
    with Image.open(tmp_path / "a.tif") as found:
        assert np.array_equal(np.asarray(found), image)
        assert found.info["dpi"] == (150, 150)


@pytest.mark.parametrize("height", [1, 64, 65, 128, 700])
def test_a_jpeg_is_to_the_byte_what_pillow_writes_in_one_piece(tmp_path: Path, height: int) -> None:
    image = pixels(height, 83)
    written(Jpeg(tmp_path / "a.jpg", height, 83, Tags(300.0)), image, [50, 3])
    whole = io.BytesIO()
    Image.fromarray(image).save(
        whole, "JPEG", quality=Jpeg.quality, subsampling="4:4:4", dpi=(300, 300), icc_profile=SRGB,
        restart_marker_rows=STRIP // 8,
    )  # fmt: skip
    assert (tmp_path / "a.jpg").read_bytes() == whole.getvalue()


def camera(order: str) -> Image.Exif:
    """What a camera writes: texts, numbers and fractions, in either order of bytes."""
    exif = Image.Exif()
    exif.endian = order
    exif[ExifTags.Base.Artist], exif[ExifTags.Base.Make] = "Somebody", "Box"
    exif[ExifTags.Base.Orientation], exif[ExifTags.Base.StripOffsets] = 6, 777
    exif.get_ifd(ExifTags.IFD.Exif).update({
        ExifTags.Base.ExposureTime: IFDRational(1, 125), ExifTags.Base.ISOSpeedRatings: 400,
        ExifTags.Base.DateTimeOriginal: "2026:01:02 03:04:05", ExifTags.Base.ExifImageWidth: 9,
        ExifTags.Base.LensSpecification: tuple(IFDRational(*pair) for pair in ((24, 1), (70, 1), (28, 10), (28, 10))),
    })  # fmt: skip
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({ExifTags.GPS.GPSLatitude: (35.0, 41.0, 22.0)})
    return exif


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [".png", ".tif", ".jpg", "big"])
def test_exif_is_kept_but_for_what_is_no_longer_true(tmp_path: Path, kind: str, order: str) -> None:
    Image.fromarray(pixels(9, 9)).save(tmp_path / "photo.jpg", exif=camera(order).tobytes())
    tags = Tags(300.0, exif=exif_of(tmp_path / "photo.jpg"))
    path = tmp_path / ("print.tif" if kind == "big" else f"print{kind}")
    written(Big(path, 9, 9, tags) if kind == "big" else SINKS[kind](path, 9, 9, tags), pixels(9, 9), [9])
    with Image.open(path) as found:
        exif = found.getexif()
        assert exif[ExifTags.Base.Artist] == "Somebody"
        assert exif[ExifTags.Base.Make] == "Box"
        assert ExifTags.Base.Orientation not in exif
        assert exif.get(ExifTags.Base.StripOffsets) != 777
        below = dict(exif.get_ifd(ExifTags.IFD.Exif))
        assert below.pop(ExifTags.Base.ExposureTime) == 1 / 125
        assert [float(value) for value in below.pop(ExifTags.Base.LensSpecification)] == [24, 70, 2.8, 2.8]
        assert below == {
            ExifTags.Base.ISOSpeedRatings: 400, ExifTags.Base.DateTimeOriginal: "2026:01:02 03:04:05",
        }  # fmt: skip
        latitude = exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude]
        assert [float(value) for value in latitude] == [35, 41, 22]
        assert np.asarray(found).shape == (9, 9, 3)


def test_damaged_metadata_costs_no_print(tmp_path: Path) -> None:
    (tmp_path / "none.jpg").write_bytes(b"nothing")
    assert exif_of(tmp_path / "none.jpg") == b""
    assert entries_of(b"Exif\0\0II*\0\xff\xff\0\0") == ()
    assert entries_of(b"II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\0\0\0\0") == ()  # leads to itself


def test_a_size_or_ending_no_format_holds_is_one_sentence() -> None:
    with pytest.raises(ParamsError, match="65,500 px a side"):
        check_format(Path("a.jpg"), 10, 70_000)
    with pytest.raises(ParamsError, match=r"\.webp: prints are written as"):
        check_format(Path("a.webp"), 10, 10)
    check_format(Path("a.png"), 10, 70_000)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (300, 517), (256, 256), (777, 100)])
def test_a_pyramid_has_every_tile_of_every_level(tmp_path: Path, height: int, width: int) -> None:
    image = pixels(height, width)
    with DeepZoom(tmp_path / "a", height, width) as sink:
        for start in range(0, height, 37):
            sink.write(image[start : start + 37])
    level = max(height - 1, width - 1).bit_length()
    assert sorted(int(path.name) for path in (tmp_path / "a").iterdir()) == list(range(level + 1))
    half = image.astype(float)
    for number in range(level, -1, -1):
        tall, wide = half.shape[:2]
        tiles = {(c, r) for c in range(-(-wide // 256)) for r in range(-(-tall // 256))}
        assert {path.name for path in (tmp_path / "a" / str(number)).iterdir()} == {f"{c}_{r}.jpg" for c, r in tiles}
        for column, row in tiles:
            with Image.open(tmp_path / "a" / str(number) / f"{column}_{row}.jpg") as tile:
                part = half[row * 256 : row * 256 + 256, column * 256 : column * 256 + 256]
                assert tile.size == (part.shape[1], part.shape[0])
                assert np.abs(np.asarray(tile) - part).mean() < 8
        edged = np.pad(half, ((0, tall % 2), (0, wide % 2), (0, 0)), "edge")
        half = edged.reshape(-(-tall // 2), 2, -(-wide // 2), 2, 3).mean(axis=(1, 3))
    assert half.shape == (1, 1, 3)
