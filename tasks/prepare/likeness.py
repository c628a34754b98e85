"""A 64-bit hash that copies of a picture share, and the search for all pairs of hashes that nearly agree.

The hash is that of Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010), section 3.2.
"""

import itertools
from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from tasks.picture import Pixels

Hashes = npt.NDArray[np.uint64]  # [n]
Pairs = npt.NDArray[np.int64]  # [m, 2], each row i < j

BITS = 64
BUCKET = 256  # hashes that share their bands and are still compared each with each; larger buckets are split again


def perceptual_hash(picture: Pixels) -> int:
    """The signs of the 64 lowest frequencies of the luma of `picture`, uint8 [H, W, 3], about their median.

    Scaling, recompression and small changes of light turn over few bits; pictures that differ disagree in about 32.
    """
    small = cv2.resize(cv2.cvtColor(_quarter(picture), cv2.COLOR_RGB2GRAY), (32, 32), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small.astype(np.float32))[:8, :8].ravel()
    return int(np.packbits(low > np.median(low)).view(">u8")[0])


def near_pairs(hashes: Hashes, distance: int) -> Pairs:
    """All pairs i < j among `hashes`, no two of them equal, that differ in at most `distance` bits (0 to 16); in order.

    Exact. Bits are dealt into distance + 2 bands: who differs in `distance` bits agrees in two of them at least, so
    only hashes that share two bands are compared. Where pictures are alike (skies, blank scans) many share them; such
    a bucket is split again by the bits that are left, so that work stays near to the number of pairs there are.
    """
    size = len(hashes)
    keys = [i * size + j for i, j in _found(hashes, np.arange(size), np.arange(BITS), distance)]
    known = np.unique(np.concatenate(keys)) if keys else np.zeros(0, np.int64)
    return np.stack([known // max(size, 1), known % max(size, 1)], 1)


def _found(
    hashes: Hashes, members: npt.NDArray[np.int64], bits: npt.NDArray[np.int64], distance: int
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Near pairs among `members`, which agree in every bit but `bits`; some pairs come more than once."""
    bands = np.array_split(bits, distance + 2)
    if len(members) <= BUCKET or any(len(band) == 0 for band in bands):
        yield from _compared(hashes, *_all_pairs(np.array([0]), np.array([len(members)])), members, distance)
        return
    for one, other in itertools.combinations(range(len(bands)), 2):
        shared = np.concatenate([bands[one], bands[other]])
        mask = np.bitwise_or.reduce(np.uint64(1) << shared.astype(np.uint64))
        keys = hashes[members] & mask
        order = np.argsort(keys, kind="stable")
        ordered = members[order]
        starts = np.flatnonzero(np.r_[True, np.diff(keys[order]) != 0])
        counts = np.diff(np.r_[starts, len(members)])
        small = (counts > 1) & (counts <= BUCKET)
        yield from _compared(hashes, *_all_pairs(starts[small], counts[small]), ordered, distance)
        left = np.setdiff1d(bits, shared)
        for start, count in zip(starts[counts > BUCKET], counts[counts > BUCKET], strict=True):
            yield from _found(hashes, ordered[start : start + count], left, distance)


def _all_pairs(
    starts: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Both places of every pair inside each run of `counts` places from `starts` on."""
    ends = np.repeat(starts + counts, counts)
    firsts = np.arange(len(ends)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(starts, counts)
    partners = ends - firsts - 1
    left = np.repeat(firsts, partners)
    right = np.arange(len(left)) - np.repeat(np.cumsum(partners) - partners, partners) + left + 1
    return left, right


def _compared(
    hashes: Hashes,
    left: npt.NDArray[np.int64],
    right: npt.NDArray[np.int64],
    members: npt.NDArray[np.int64],
    distance: int,
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    i, j = members[left], members[right]
    near = np.bitwise_count(hashes[i] ^ hashes[j]) <= distance
    i, j = i[near], j[near]
    if len(i):
        yield np.minimum(i, j), np.maximum(i, j)


def _quarter(picture: Pixels) -> Pixels:
    """A large picture thinned by averaging before its luma is taken: the hash needs 32 pixels a side."""
    height, width = picture.shape[:2]
    part = min(height, width) // 128
    if part < 2:
        return picture
    return np.asarray(cv2.resize(picture, (width // part, height // part), interpolation=cv2.INTER_AREA), np.uint8)
