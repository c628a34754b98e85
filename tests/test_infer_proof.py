"""Previews and contact sheets: made from rows as they come, never from a print that is opened whole."""

import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from tasks.infer.preview import SIDE, Preview, previewed
from tasks.infer.proof import CAPTION, GAP, HEIGHT, Proof


def soft(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 / width, y * 255 / height, (x + y) % 256], axis=-1).astype(np.uint8)


@settings(max_examples=30, deadline=None)
@given(height=st.integers(1, 3000), width=st.integers(1, 40), turned=st.booleans(), portion=st.integers(1, 700))
@example(height=2800, width=3, turned=False, portion=1)  # a side of fewer pixels than are averaged to one
@example(height=2800, width=3, turned=True, portion=1)
def test_a_preview_of_any_shape_is_the_print_made_small(height: int, width: int, turned: bool, portion: int) -> None:
    image = soft(height, width)
    image = image.transpose(1, 0, 2) if turned else image
    preview = Preview(image.shape[0], image.shape[1])
    for first in range(0, len(image), portion):
        preview.write(image[first : first + portion])
    found = preview.picture()
    scale = min(1.0, SIDE / max(image.shape))
    assert found.shape == (*(max(1, round(side * scale)) for side in image.shape[:2]), 3)
    if scale == 1:
        assert np.array_equal(found, image)
    assert np.abs(found.mean(axis=(0, 1)) - image.mean(axis=(0, 1))).max() < 8


def test_a_preview_is_as_sharp_as_one_of_the_whole() -> None:
    image = np.random.default_rng(0).integers(0, 256, (2801, 4303, 3), dtype=np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 6)
    whole = cv2.resize(image, (SIDE, round(2801 * SIDE / 4303)), interpolation=cv2.INTER_AREA)
    assert np.abs(previewed(image).astype(int) - whole).mean() < 1


def test_a_preview_never_holds_the_print() -> None:
    rows = soft(64, 20_000)
    tracemalloc.start()
    preview = Preview(12_800, 20_000)
    for _ in range(200):
        preview.write(rows)
    assert preview.picture().shape[1] == SIDE
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6  # of 768 MB


def red(path: Path, x: int, y: int) -> int:
    with Image.open(path) as sheet:
        pixel = sheet.convert("RGB").getpixel((x, y))
    assert isinstance(pixel, tuple)
    return pixel[0]


def test_a_sheet_holds_every_group_together_with_its_captions(tmp_path: Path) -> None:
    proof = Proof()
    for number in range(5):
        proof.add([np.full((100, 150, 3), 30 + 40 * number, np.uint8)] * 2, [f"hill-{number}.jpg", "seed-3"])
    proof.write(tmp_path / "proof.jpg")
    with Image.open(tmp_path / "proof.jpg") as sheet:
        tall = HEIGHT + CAPTION + GAP
        assert sheet.size == (GAP + 2 * 2 * (384 + GAP), GAP + 3 * tall)
        lettered = np.asarray(sheet.convert("L"))[GAP + HEIGHT : GAP + HEIGHT + CAPTION]
    for column in range(4):
        assert lettered[:, GAP + column * (384 + GAP) :][:, :60].min() < 120
        assert red(tmp_path / "proof.jpg", GAP + column * (384 + GAP) + 100, 100) == pytest.approx(
            30 + 40 * (column // 2), abs=4
        )
    assert red(tmp_path / "proof.jpg", GAP + 100, 2 * tall + 100) == pytest.approx(30 + 40 * 4, abs=4)


def test_captions_longer_than_their_picture_are_cut(tmp_path: Path) -> None:
    proof = Proof()
    proof.add([np.full((100, 40, 3), 90, np.uint8)], ["a name that is much longer than the picture is wide.jpg"])
    proof.write(tmp_path / "proof.jpg")
    with Image.open(tmp_path / "proof.jpg") as sheet:
        assert sheet.width < 40 * HEIGHT // 100 + 3 * GAP
        assert np.asarray(sheet.convert("L"))[:, -GAP:].min() > 200
