"""Copies are found exactly, the best is kept, and no copy of a training picture can be held out."""

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.prepare.copies import Decision, without_copies
from tasks.prepare.likeness import near_pairs, perceptual_hash
from tasks.rows import Crop, Origin, Prepared


def brute_force(hashes: np.ndarray, distance: int) -> set[tuple[int, int]]:
    apart = np.bitwise_count(hashes[:, None] ^ hashes[None])
    return {(int(i), int(j)) for i, j in np.argwhere(apart <= distance) if i < j}


def flipped(hashes: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    out = hashes.copy()
    for i in range(len(out)):
        for bit in rng.choice(64, rng.integers(0, most + 1), replace=False):
            out[i] ^= np.uint64(1) << np.uint64(bit)
    return out


@given(seed=st.integers(0, 2**32), distance=st.integers(0, 9), clusters=st.integers(1, 20), spread=st.integers(0, 12))
@settings(max_examples=40, deadline=None)
def test_the_search_finds_what_brute_force_finds(seed: int, distance: int, clusters: int, spread: int) -> None:
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, 2**64, clusters, dtype=np.uint64)
    hashes = np.unique(flipped(centres[rng.integers(0, clusters, 400)], spread, rng))
    assert set(map(tuple, near_pairs(hashes, distance).tolist())) == brute_force(hashes, distance)


def test_crowded_buckets_are_split_and_nothing_is_lost() -> None:
    rng = np.random.default_rng(0)
    hashes = np.unique(flipped(np.full(1200, 12345, np.uint64), 6, rng))
    assert set(map(tuple, near_pairs(hashes, 4).tolist())) == brute_force(hashes, 4)


def test_no_hashes_no_pairs() -> None:
    assert near_pairs(np.zeros(0, np.uint64), 4).shape == (0, 2)


def smooth(seed: int, height: int = 300, width: int = 400) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(9, 12, 3)).astype(np.float32)
    big = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return cv2.normalize(big, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def test_a_copy_keeps_its_hash_and_another_picture_has_another() -> None:
    picture = smooth(0)
    own = perceptual_hash(picture)
    code = cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_COLOR)
    lighter = np.clip(picture * 0.9 + 12, 0, 255).astype(np.uint8)
    for copy in (code, lighter, cv2.resize(picture, (1000, 750)), cv2.resize(picture, (120, 90))):
        assert (own ^ perceptual_hash(copy)).bit_count() <= 4
    others = [perceptual_hash(smooth(seed)) for seed in range(1, 30)]
    assert min((own ^ other).bit_count() for other in others) > 8


def decision(number: int, likeness: int, area: int = 100, **changes: Any) -> Decision:
    name = f"s:{number}"
    row = Prepared(
        id=name, picture=name, batch=1, outcome="kept", reason="", origin=Origin(source="s", page="", url=""),
        group=changes.pop("group", name), sha256=changes.pop("sha256", str(number)), file="f",
        crop=Crop(0, 0, 8, 8, 8),
    )  # fmt: skip
    return Decision(rows=(row,), likeness=likeness, area=area, **changes)


def told(*decisions: Decision, distance: int = 4) -> list[tuple[str, str]]:
    return [(row.reason, row.detail) for row in without_copies(decisions, distance)]


KEPT = ("", "")


def test_the_larger_copy_is_kept_and_named() -> None:
    assert told(decision(0, 0b111), decision(1, 0, area=200), decision(2, 2**60 - 1)) == [
        ("near duplicate", "of s:1"), KEPT, KEPT,
    ]  # fmt: skip
    assert told(decision(0, 7), decision(1, 7)) == [KEPT, ("near duplicate", "of s:0")]
    assert told(decision(0, 7), decision(1, 7), distance=-1) == [KEPT, KEPT]


def test_likeness_does_not_run_along_a_chain() -> None:
    """b is like a, and c like b; c is not like a, so c stays."""
    a, b, c = decision(0, 0, area=9), decision(1, 0b1111, area=8), decision(2, 0xFF, area=7)
    assert told(a, b, c) == [KEPT, ("near duplicate", "of s:0"), KEPT]


def test_declared_variants_stay_but_the_same_bytes_do_not() -> None:
    variants = [decision(0, 5, group="g"), decision(1, 5, group="g"), decision(2, 5, group="g", sha256="0")]
    assert told(*variants) == [KEPT, KEPT, ("duplicate", "of s:0")]


def test_a_person_may_keep_a_copy() -> None:
    assert told(decision(0, 5, area=9), decision(1, 5, by_hand=True)) == [("near duplicate", "of s:1"), KEPT]
    assert told(decision(0, 5, by_hand=True), decision(1, 5, by_hand=True)) == [KEPT, KEPT]


def test_groups_that_share_a_copy_become_one() -> None:
    """Variants of two originals that are copies of each other go to one side of the held-out split."""
    rows = without_copies(
        [
            decision(0, 5, group="a"),
            decision(1, 2**50 - 1, group="b"),
            decision(2, 4, group="b"),
            decision(3, 2**30 - 1),
        ],
        4,
    )
    assert [row.group for row in rows] == ["a", "a", "a", "s:3"]


@pytest.mark.parametrize("distance", [-1, 0, 4])
def test_the_same_bytes_are_held_out_together_though_both_are_kept(distance: int) -> None:
    both = [decision(0, 5, sha256="a", by_hand=True), decision(1, 5, sha256="a", by_hand=True), decision(2, 2**40 - 1)]
    rows = without_copies(both, distance)
    assert [(row.outcome, row.group) for row in rows] == [("kept", "s:0"), ("kept", "s:0"), ("kept", "s:2")]


def test_what_is_alike_is_held_out_together_though_a_person_keeps_both() -> None:
    """The third is like the other two, which are not like each other."""
    kept = [decision(n, hash_, area=9 - n, by_hand=True) for n, hash_ in enumerate((0, 0xFF, 0b1111))]
    assert [(row.outcome, row.group) for row in without_copies(kept, 4)] == [("kept", "s:0")] * 3
    assert [row.group for row in without_copies(kept, 3)] == ["s:0", "s:1", "s:2"]
    assert [row.group for row in without_copies(kept, -1)] == ["s:0", "s:1", "s:2"]


@given(seed=st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_what_is_kept_is_not_alike_and_every_copy_names_one_that_is_kept(seed: int) -> None:
    rng = np.random.default_rng(seed)
    hashes = flipped(rng.integers(0, 2**64, 6, dtype=np.uint64)[rng.integers(0, 6, 60)], 5, rng)
    decisions = [decision(n, int(h), area=int(rng.integers(1, 5))) for n, h in enumerate(hashes)]
    rows = without_copies(decisions, 4)
    kept = {row.picture for row in rows if row.outcome == "kept"}
    number = {f"s:{n}": n for n in range(60)}
    assert all(row.detail.removeprefix("of ") in kept for row in rows if row.outcome == "refused")
    left = np.array([hashes[number[name]] for name in kept], np.uint64)
    assert not brute_force(left, 4)
    groups = {row.picture: row.group for row in rows}
    assert all(groups[row.picture] == groups[row.detail.removeprefix("of ")] for row in rows if row.detail)


def test_a_picture_with_several_crops_is_refused_once() -> None:
    many = decision(1, 7, area=5)
    many = Decision(rows=(many.first, many.first), likeness=7, area=5)
    rows = without_copies([decision(0, 7, area=9), many], 4)
    assert [(row.id, row.outcome) for row in rows] == [("s:0", "kept"), ("s:1", "refused")]
    assert without_copies([], 4) == []
