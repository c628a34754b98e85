"""Sizes of paper in pixels, what of the photo comes onto it, and what is said about its sharpness."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms
from torch import nn

from tasks.errors import NoRoom, ParamsError
from tasks.infer import print_photo
from tasks.infer.colour import colours_of
from tasks.infer.paper import Wish, lay_out, sheet_size
from tasks.infer.press import Model
from tasks.infer.seams import seam_ratio
from tasks.infer.settings import Infer
from tasks.infer.strips import SRGB
from tasks.progress import Progress
from tasks.rows import Origin


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("188x110cm", (22205, 12992)),
        ("12x15in", (3600, 4500)),
        ("4500 x 3600 px", (4500, 3600)),
        ("30×40mm", (354, 472)),
    ],
)
def test_sizes_in_pixels(text: str, size: tuple[int, int]) -> None:
    assert sheet_size(text, 300) == size


def test_paper_that_goes_by_a_name_lies_as_the_photo_does() -> None:
    assert sheet_size("A4", 300) == (2480, 3508)
    wide, tall, square = (lay_out(*shape, Wish("a2")) for shape in ((1000, 1500), (1500, 1000), (1000, 1000)))
    assert (wide.width, wide.height) == (7016, 4961)
    assert (tall.width, tall.height) == (square.width, square.height) == (4961, 7016)


@pytest.mark.parametrize("text", ["A5x", "A9", "188x110", "axbcm", "0x5cm", "5cm", "1.2.3x4cm", "-3x4cm"])
def test_what_is_no_size_is_said(text: str) -> None:
    with pytest.raises(ParamsError, match="is no size of a print"):
        sheet_size(text, 300)


def test_crop_fills_the_paper_and_cuts_evenly() -> None:
    sheet = lay_out(1000, 2000, Wish("10x10in", dpi=100, fit="crop"))
    assert (sheet.height, sheet.width, sheet.picture_height, sheet.picture_width) == (1000, 1000, 1000, 1000)
    assert (sheet.crop.left, sheet.crop.width, sheet.crop.height) == (500, 1000, 1000)
    assert sheet.photo_ppi == 100


def test_pad_keeps_all_of_the_photo() -> None:
    sheet = lay_out(1000, 2000, Wish("10x10in", dpi=100, fit="pad"))
    assert (sheet.top, sheet.left, sheet.picture_height, sheet.picture_width) == (250, 0, 500, 1000)
    assert (sheet.crop.width, sheet.crop.height) == (2000, 1000)


def test_bleed_is_added_and_margin_is_taken() -> None:
    bled = lay_out(1000, 1000, Wish("10x10cm", dpi=254, bleed="3mm"))
    assert (bled.height, bled.width, bled.picture_width, bled.bleed) == (1060, 1060, 1060, 30)
    framed = lay_out(1000, 1000, Wish("10x10cm", dpi=254, margin="1cm"))
    assert (framed.height, framed.left, framed.picture_width) == (1000, 100, 800)


def test_wishes_that_contradict_are_said() -> None:
    for wish, words in (
        (Wish(bleed="3mm"), "need the size of the paper"),
        (Wish("10x10cm", bleed="3mm", margin="1cm"), "nothing to --bleed"),
        (Wish("10x10cm", margin="6cm"), "leaves nothing"),
        (Wish("10x10cm", margin="much"), "is no length"),
        (Wish("10x10cm", margin="9" * 400 + "cm"), "is no length"),
        (Wish("9" * 400 + "x10cm"), "is no size"),
    ):
        with pytest.raises(ParamsError, match=words):
            lay_out(100, 100, wish)


def test_a_photo_too_small_for_its_paper_is_warned_about() -> None:
    assert "81 px an inch" in lay_out(3527, 6028, Wish("188x110cm")).warnings()[0]
    assert not lay_out(3527, 6028, Wish("40x20cm")).warnings()
    assert not lay_out(60, 60, Wish()).warnings()


def test_painting_coarser_is_laid_out() -> None:
    sheet = lay_out(1000, 1000, Wish("10x10in", dpi=300, paint_ppi=150))
    assert (sheet.picture_width, sheet.paint_width, sheet.paint_ppi) == (3000, 1500, 150)


def test_crop_marks_stand_in_a_frame_of_their_own_at_the_trim(tmp_path: Path) -> None:
    settings = Infer(tile=128, size="5x4cm", dpi=254.0, bleed="3mm", marks=True, fit="stretch")
    printed(tmp_path, np.full((300, 400, 3), 200, np.uint8), settings, "a.png")
    with Image.open(tmp_path / "a.png") as image:
        sheet = np.asarray(image)[..., 0]
    frame, bleed = 80, 30  # 8 and 3 mm
    assert sheet.shape == (400 + 2 * (bleed + frame), 500 + 2 * (bleed + frame))
    assert (sheet[frame:-frame, frame:-frame] == 200).all()
    assert sorted(np.flatnonzero((sheet[:50] == 0).all(axis=0))) == [frame + bleed - 1, 500 + frame + bleed]
    assert sorted(np.flatnonzero((sheet[:, -50:] == 0).all(axis=1))) == [frame + bleed - 1, 400 + frame + bleed]
    assert (sheet == 0).sum() == 8 * 50
    with pytest.raises(ParamsError, match="need the size of the paper"):
        lay_out(100, 100, Wish(marks=True))


def swapped(path: Path) -> Path:
    """An RGB profile whose red and green primaries are sRGB's green and red."""
    names = SRGB.replace(b"rXYZ", b"****").replace(b"gXYZ", b"rXYZ").replace(b"****", b"gXYZ")
    path.write_bytes(names)
    return path


@pytest.mark.parametrize("kind", ["png", "tif", "jpg"])
def test_colours_are_turned_to_the_profile_asked_for(tmp_path: Path, kind: str) -> None:
    profile = swapped(tmp_path / "print shop.icc")
    red = np.full((80, 90, 3), (250, 10, 10), np.uint8)
    printed(tmp_path, red, Infer(tile=128, profile=str(profile)), f"a.{kind}")
    with Image.open(tmp_path / f"a.{kind}") as image:
        assert image.info["icc_profile"] == profile.read_bytes()
        assert np.asarray(image)[40, 40].tolist() == pytest.approx([10, 250, 10], abs=3)
        back = ImageCms.profileToProfile(image, str(profile), ImageCms.createProfile("sRGB"))
    assert back is not None
    assert np.asarray(back)[40, 40].tolist() == pytest.approx([250, 10, 10], abs=3)
    with Image.open(tmp_path / "previews" / "a.jpg") as preview:  # a screen's picture stays sRGB
        assert np.asarray(preview)[40, 40].tolist() == pytest.approx([250, 10, 10], abs=3)


def test_what_is_no_rgb_profile_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "lab.icc").write_bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes())
    (tmp_path / "none.icc").write_bytes(b"nothing")
    (tmp_path / "scanner.icc").write_bytes(SRGB.replace(b"rTRC", b"****"))
    for name, depth, words in (
        ("lab.icc", 8, "is a profile of Lab, and prints are written in RGB"),
        ("scanner.icc", 8, "is no profile that colours can be turned to"),
        ("none.icc", 8, "is no ICC profile that can be read"),
        ("missing.icc", 8, "is no ICC profile that can be read"),
        ("lab.icc", 16, "leave out --profile or --depth 16"),
    ):
        with pytest.raises(ParamsError, match=words):
            colours_of(str(tmp_path / name), depth)


def test_size_and_both_resolutions_are_said_before_the_work(tmp_path: Path) -> None:
    told = io.StringIO()
    printed(tmp_path, smooth(300, 400), Infer(tile=128, size="8x6in", dpi=100.0, paint_ppi=75.0), "a.png", told=told)
    first, second = told.getvalue().splitlines()[:2]
    assert first == (
        "photo.png: 800 x 600 px, 20.3 x 15.2 cm at 100 dpi; the photo gives 50 px an inch and is painted at 75"
    )
    assert "50 px an inch are few at this size" in second
    told = io.StringIO()
    printed(tmp_path, smooth(300, 400), Infer(tile=128), "b.png", told=told)
    assert told.getvalue() == ""


def test_the_report_gives_the_painting_s_steps_beside_the_photo_s(tmp_path: Path) -> None:
    report = printed(tmp_path, smooth(300, 400), Infer(tile=128), "a.png")
    painting, photo = (report["seams"][name] for name in ("step_ratio", "step_ratio_of_photo"))
    assert painting == pytest.approx(photo, rel=0.1)
    whole = printed(tmp_path, smooth(100, 100), Infer(tile=512), "b.png")
    assert whole["seams"] == {"step_ratio": None, "step_ratio_of_photo": None}


class Same(nn.Module):
    """Paints every picture as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Conv2d(3, 3, 1, groups=3, bias=False)
        nn.init.ones_(self.scale.weight)

    def forward(self, x: object) -> object:
        return self.scale(x)


def printed(folder: Path, photo: np.ndarray, settings: Infer, *names: str, told: io.StringIO | None = None) -> Any:
    """Print `photo`, as it is, into the files `names`; its report."""
    Image.fromarray(photo).save(folder / "photo.png")
    targets = tuple(folder / name for name in names)
    print_photo(
        ("a", folder / "photo.png", Origin(source="folder", page="", url="")), targets, Model.of(Same(), "key"),
        settings, {"about": "me"}, progress=Progress(told or io.StringIO()), scratch=folder / "scratch",
    )  # fmt: skip
    return json.loads(targets[0].with_suffix(".json").read_text())


def smooth(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 200 / width, y * 200 / height, (x + y) * 100 / (height + width)], -1).astype(np.uint8)


def test_a_padded_print_is_white_round_the_picture(tmp_path: Path) -> None:
    settings = Infer(tile=128, size="400x600px", fit="pad", dpi=100.0)
    printed(tmp_path, smooth(300, 400), settings, "a.png")
    with Image.open(tmp_path / "a.png") as image:
        sheet = np.asarray(image)
    assert sheet.shape == (600, 400, 3)
    assert (sheet[:150] == 255).all()
    assert (sheet[450:] == 255).all()
    assert np.array_equal(sheet[150:450], smooth(300, 400))


def test_painted_coarser_and_enlarged_it_is_the_same_picture(tmp_path: Path) -> None:
    settings = Infer(tile=128, size="800x600px", dpi=100.0, paint_ppi=50.0)
    report = printed(tmp_path, smooth(300, 400), settings, "a.png", "a.tif", "a.jpg")
    assert report["plan"]["width"] == 400
    with (
        Image.open(tmp_path / "a.png") as png,
        Image.open(tmp_path / "a.tif") as tif,
        Image.open(tmp_path / "a.jpg") as jpg,
    ):
        assert png.size == tif.size == jpg.size == (800, 600)
        assert np.array_equal(np.asarray(png), np.asarray(tif))
        assert np.abs(np.asarray(png).astype(int) - np.asarray(jpg)).mean() < 1.5
        back = np.asarray(png).reshape(300, 2, 400, 2, 3).mean(axis=(1, 3))
    assert np.abs(back - smooth(300, 400)).mean() < 1.0


def test_a_pyramid_comes_with_its_page(tmp_path: Path) -> None:
    printed(tmp_path, smooth(300, 400), Infer(tile=128), "a.dzi")
    page = (tmp_path / "a.html").read_text()
    assert '"folder":"a_files"' in page
    assert '"folder":"a_before_files"' in page
    assert "http" not in page
    with Image.open(tmp_path / "previews" / "a.jpg") as preview:
        assert preview.size == (400, 300)
    assert (tmp_path / "a_files" / "9" / "1_1.jpg").exists()
    assert 'Width="400"' in (tmp_path / "a.dzi").read_text()
    assert not list((tmp_path / "scratch").iterdir())


def test_no_room_is_said_before_anything_is_painted(tmp_path: Path) -> None:
    settings = Infer(tile=128, size="900000x900000px")
    with pytest.raises(NoRoom, match="MB are free"):
        printed(tmp_path, smooth(30, 40), settings, "a.png")
    assert not (tmp_path / "a.png").exists()


def test_a_format_that_cannot_hold_the_print_is_said_before_anything_is_painted(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="JPEG holds at most"):
        printed(tmp_path, smooth(30, 40), Infer(size="70000x10px"), "a.jpg")


def test_the_seam_figure_sees_tiles_of_different_tone_and_nothing_else() -> None:
    noise = np.random.default_rng(0).normal(128, 25, (512, 512, 3))
    lines = ([128, 256, 384], [128, 256, 384])

    def ratio(picture: np.ndarray) -> float:
        pixels = picture.clip(0, 255).astype(np.uint8)
        found = seam_ratio(lambda rows, columns: pixels[slice(*rows), slice(*columns)], 512, 512, lines)
        assert found is not None
        return found

    tones = np.random.default_rng(1).normal(0, 12, (4, 4, 3)).repeat(128, 0).repeat(128, 1)
    assert 0.8 < ratio(noise) < 1.2
    assert ratio(noise + tones) > 2
