"""Time as the polite client sees it: handed in, so that a test of an hour's patience takes no time."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

_SLICE = 0.25  # seconds between two looks at whether somebody asked us to stop


class Clock:
    """The real time; sleeping ends with Stopped as soon as `check` raises it."""

    def __init__(self, check: Callable[[], None] = lambda: None) -> None:
        self._check = check

    def now(self) -> float:
        """Seconds on a clock that never goes back."""
        return time.monotonic()

    def utc(self) -> datetime:
        """The date and time in UTC."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Wait, in slices short enough to be interrupted."""
        end = self.now() + seconds
        while (left := end - self.now()) > 0:
            self._check()
            time.sleep(min(left, _SLICE))
