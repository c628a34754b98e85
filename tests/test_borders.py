"""Mounts, colour bars and letterbox bars are cut away; what is picture stays."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from tasks.prepare.borders import sound_part
from tasks.prepare.crop import Box

PRINT = data.coffee()
PATCHES = [
    (0, 0, 0),
    (250, 250, 250),
    (230, 40, 60),
    (220, 20, 20),
    (250, 230, 10),
    (20, 150, 60),
    (20, 130, 230),
    (30, 30, 140),
]


def mounted(
    picture: np.ndarray, left: int, top: int, right: int, bottom: int, colour: tuple[int, int, int]
) -> np.ndarray:
    return cv2.copyMakeBorder(picture, top, bottom, left, right, cv2.BORDER_CONSTANT, value=colour)


def with_colour_bar(picture: np.ndarray) -> np.ndarray:
    """A gap, a ruler and a row of patches under the picture, as museums photograph them."""
    width = picture.shape[1]
    gap = np.full((4, width, 3), 245, np.uint8)
    ruler = np.full((7, width, 3), 128, np.uint8)
    ruler[:4, ::6] = 20
    bar = np.repeat(np.array(PATCHES, np.uint8), width // len(PATCHES), 0)[None].repeat(14, 0)
    bar = cv2.copyMakeBorder(bar, 0, 0, 0, width - bar.shape[1], cv2.BORDER_CONSTANT, value=(245, 245, 245))
    return np.concatenate([picture, gap, ruler, bar])


def lies_close(box: Box, truth: Box, within: int) -> bool:
    """Inside the truth, or a pixel beyond, and at most `within` pixels short of it on every side."""
    short = (box.left - truth.left, box.top - truth.top, truth.right - box.right, truth.bottom - box.bottom)
    return all(-1 <= distance <= within for distance in short)


@pytest.mark.parametrize("colour", [(0, 0, 0), (240, 236, 226), (128, 128, 130)])
def test_a_mount_is_cut_away(colour: tuple[int, int, int]) -> None:
    box = sound_part(mounted(PRINT, 40, 30, 50, 60, colour))
    assert lies_close(box, Box(40, 30, 640, 430), 12)


def test_letterbox_bars_are_cut_away() -> None:
    photograph = data.coffee()
    box = sound_part(mounted(photograph, 0, 70, 0, 70, (0, 0, 0)))
    assert lies_close(box, Box(0, 70, 600, 470), 12)


def test_bars_are_cut_away_where_the_picture_beside_them_is_as_dark() -> None:
    picture = PRINT.copy()
    for side, tip in ((0, 70), (599, 529)):  # dark teeth from either side: no line to see
        for y in range(0, 400, 50):
            cv2.fillPoly(picture, [np.int32([[side, y], [side, y + 44], [tip, y + 22]])], (24, 22, 14))
    box = sound_part(mounted(picture, 150, 0, 150, 0, (24, 22, 14)))
    assert lies_close(box, Box(150, 0, 750, 400), 24)


def test_a_band_of_writing_stays() -> None:
    band = np.full((90, 600, 3), (64, 60, 58), np.uint8)
    for x in range(10, 600, 50):
        cv2.putText(band, "#", (x, 68), cv2.FONT_HERSHEY_SIMPLEX, 1.6, (200, 190, 150), 2)
    assert sound_part(np.concatenate([PRINT, band])).bottom >= 470


def test_a_colour_bar_is_cut_away_with_its_ruler() -> None:
    height, width = PRINT.shape[:2]
    box = sound_part(with_colour_bar(PRINT))
    assert lies_close(box, Box(0, 0, width, height), 16)
    aside = sound_part(np.ascontiguousarray(with_colour_bar(PRINT).swapaxes(0, 1)))
    assert lies_close(aside, Box(0, 0, height, width), 16)


def test_a_scroll_is_cut_out_of_its_cloth_and_of_the_ground_beside_it() -> None:
    cloth = np.tile(data.brick()[:64, :64, None] // 3 + np.uint8([60, 20, 10]), (10, 12, 1)).astype(np.uint8)
    scroll = cloth[:560, :720].copy()
    scroll[80:480, 60:660] = PRINT
    box = sound_part(mounted(scroll, 0, 0, 300, 0, (24, 20, 30)))
    assert lies_close(box, Box(60, 80, 660, 480), 16)


def test_a_margin_hardly_lighter_than_the_print_is_cut_away() -> None:
    sheet = np.full((640, 440, 3), (222, 212, 190), np.uint8)
    sheet[50:600, 30:405] = (206, 196, 174)
    cv2.circle(sheet, (220, 330), 110, (60, 58, 50), 3)
    sheet = cv2.blur(sheet, (3, 3))
    assert lies_close(sound_part(sheet), Box(30, 50, 405, 600), 14)


def test_a_strip_of_cloth_above_and_below_a_painting_is_cut_away_with_the_cloth_beside_it() -> None:
    cloth = np.tile(data.brick()[:64, :64, None] // 4 + np.uint8([110, 80, 60]), (10, 12, 1)).astype(np.uint8)
    scroll = cloth[:600, :760].copy()
    scroll[60:540, 70:690] = (170, 150, 110)  # the strips
    scroll[100:500, 80:680] = PRINT
    assert lies_close(sound_part(scroll), Box(80, 100, 680, 500), 16)


def test_a_sliver_of_white_beside_a_sheet_that_lies_askew_is_cut_away() -> None:
    askew = mounted(PRINT, 0, 0, 12, 0, (250, 246, 228))
    edge = np.int32([[588, 0], [613, 0], [613, 400], [599, 400]])  # eleven pixels further out at the bottom
    cv2.fillPoly(askew, [edge], (250, 246, 228))
    box = sound_part(askew)
    assert 570 <= box.right <= 588


def test_paper_around_a_thin_frame_of_ink_is_cut_away() -> None:
    sheet = np.full((600, 440, 3), (206, 200, 152), np.uint8)
    cv2.rectangle(sheet, (50, 70), (390, 520), (60, 58, 50), 2)
    cv2.circle(sheet, (220, 300), 110, (60, 58, 50), 2)
    assert lies_close(sound_part(sheet), Box(50, 70, 391, 521), 12)


@pytest.mark.parametrize("side", [640, 128])
@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket", "immunohistochemistry"])
def test_a_sound_picture_is_hardly_cut_at_any_size(name: str, side: int) -> None:
    picture = getattr(data, name)()
    scale = side / max(picture.shape)
    picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    box = sound_part(picture)
    assert box.width * box.height >= 0.9 * picture.shape[0] * picture.shape[1]


def test_a_sky_that_fades_is_no_border() -> None:
    fade = np.linspace(0, 1, 40)[:, None, None] * (230 - np.array([30, 50, 110])) + np.array([30, 50, 110])
    sky = np.concatenate([np.broadcast_to(fade, (40, 600, 3)), np.full((160, 600, 3), 230)]).astype(np.uint8)
    assert sound_part(np.concatenate([sky, PRINT[200:]])).top < 20


def test_size_hardly_matters() -> None:
    small = mounted(PRINT, 40, 30, 50, 60, (240, 236, 226))
    large = cv2.resize(small, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    assert lies_close(sound_part(large), Box(160, 120, 2560, 1720), 60)


def test_what_is_too_small_or_blank_is_left_alone() -> None:
    for picture in (np.zeros((3, 3, 3), np.uint8), np.full((200, 300, 3), 90, np.uint8)):
        height, width = picture.shape[:2]
        assert sound_part(picture) == Box(0, 0, width, height)


@given(seed=st.integers(0, 2**32), height=st.integers(1, 500), width=st.integers(1, 500), patch=st.integers(1, 90))
@settings(max_examples=25, deadline=None)
def test_any_picture_has_a_part_that_lies_in_it(seed: int, height: int, width: int, patch: int) -> None:
    few = np.random.default_rng(seed).integers(0, 256, (height // patch + 1, width // patch + 1, 3), np.uint8)
    box = sound_part(np.ascontiguousarray(few.repeat(patch, 0).repeat(patch, 1)[:height, :width]))
    assert 0 <= box.left < box.right <= width
    assert 0 <= box.top < box.bottom <= height
