"""The painter: each number is another picture, the same one every time and at every size."""

from itertools import islice

import cv2
import numpy as np
import pytest

from tasks.easel import Easel, box, curve, ellipse
from tasks.prepare.likeness import perceptual_hash
from tasks.scrape import drawn
from tasks.scrape.source import Item, Web

KINDS = list(drawn.TITLES)


@pytest.mark.parametrize("what", KINDS)
def test_a_number_is_one_picture_for_ever(what: drawn.What) -> None:
    assert drawn.picture_bytes(what, 7, 64, 1) == drawn.picture_bytes(what, 7, 64, 1)
    assert drawn.picture_bytes(what, 7, 64, 1) != drawn.picture_bytes(what, 7, 64, 2)
    assert drawn.picture_bytes(what, 8, 64, 1) != drawn.picture_bytes(what, 7, 64, 1)


@pytest.mark.parametrize("what", KINDS)
def test_it_is_the_same_picture_at_every_size(what: drawn.What) -> None:
    paint = drawn.painter(what)
    for number in range(12):
        small, large = paint(number, 64, 1), paint(number, 192, 1)
        assert (small.shape, large.shape, small.dtype) == ((64, 64, 3), (192, 192, 3), np.uint8)
        shrunk = cv2.resize(large, (64, 64), interpolation=cv2.INTER_AREA)
        assert np.abs(shrunk.astype(int) - small).mean() < 6, number


@pytest.mark.parametrize("what", KINDS)
def test_at_least_two_hundred_are_no_near_copies_of_each_other(what: drawn.What) -> None:
    hashes = np.array([perceptual_hash(drawn.painter(what)(number, 64, 1)) for number in range(240)], np.uint64)
    apart = np.bitwise_count(hashes[:, None] ^ hashes[None])
    apart[np.tril_indices(240)] = 64
    assert 240 - len(set(np.argwhere(apart <= 4)[:, 1].tolist())) >= 200


def test_the_source_says_that_its_pictures_are_drawn() -> None:
    query = drawn.DrawnQuery.read({"what": "abstract", "side": 32}, "query")
    web: Web = None  # type: ignore[assignment]
    items = [found for found in islice(drawn.Drawn().discover(query, web, None), 10) if isinstance(found, Item)]
    assert len({item.key for item in items}) == len(items) == 5
    assert all("drawn by a program" in item.title and item.licence == "CC0" for item in items)
    bytes_of = items[0].bytes_of
    assert bytes_of is not None
    assert bytes_of() == drawn.picture_bytes("abstract", 0, 32, 1)


def test_an_outline_covers_its_area() -> None:
    easel = Easel(64, (0.0, 0.0, 0.0))
    assert easel.mask(box(0.5, 0.5, 0.25, 0.25)).mean() == pytest.approx(0.25, abs=0.01)
    assert easel.mask(ellipse(0.5, 0.5, 0.25, 0.25)).mean() == pytest.approx(np.pi / 16, abs=0.01)
    easel.scale, easel.turn = 2.0, 0.7
    assert easel.mask(box(0.5, 0.5, 0.125, 0.125)).mean() == pytest.approx(0.25, abs=0.01)


def test_a_stroke_may_cross_itself() -> None:
    loop = curve([(0.2, 0.2), (0.8, 0.8), (0.8, 0.2), (0.2, 0.8)], steps=12)
    mask = Easel(64, (0.0, 0.0, 0.0)).stroke_mask(loop, 0.1)
    crossing = loop[np.abs(loop - (0.5, 0.5)).sum(1).argmin()]
    x, y = (crossing * 64).astype(int)
    assert mask[y, x] == 1
