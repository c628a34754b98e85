"""The page of a print in a real browser: it is moved, brought nearer, laid beside its photo, and sharp at 1:1."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import PROGRAM, Browser
from PIL import Image
from torch import Tensor, nn

from tasks.infer import print_photo
from tasks.infer.press import Model
from tasks.infer.settings import Infer
from tasks.progress import Progress
from tasks.rows import Origin

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium here to look at the page with")
HEIGHT, WIDTH = 900, 1300


class Negative(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return -x


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the negative of a photo of squares, each of a colour of its own, in tiles of 512 px."""
    folder = tmp_path_factory.mktemp("prints")
    colours = np.random.default_rng(0).integers(0, 256, (HEIGHT // 50, WIDTH // 50, 3), dtype=np.uint8)
    Image.fromarray(colours.repeat(50, 0).repeat(50, 1)).save(folder / "photo.png")
    print_photo(
        ("photo", folder / "photo.png", Origin("folder", "", "")), (folder / "hill.dzi",), Model.of(Negative(), "key"),
        Infer(tile=512), {}, progress=Progress(io.StringIO()), scratch=folder / "scratch",
    )  # fmt: skip
    return folder / "hill.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def opened(browser: Browser, page: Path) -> Browser:
    browser.asked.clear()
    browser.open(page, 800, 600)
    loaded(browser)
    return browser


def loaded(browser: Browser) -> None:
    browser.look()
    browser.until("[after, before].every(p => [...p.kept.values()].every(image => image.complete))")


def photo(page: Path) -> np.ndarray:
    return np.asarray(Image.open(page.with_name("photo.png"))).astype(int)


def view(browser: Browser) -> tuple[float, float, float]:
    return tuple(browser.value("[view.x, view.y, view.zoom]"))


def test_the_print_is_whole_at_first_and_after_the_window_changed(opened: Browser, page: Path) -> None:
    tall = opened.value("canvas.height")
    assert opened.value("document.title") == "photo"
    assert view(opened) == pytest.approx((WIDTH / 2, HEIGHT / 2, min(800 / WIDTH, tall / HEIGHT)))
    seen, scale = opened.look().astype(int), view(opened)[2]
    for y, x in ((125, 125), (775, 1175)):
        there = seen[round(tall / 2 + (y - HEIGHT / 2) * scale), round(400 + (x - WIDTH / 2) * scale)]
        assert np.abs(there - (255 - photo(page)[y, x])).max() <= 6
    opened.open(page, 500, 700)
    opened.until("canvas.width === 500")
    opened.look()
    assert view(opened)[2] == pytest.approx(500 / WIDTH)
    assert all(address.startswith("file:") for address in opened.asked)


@pytest.mark.parametrize("dense", [1.0, 1.25, 2.0])
def test_at_one_to_one_a_pixel_of_the_print_is_a_pixel_of_the_screen(
    browser: Browser, page: Path, dense: float
) -> None:
    browser.open(page, 640, 480, dense)
    browser.key("1")
    loaded(browser)
    assert view(browser)[2] == 1
    seen = browser.look().astype(int)
    wide, tall = browser.value("[canvas.width, canvas.height]")
    assert wide == round(640 * dense)
    left, top = browser.value("[-across(0), -down(0)]")
    there = slice(max(0, -top), min(tall, HEIGHT - top)), slice(max(0, -left), min(wide, WIDTH - left))
    print_ = 255 - photo(page)[max(0, top) :, max(0, left) :]
    error = np.abs(seen[there] - print_[: there[0].stop - there[0].start, : there[1].stop - there[1].start])
    assert np.median(error) <= 2
    # Edges between squares are no softer than JPEG makes them: a picture computed anew misses them by far more.
    assert (error.max(axis=2) > 40).mean() < 0.01


def test_dragging_and_the_wheel_move_the_print_as_a_hand_would(opened: Browser) -> None:
    opened.key("1")
    opened.look()
    x, y, _ = view(opened)
    opened.drag((400, 200), (300, 150))
    assert view(opened) == pytest.approx((x + 100, y + 50, 1))
    before = opened.value("[(123 - across(0)) / view.zoom, (99 - down(0)) / view.zoom]")
    opened.mouse("mouseWheel", 123, 99, deltaX=0, deltaY=-150)
    opened.look()
    assert view(opened)[2] == pytest.approx(2**0.5)
    after = opened.value("[(123 - across(0)) / view.zoom, (99 - down(0)) / view.zoom]")
    assert after == pytest.approx(before, abs=1)
    for _ in range(9):
        opened.drag((700, 100), (20, 100))
    assert view(opened)[0] == WIDTH  # it cannot be lost
    opened.key("0")
    opened.look()
    assert opened.value("whole")


def test_two_fingers_bring_it_nearer(opened: Browser) -> None:
    zoom = view(opened)[2]
    opened.touch("touchStart", (300, 200), (400, 200))
    for step in range(1, 11):
        opened.touch("touchMove", (300 - 10 * step, 200), (400 + 10 * step, 200))
    opened.touch("touchEnd")
    assert view(opened)[2] == pytest.approx(3 * zoom, rel=0.05)
    assert view(opened)[0] == pytest.approx(WIDTH / 2 - 50 / zoom + 50 / (3 * zoom), abs=30)
    opened.drag((300, 200), (310, 200))  # no finger is left behind
    assert opened.value("fingers.size") == 0


def test_the_photo_lies_beside_the_print_and_the_line_between_is_moved(opened: Browser, page: Path) -> None:
    opened.key("b")
    loaded(opened)
    seen, scale, tall = opened.look().astype(int), view(opened)[2], opened.value("canvas.height")
    y, columns = 125, (125, 1175)
    row = round(tall / 2 + (y - HEIGHT / 2) * scale)
    left, right = (seen[row, round(400 + (x - WIDTH / 2) * scale)] for x in columns)
    assert np.abs(left - photo(page)[y, columns[0]]).max() <= 6
    assert np.abs(right - (255 - photo(page)[y, columns[1]])).max() <= 6
    opened.drag((400, 300), (40, 300))
    assert opened.value("split") == pytest.approx(0.05)
    assert opened.value("whole")  # the print itself stayed
    opened.key("ArrowRight")
    assert not opened.value("whole")


def test_tile_lines_are_where_the_tiles_met(opened: Browser) -> None:
    opened.key("t")
    opened.key("n")
    loaded(opened)
    wide, tall = opened.value("[canvas.width, canvas.height]")
    assert view(opened) == (opened.value("about.columns[0]"), opened.value("about.rows[0]"), 1)
    assert tuple(opened.look()[tall // 2, 10]) == (255, 80, 48)
    assert tuple(opened.look()[10, wide // 2]) == (255, 80, 48)
    opened.key("n")
    assert view(opened)[0] == opened.value("about.columns[1]")


def test_the_bar_is_clicked_and_hidden(opened: Browser) -> None:
    x, y = opened.value("(box => [box.x + 5, box.y + 5])(find('[data-do=\"single\"]').getBoundingClientRect())")
    opened.mouse("mousePressed", x, y, button="left", buttons=1, clickCount=1)
    opened.mouse("mouseReleased", x, y, button="left", clickCount=1)
    assert view(opened)[2] == 1
    opened.key("h")
    opened.until("canvas.height === 600")
    opened.drag((300, 300), (350, 300))
    assert opened.value("bar.hidden")
    opened.touch("touchStart", (300, 300))  # where there is no keyboard
    opened.touch("touchEnd")
    opened.until("canvas.height < 600")
