"""One at a time in a checkout: who asks a source, fetches a file or writes down a wait; who comes later waits."""

import fcntl
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from tasks.scrape.clock import Clock

LOOKS = 0.5  # seconds between two looks at whether it is our turn


@contextmanager
def alone(
    path: Path, clock: Clock, who: str = "another run", say: Callable[[str], None] = lambda sentence: None
) -> Generator[None]:
    """Hold `path`, a file of its own that stays, as `who`; `say` is told who holds it where somebody does.

    Waiting ends as `clock` says, with Stopped where that is asked for. The kernel lets go with the process that holds
    it, however it ends, so nothing goes stale.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not _ours(descriptor):
            say(f"waiting for {os.pread(descriptor, 4096, 0).decode(errors='replace') or 'another run'}")
            while not _ours(descriptor):
                clock.sleep(LOOKS)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{who} (process {os.getpid()})".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _ours(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
