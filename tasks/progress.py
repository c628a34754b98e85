"""What a person sees while a step runs (how far, how fast, how long yet), and how a step is asked to stop.

On a terminal a bar; elsewhere a plain line at most every `EVERY` seconds; nothing for work of under two seconds.
"""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TextIO, TypeVar

from tqdm import tqdm

from tasks.errors import Stopped

EVERY = 15.0  # seconds between two lines where there is no terminal
PATIENCE = 2.0  # seconds of work that need no telling

T = TypeVar("T")


class Progress:
    """Handed into every step: it says what happens, and carries the request to stop to a point that is safe.

    `stop_requested` holds the number of the signal that asked for the end, or None.
    """

    def __init__(self, out: TextIO = sys.stderr, now: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._now = now
        self.stop_requested: int | None = None

    def listen(self) -> None:
        """From now on SIGINT and SIGTERM ask for a clean stop; a second one ends the process at once."""

        def ask(signum: int, _frame: object) -> None:
            if self.stop_requested is not None:
                signal.signal(signum, signal.SIG_DFL)
                signal.raise_signal(signum)
            self.stop_requested = signum

        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, ask)
            signal.signal(signal.SIGTERM, ask)

    def check(self) -> None:
        """Raise Stopped if somebody asked for the end; called wherever stopping leaves things sound."""
        if self.stop_requested is not None:
            raise Stopped(self.stop_requested)

    def say(self, sentence: str) -> None:
        """Print one line."""
        tqdm.write(sentence, file=self._out)

    def track(
        self, items: Iterable[T], what: str, total: int | None = None, unit: str = "pictures", start: int = 0
    ) -> Iterator[T]:
        """Pass `items` through, telling how far, how fast and how long yet; stops cleanly between two of them.

        `start` counts what an earlier, interrupted run did already.
        """
        if total is None and hasattr(items, "__len__"):
            total = len(items) + start  # type: ignore[arg-type]
        began = last = self._now()
        done = told = start
        with tqdm(
            total=total, initial=start, desc=what, unit=f" {unit}", file=self._out,
            disable=not self._out.isatty(), delay=PATIENCE, dynamic_ncols=True,
        ) as bar:  # fmt: skip
            for item in items:
                self.check()
                yield item
                done += 1
                bar.update()
                now = self._now()
                if bar.disable and now - last >= EVERY:
                    last, told = now, done
                    self.say(_line(what, done, start, total, unit, now - began))
        if not self._out.isatty() and self._now() - began >= PATIENCE and told != done:
            self.say(_line(what, done, start, total, unit, self._now() - began))


def _line(what: str, done: int, start: int, total: int | None, unit: str, seconds: float) -> str:
    rate = (done - start) / seconds if seconds > 0 else 0.0
    told = f"{rate:,.1f}" if rate >= 1 else f"{rate:.2g}"
    line = f"{what}: {done:,}" + (f" of {total:,}" if total is not None else "") + f" {unit}, {told}/s"
    if total is not None and done < total and rate > 0:
        left = int((total - done) / rate)
        line += f", {left // 3600}:{left // 60 % 60:02}:{left % 60:02} left"
    return line
