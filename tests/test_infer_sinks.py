"""Files written row by row hold the pixels, the resolution, the profile and the EXIF block they were given."""

import io
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from tasks.errors import ParamsError
from tasks.infer import sinks
from tasks.infer.deepzoom import DeepZoom
from tasks.infer.exif import exif_of
from tasks.infer.sinks import SINKS, SRGB, Jpeg, Png, Strips, Tags, Tiff, check_format


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


@pytest.mark.parametrize("kind", [".png", ".tif", ".jpg"])
def test_resolution_and_profile_read_back(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a{kind}"
    written(SINKS[kind](path, 70, 50, Tags(300.0)), pixels(70, 50), [70])
    with Image.open(path) as found:
        assert [float(value) for value in found.info["dpi"]] == pytest.approx([300, 300], abs=0.01)
        assert found.info["icc_profile"] == SRGB


def test_the_profile_does_not_say_when_it_was_made() -> None:
    code = "from tasks.infer.sinks import SRGB; import sys; sys.stdout.buffer.write(SRGB)"
    time.sleep(1.1)
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout == SRGB


def test_a_large_tiff_is_a_bigtiff(tmp_path: Path) -> None:
    image = pixels(130, 40)

    class Big(Tiff):
        def _begin(self) -> None:
            self._height *= 10**7
            super()._begin()
            self._height //= 10**7

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
        restart_marker_rows=sinks.STRIP // 8,
    )  # fmt: skip
    assert (tmp_path / "a.jpg").read_bytes() == whole.getvalue()


def test_exif_is_kept_but_for_what_is_no_longer_true(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist], exif[ExifTags.Base.Orientation] = "Somebody", 6
    Image.fromarray(pixels(9, 9)).save(tmp_path / "photo.jpg", exif=exif)
    kept = exif_of(tmp_path / "photo.jpg")
    for sink in (
        Png(tmp_path / "a.png", 9, 9, Tags(300.0, exif=kept)),
        Jpeg(tmp_path / "a.jpg", 9, 9, Tags(300.0, exif=kept)),
    ):
        written(sink, pixels(9, 9), [9])
    for name in ("a.png", "a.jpg"):
        with Image.open(tmp_path / name) as found:
            assert dict(found.getexif()) == {ExifTags.Base.Artist: "Somebody"}
    (tmp_path / "none.jpg").write_bytes(b"nothing")
    assert exif_of(tmp_path / "none.jpg") == b""


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
