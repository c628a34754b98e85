"""One rebuild at a time in a checkout: a second one waits its turn, and says for whom."""

import fcntl
import json
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tasks.files import SCRATCH


@contextmanager
def turn(purpose: str, say: Callable[[str], None], root: Path = Path()) -> Generator[int]:
    """Hold the checkout `root` for `purpose`; yields the descriptor that holds it.

    A process that inherits the descriptor holds on too: stages that are still ending keep the next rebuild waiting,
    even where the rebuild that started them was killed. The kernel lets go with the last of them; nothing goes stale.
    """
    path = root / SCRATCH / "rebuild.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for {_holder(descriptor)} in this checkout to end")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        holder = {"purpose": purpose, "process": os.getpid(), "since": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(holder).encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def holder(root: Path = Path()) -> str:
    """Who holds the checkout now, in words; empty where nobody does."""
    path = root / SCRATCH / "rebuild.lock"
    if not path.exists():
        return ""
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return ""
    except BlockingIOError:
        return _holder(descriptor)
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> str:
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
        return f"{holder['purpose']} (process {holder['process']}, since {holder['since']})"
    except (ValueError, KeyError, TypeError):
        return "another rebuild"
