"""Any picture file opens to upright sRGB, or is refused by name before it can do harm."""

import contextlib
import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageFilter

from tasks.errors import PictureRefused
from tasks.limits import Limits
from tasks.picture import cut, cut_all, open_picture, open_reduced, read_header
from tasks.rows import Crop
from tasks.scrape.look import look

RED, BLUE = (200, 30, 30), (30, 30, 200)


def banded(width: int = 60, height: int = 40) -> Image.Image:
    """Blue, with a red band along the top that tells which way is up."""
    image = Image.new("RGB", (width, height), BLUE)
    image.paste(RED, (0, 0, width, height // 4))
    return image


def saved(folder: Path, name: str, image: Image.Image, **options: object) -> Path:
    path = folder / name
    image.save(path, **options)
    return path


def close(pixels: np.ndarray, colour: tuple[int, ...], within: int = 6) -> bool:
    return bool(np.abs(pixels.reshape(-1, 3).mean(0) - colour).max() <= within)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.avif", "a.gif", "a.tif", "a.bmp", "a.ppm", "a.jp2"])
def test_every_format_opens_to_the_same_picture(tmp_path: Path, name: str) -> None:
    pixels = open_picture(saved(tmp_path, name, banded()))
    assert pixels.shape == (40, 60, 3)
    assert pixels.dtype == np.uint8
    assert close(pixels[:8, 2:-2], RED, 10)
    assert close(pixels[14:], BLUE, 10)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif", "a.avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_is_set_upright(tmp_path: Path, name: str, orientation: int) -> None:
    marked = banded()
    marked.paste((30, 200, 30), (0, 12, 12, 40))  # and a green band on the left, to tell a turn from a mirror
    back = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT], 3: [Image.Transpose.ROTATE_180], 4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE], 6: [Image.Transpose.ROTATE_90], 7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }.get(orientation, [])  # fmt: skip
    stored = marked
    for turn in back:
        stored = stored.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, name, stored, exif=exif)
    pixels = open_picture(path)
    assert (read_header(path).width, read_header(path).height) == (60, 40)
    assert pixels.shape == (40, 60, 3)
    assert close(pixels[:8, 14:-2], RED, 12)
    assert close(pixels[15:, :9], (30, 200, 30), 12)


def test_sixteen_bits_are_shifted_and_not_clipped(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)[None].repeat(32, 0)
    pixels = open_picture(saved(tmp_path, "a.png", Image.fromarray(ramp)))
    assert np.array_equal(pixels[..., 0], (ramp >> 8).astype(np.uint8))


def test_pixels_without_an_agreed_white_are_refused(tmp_path: Path) -> None:
    for name, pixels in {"f.tif": np.ones((32, 32), np.float32), "i.tif": np.full((32, 32), 2**20, np.int32)}.items():
        assert reason(saved(tmp_path, name, Image.fromarray(pixels))) == "odd depth"


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_shows_the_matte_and_not_what_is_hidden(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    image.paste((90, 90, 90, 255), (0, 0, 40, 20))
    pixels = open_picture(saved(tmp_path, "a.png", image.convert(mode)), Limits(matte="#fac80a"))
    assert close(pixels[:20], (90, 90, 90))
    assert close(pixels[20:], (250, 200, 10))


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK"])
def test_other_colour_models_become_rgb(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGB", (40, 40), (255, 255, 255) if mode in "1L" else RED).convert(mode)
    path = saved(tmp_path, "a.jpg" if mode == "CMYK" else "a.png", image)
    assert close(open_picture(path), (255, 255, 255) if mode in "1L" else RED, 20)


def test_an_embedded_profile_is_applied(tmp_path: Path) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ"))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    swapped = swapped_profile(srgb.tobytes())
    plain = open_picture(saved(tmp_path, "a.png", banded()))
    assert np.array_equal(open_picture(saved(tmp_path, "b.png", banded(), icc_profile=srgb.tobytes())), plain)
    for name in ("c.png", "c.jpg"):
        told = open_picture(saved(tmp_path, name, banded(), icc_profile=swapped, quality=95))
        assert close(told[:8], BLUE, 12), "a profile that swaps red and blue must swap them"
    for useless in (lab.tobytes(), b"no profile"):
        assert np.array_equal(open_picture(saved(tmp_path, "d.png", banded(), icc_profile=useless)), plain)


def swapped_profile(srgb: bytes) -> bytes:
    """An RGB profile whose red primary is sRGB's blue and the other way round, whatever its name says."""
    (count,) = struct.unpack(">I", srgb[128:132])
    data = bytearray(srgb)
    entries = {bytes(data[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(count)}
    red, blue = entries[b"rXYZ"], entries[b"bXYZ"]
    data[red : red + 4], data[blue : blue + 4] = data[blue : blue + 4], data[red : red + 4]
    return bytes(data)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_an_animation_gives_its_first_frame_or_is_refused(tmp_path: Path, name: str) -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in (RED, BLUE)]
    path = saved(tmp_path, name, frames[0], save_all=True, append_images=frames[1:], duration=50)
    assert close(open_picture(path), RED, 10)
    assert reason(path, Limits(animated="refuse")) == "animated"


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.gif", "a.tif"])
def test_half_a_file_is_refused(tmp_path: Path, name: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    path = saved(tmp_path, name, noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert reason(path) in ("truncated", "no picture")


@pytest.mark.parametrize(
    "data", [b"", b"<!DOCTYPE html><html>no</html>", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\xff\xd8\xff"]
)
def test_what_is_no_picture_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(data)
    assert reason(tmp_path / "a.jpg") == "no picture"


def test_a_bomb_is_refused_unopened(tmp_path: Path) -> None:
    for side, name in ((12_000, "mild.png"), (17_000, "warned.png"), (30_000, "bomb.png")):
        (tmp_path / name).write_bytes(one_bit_png(side, side))
        assert reason(tmp_path / name) == "too many pixels"


def one_bit_png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = zlib.compress(bytes(width // 8 + 1) * 64, 9)  # the rest of the rows are not needed to lie in the header
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_opencv_is_bounded_whatever_is_imported_first(tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(one_bit_png(17_000, 17_000))
    code = "import sys, tasks.prepare.copies, cv2; cv2.imread(sys.argv[1], cv2.IMREAD_GRAYSCALE)"
    told = subprocess.run([sys.executable, "-c", code, tmp_path / "bomb.png"], capture_output=True, text=True)
    assert "CV_IO_MAX_IMAGE_PIXELS" in told.stderr


def test_limits_are_checked_against_the_header(tmp_path: Path) -> None:
    assert reason(saved(tmp_path, "sliver.png", banded(20, 2000))) == "odd aspect"
    assert reason(saved(tmp_path, "icon.png", banded(12, 12))) == "too small"
    assert reason(saved(tmp_path, "big.png", banded()), Limits(max_bytes=20)) == "too many bytes"
    assert reason(tmp_path / "nowhere.png") == "missing file"


def test_a_damaged_jpeg_never_raises_anything_but_a_refusal(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 48, 3), np.uint8)).save(buffer, "jpeg")
    whole, rng = buffer.getvalue(), np.random.default_rng(1)
    path = tmp_path / "a.jpg"
    for _ in range(60):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), 4):
            data[place] = rng.integers(256)
        path.write_bytes(bytes(data))
        with contextlib.suppress(PictureRefused):
            open_picture(path)


def reason(path: Path, limits: Limits | None = None) -> str:
    with pytest.raises(PictureRefused) as refusal:
        open_picture(path, limits or Limits())
    return refusal.value.reason


PICTURE = np.random.default_rng(0).integers(0, 255, (30, 50, 3), np.uint8)


def test_no_byte_of_an_avif_brings_anything_but_a_refusal(tmp_path: Path) -> None:
    good = saved(tmp_path, "a.avif", banded(60, 48)).read_bytes()
    bad, refused = tmp_path / "b.avif", set[str]()
    for at in range(len(good)):
        bad.write_bytes(good[:at] + b"\0" + good[at + 1 :])
        for opened in (lambda: look(bad, 10**6), lambda: open_picture(bad)):
            try:
                opened()
            except PictureRefused as error:
                refused.add(error.reason)
    assert refused == {"no picture", "not a picture", "truncated"}


@pytest.mark.parametrize("part", [0.6, 0.99])
def test_a_jpeg_is_cut_short_though_its_thumbnail_is_whole(tmp_path: Path, part: float) -> None:
    """Cameras put a small JPEG, with an end of its own, before the picture's samples."""
    small, noise = io.BytesIO(), np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)
    banded().save(small, "jpeg")
    noted = b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0" + small.getvalue()
    path = saved(tmp_path, "a.jpg", Image.fromarray(noise), exif=noted)
    whole = path.read_bytes()
    for behind in (b"", bytes(1_000)):  # some cameras also append what they like
        path.write_bytes(whole + behind)
        assert look(path, 10**6, whole=True).format == "jpeg"
    path.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(PictureRefused, match="cut short"):
        look(path, 10**6, whole=True)


@given(left=st.integers(0, 34), top=st.integers(0, 14))
def test_a_crop_of_its_own_size_is_copied_not_resampled(left: int, top: int) -> None:
    assert np.array_equal(cut(PICTURE, Crop(left, top, 16, 16, 16)), PICTURE[top : top + 16, left : left + 16])


@given(left=st.integers(-30, 45), top=st.integers(-20, 25), size=st.integers(4, 60), side=st.integers(4, 40))
def test_any_box_gives_its_side(left: int, top: int, size: int, side: int) -> None:
    if left + size <= 0 or top + size <= 0:
        return
    square = cut(PICTURE, Crop(left, top, size, size, side))
    assert square.shape == (side, side, 3)
    assert square.dtype == np.uint8


def test_shrinking_averages_areas() -> None:
    checks = np.indices((32, 32)).sum(0) % 2 * 255
    square = cut(np.repeat(checks[..., None], 3, 2).astype(np.uint8), Crop(0, 0, 32, 32, 16))
    assert set(np.unique(square)) <= {127, 128}


def test_beyond_the_edge_lies_the_mirror_image() -> None:
    square = cut(PICTURE, Crop(-4, 0, 8, 8, 8))
    assert np.array_equal(square[:, :4], PICTURE[:8, 4:0:-1])
    with pytest.raises(PictureRefused, match="crop outside"):
        cut(PICTURE, Crop(60, 0, 8, 8, 8))


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_a_reduced_picture_keeps_its_least_side(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path, name, banded(603, 401))
    for least, shape in {401: (401, 603), 201: (401, 603), 200: (201, 302), 50: (51, 76), 1: (51, 76)}.items():
        pixels, header = open_reduced(path, least)
        assert pixels.shape == (*shape, 3)
        assert (header.width, header.height) == (603, 401)
        assert close(pixels[: shape[0] // 5], RED, 10)


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_crops_of_a_file_are_those_of_the_picture(tmp_path: Path, name: str) -> None:
    smooth = banded(640, 480).filter(ImageFilter.GaussianBlur(8))
    path = saved(tmp_path, name, smooth)
    own_scale, shrunk = Crop(100, 90, 64, 64, 64), Crop(10, 20, 400, 400, 64)
    picture = open_picture(path)
    both = cut_all(path, [own_scale, shrunk])
    assert np.array_equal(both[0], cut(picture, own_scale)), "nothing is reduced while one crop keeps its scale"
    (reduced,) = cut_all(path, [shrunk])
    assert np.abs(reduced.astype(int) - cut(picture, shrunk)).max() <= 12


def test_a_turned_box_is_sampled_as_it_stands() -> None:
    picture = np.zeros((90, 90, 3), np.uint8)
    picture[40:50, 20:70] = 255  # a level bar
    upright = cut(picture, Crop(25, 25, 40, 40, 40, turn=90.0))
    assert upright[:, 15:25].mean() > 200, "seen from a box turned clockwise, it stands"
    slanted = cut(picture, Crop(25, 25, 40, 40, 40, turn=45.0))
    assert slanted[4, -5].mean() > 200, "or rises to the right"
    assert slanted[4, 4].mean() < 50
