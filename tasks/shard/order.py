"""The order in which pictures are seen, and how each is cropped and turned: arithmetic on integers, without a state.

Every number is splitmix64 (Steele, Lea and Flood, 2014, https://doi.org/10.1145/2714064.2660195) of a key and a
counter, so orders do not move with the versions of torch or numpy and any step can be asked for at once.
"""

from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))
FACTORS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def key(*parts: int | str) -> np.uint64:
    """A 64-bit key that stands for `parts`."""
    return np.uint64(int.from_bytes(sha256(repr(parts).encode()).digest()[:8], "little"))


def draws(key: np.uint64, counters: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Draw number `counters` of the stream `key`: the finaliser of splitmix64 at state key + (counter + 1) * golden."""
    with np.errstate(over="ignore"):
        mixed = key + (counters + np.uint64(1)) * GOLDEN
        mixed = (mixed ^ (mixed >> SHIFTS[0])) * FACTORS[0]
        mixed = (mixed ^ (mixed >> SHIFTS[1])) * FACTORS[1]
        return mixed ^ (mixed >> SHIFTS[2])


def permutation(num: int, key: np.uint64) -> NDArray[np.int64]:
    """0 to num - 1 in an order that `key` decides, int64 [num]; one key, one order, for good."""
    return np.argsort(draws(key, np.arange(num, dtype=np.uint64)), kind="stable").astype(np.int64)


def below(limit: int, key: np.uint64, counters: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Integers from 0 to limit - 1, as good as evenly, int64 like `counters`; limit is far below 2**32."""
    high = draws(key, counters) >> np.uint64(32)
    return ((high * np.uint64(limit)) >> np.uint64(32)).astype(np.int64)
