"""The woodblock-like rendering: few pigments, ink, and the same look for a part as for the whole."""

import numpy as np
import pytest

from tasks.scrape.sample import pixels
from tasks.woodblock import INK, PIGMENTS, render


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    return pixels("coffee")[100:300, 150:400]


def test_shape_and_type_stay_and_the_same_seed_gives_the_same_sheet(photograph: np.ndarray) -> None:
    print_ = render(photograph, seed=3)
    assert print_.shape == photograph.shape
    assert print_.dtype == np.uint8
    assert np.array_equal(print_, render(photograph, seed=3))
    assert not np.array_equal(print_, render(photograph, seed=4))


def test_nearly_all_of_a_print_is_one_of_its_pigments(photograph: np.ndarray) -> None:
    print_ = render(photograph).astype(float)
    pigments = np.array([pigment.srgb for pigment in PIGMENTS], float)
    nearest = np.abs(print_[..., None, :] - pigments).max(-1).min(-1)  # [H, W], levels
    assert (nearest < 16).mean() > 0.85
    original = np.abs(photograph[..., None, :].astype(float) - pigments).max(-1).min(-1)
    assert (original < 16).mean() < 0.4


def test_an_edge_gets_a_line_of_ink() -> None:
    halves = np.full((64, 64, 3), (235, 220, 190), np.uint8)
    halves[:, 32:] = (140, 90, 60)
    print_ = render(halves)
    ink = np.abs(print_.astype(int) - INK.srgb).max(-1) < 40
    assert ink[10:54, 30:35].any(axis=1).all()
    assert not ink[:, :24].any()
    assert not ink[:, 44:].any()


def test_a_crop_is_rendered_as_the_whole_is_but_for_the_grain(photograph: np.ndarray) -> None:
    whole = render(photograph)[60:160, 60:180].astype(int)
    part = render(photograph[40:180, 40:200])[20:120, 20:140].astype(int)
    assert (np.abs(whole - part).max(-1) < 40).mean() > 0.995
