"""What is blank, black, grey, out of focus or a page of writing is refused by name; photographs pass."""

import cv2
import numpy as np
import pytest
from skimage import data

from tasks.errors import PictureRefused
from tasks.prepare.settings import Worth
from tasks.prepare.worth import measure, require_worth

PHOTOGRAPHS = {"astronaut": data.astronaut(), "coffee": data.coffee(), "cat": data.chelsea(), "rocket": data.rocket()}


def page_of_writing() -> np.ndarray:
    page = np.full((700, 500, 3), (250, 246, 235), np.uint8)
    for line in range(28):
        cv2.putText(
            page,
            "the quick brown fox jumps over it",
            (12, 30 + 24 * line),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.8,
            (20, 20, 60),
            2,
        )
    return page


def refusal(picture: np.ndarray, worth: Worth | None = None) -> str:
    try:
        require_worth(measure(picture), worth or Worth())
    except PictureRefused as refused:
        return refused.reason
    return "none"


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_photographs_are_worth_it(name: str) -> None:
    assert refusal(PHOTOGRAPHS[name]) == "none"


def test_each_fault_has_its_name() -> None:
    photograph = PHOTOGRAPHS["coffee"]
    grey = cv2.cvtColor(cv2.cvtColor(photograph, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    assert refusal(photograph[:60]) == "odd aspect"
    assert refusal(photograph // 8) == "dark"
    assert refusal(250 - photograph // 20) == "light"
    assert refusal(np.full((300, 300, 3), (90, 60, 30), np.uint8)) == "low information"
    assert refusal(grey) == "greyscale"
    assert refusal(cv2.GaussianBlur(photograph, (0, 0), 8)) == "blurred"
    assert refusal(page_of_writing()) == "text-heavy"


def test_a_small_drawing_is_no_page_of_writing() -> None:
    """Seen at 96 pixels, pen strokes cross every cell; seen at a page's size, they leave most of them plain."""
    rng, drawing = np.random.default_rng(0), np.full((96, 96, 3), (250, 235, 200), np.uint8)
    for _ in range(40):
        cv2.line(drawing, tuple(rng.integers(0, 96, 2)), tuple(rng.integers(0, 96, 2)), (30, 60, 40), 1)
    for side in (96, 200, 320):
        assert refusal(cv2.resize(drawing, (side, side), interpolation=cv2.INTER_CUBIC)) != "text-heavy"
    assert refusal(cv2.resize(page_of_writing(), (300, 420), interpolation=cv2.INTER_AREA)) == "text-heavy"


def test_bounds_can_be_lifted() -> None:
    grey = cv2.cvtColor(cv2.cvtColor(PHOTOGRAPHS["cat"], cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    assert refusal(grey) == "greyscale"
    assert refusal(grey, Worth(min_colour=0)) == "none"


def test_size_hardly_matters() -> None:
    large = measure(cv2.resize(PHOTOGRAPHS["astronaut"], (2048, 2048), interpolation=cv2.INTER_CUBIC))
    small = measure(PHOTOGRAPHS["astronaut"])
    for name in large:
        assert large[name] == pytest.approx(small[name], rel=0.25 if name == "sharpness" else 0.1, abs=0.02)
