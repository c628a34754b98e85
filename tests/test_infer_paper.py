"""Sizes of paper in pixels, what of the photo comes onto it, and what is said about its sharpness."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import nn

from tasks.errors import NoRoom, ParamsError
from tasks.infer import print_photo
from tasks.infer.paper import Wish, lay_out, sheet_size
from tasks.infer.press import Model
from tasks.infer.seams import seam_ratio
from tasks.infer.settings import Infer
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


@pytest.mark.parametrize("text", ["188x110", "axbcm", "0x5cm", "5cm", "1.2.3x4cm", "-3x4cm"])
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
    ):
        with pytest.raises(ParamsError, match=words):
            lay_out(100, 100, wish)


def test_a_photo_too_small_for_its_paper_is_warned_about() -> None:
    assert "81 pixels an inch" in lay_out(3527, 6028, Wish("188x110cm")).warnings()[0]
    assert not lay_out(3527, 6028, Wish("40x20cm")).warnings()
    assert not lay_out(60, 60, Wish()).warnings()


def test_painting_coarser_is_laid_out() -> None:
    sheet = lay_out(1000, 1000, Wish("10x10in", dpi=300, paint_ppi=150))
    assert (sheet.picture_width, sheet.paint_width, sheet.paint_ppi) == (3000, 1500, 150)


class Same(nn.Module):
    """Paints every picture as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Conv2d(3, 3, 1, groups=3, bias=False)
        nn.init.ones_(self.scale.weight)

    def forward(self, x: object) -> object:
        return self.scale(x)


def printed(folder: Path, photo: np.ndarray, settings: Infer, *names: str) -> dict[str, object]:
    Image.fromarray(photo).save(folder / "photo.png")
    origin = Origin(source="folder", page="", url="")
    return print_photo(
        ("a", folder / "photo.png", origin), tuple(folder / name for name in names), Model.of(Same(), "key"), settings,
        progress=Progress(io.StringIO()), scratch=folder / "scratch",
    )  # fmt: skip


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
    assert report["plan"]["width"] == 400  # type: ignore[index]
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
        found = seam_ratio(lambda a, b: picture.clip(0, 255).astype(np.uint8)[a:b], 512, 512, lines)
        assert found is not None
        return found

    tones = np.random.default_rng(1).normal(0, 12, (4, 4, 3)).repeat(128, 0).repeat(128, 1)
    assert 0.8 < ratio(noise) < 1.2
    assert ratio(noise + tones) > 2
