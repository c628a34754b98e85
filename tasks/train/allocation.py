"""What becomes of memory that a step frees: by default the C library hands it back, and the next step asks anew.

Each page that comes new has to be found and cleared by the kernel first: of a small network's step up to a sixth.
"""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # parameters of glibc's mallopt(3)
LARGEST_KEPT = 32 << 20  # bytes, of one block; glibc takes no more
KEPT = 2**31 - 1  # bytes, of all that is free at the end of the heap; what the call can say


def keep_freed_memory() -> None:
    """From now on this process keeps up to 2 GiB of what it frees, in blocks of 32 MiB at most, for what it needs next.

    With a C library other than glibc nothing changes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, LARGEST_KEPT)
        mallopt(_TRIM_THRESHOLD, KEPT)
