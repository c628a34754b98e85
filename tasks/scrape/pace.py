"""How fast one host is asked: its pause, its hourly budget, slower when it says so, and no more when it has had enough.

All threads share the pace of a host; each reserves its turn under a lock and waits outside it. A turn that the host
has since asked us to wait past is lost, and another is taken.
"""

import random
import threading
from collections import deque

from tasks.errors import Exhausted, SourceError, Transient
from tasks.scrape.clock import Clock

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds; where a site does not say how long, full jitter between 0 and these
LONGEST_RETRY_AFTER = 900.0  # seconds; a site that wants more is left for a later run
A_YEAR = 366 * 86_400.0  # seconds; a site that wants more is taken at so much, since dates end somewhere
ENOUGH = 5  # requests given up in a row, after which a host is left alone
SLOWER, FIRST_SLOWER = 2.0, 0.02  # times, and at least seconds, between requests after a "too many"
SLOWEST, FIRST_SLOWEST = 8.0, 0.08  # times the pause, and at least seconds: one that slows no more waits instead
EASIER = 0.995  # times, with each answer: back to the pause after some hundred of them


class Pace:
    """The turns of one host."""

    def __init__(self, host: str, pause: float, per_hour: int | None, clock: Clock) -> None:
        self.host, self._clock, self._per_hour = host, clock, per_hour
        self.pause = self._gap = pause
        self._next = self._slowed = self._not_before = clock.now() - 1e9
        self._sent: deque[float] = deque()
        self._lock = threading.Lock()
        self._given_up = self._broken_off = 0
        self.broken: SourceError | None = None

    def at_least(self, pause: float) -> None:
        """The host asked for this many seconds between two requests."""
        with self._lock:
            self.pause = max(self.pause, pause)
            self._next += max(0.0, pause - self._gap)  # also after what was asked already
            self._gap = max(self._gap, pause)

    def turn(self) -> float:
        """Wait for the next turn; gives its time. Raises what broke the host's patience or ours."""
        while True:
            with self._lock:
                turn = self._reserved()
            while (wait := turn - self._clock.now()) > 0:
                self._clock.sleep(wait)
            with self._lock:
                if self.broken is not None:  # meanwhile
                    raise self.broken
                if turn >= self._not_before:
                    return turn
                if turn in self._sent:  # nothing is sent then, so it counts for nothing in the hour's budget
                    self._sent.remove(turn)

    def answered(self) -> None:
        """The host gave what was asked."""
        with self._lock:
            self._given_up = 0
            self._gap = max(self.pause, self._gap * EASIER)

    def too_many(self, sent: float, attempt: int, retry_after: float | None) -> None:
        """The host answered 429 or 503 to what was sent at `sent`: everybody waits, and goes slower from then on."""
        wait = retry_after if retry_after is not None else self.jitter(attempt)
        if wait > LONGEST_RETRY_AFTER:
            spent = exhausted(self.host, self._clock.utc().timestamp() + min(wait, A_YEAR))
            with self._lock:
                self.broken = spent
            raise spent
        with self._lock:
            now = self._clock.now()
            self._not_before = max(self._not_before, now + wait)
            if sent > self._slowed:  # not what was already under way when we last slowed down
                slower = max(self._gap * SLOWER, FIRST_SLOWER)
                self._gap = min(slower, max(self.pause * SLOWEST, FIRST_SLOWEST))
                self._slowed = now + wait

    def jitter(self, attempt: int) -> float:
        """Seconds to wait before try `attempt` + 1, at random, so that many clients do not come back at once."""
        return random.uniform(0.0, min(LONGEST_WAIT, FIRST_WAIT * 2**attempt))

    def gave_up(self, what: str, kind: type[SourceError]) -> None:
        """One request failed for good, as `what` says; too many in a row, and the host is left alone for this run."""
        with self._lock:
            self._given_up += 1
            self._require_patience(self._given_up, what, kind)

    def broke_off(self, what: str) -> None:
        """One picture began to come, again and again, and never came whole; likewise."""
        with self._lock:
            self._broken_off += 1
            self._require_patience(self._broken_off, what, Transient)

    def came_whole(self) -> None:
        """A picture came whole."""
        with self._lock:
            self._broken_off = 0

    def _require_patience(self, failed: int, what: str, kind: type[SourceError]) -> None:
        if failed >= ENOUGH and self.broken is None:
            self.broken = kind(
                f"{self.host} failed {ENOUGH} requests in a row, the last with: {what}; "
                "what was fetched stays, run it again later"
            )

    def _reserved(self) -> float:
        """The time of the next turn, which is then nobody else's."""
        if self.broken is not None:
            raise self.broken
        turn = max(self._clock.now(), self._next, self._not_before, self._budget())
        self._next = turn + self._gap
        if self._per_hour is not None:
            self._sent.append(turn)
        return turn

    def _budget(self) -> float:
        """The earliest time at which the hour's budget has room."""
        if self._per_hour is None:
            return 0.0
        now = self._clock.now()
        while self._sent and self._sent[0] <= now - 3600:
            self._sent.popleft()
        return self._sent[-self._per_hour] + 3600 if len(self._sent) >= self._per_hour else 0.0


def exhausted(host: str, until: float) -> Exhausted:
    """The error for a quota that is spent until `until` (POSIX seconds)."""
    from datetime import UTC, datetime

    when = datetime.fromtimestamp(until, UTC)
    return Exhausted(
        f"{host} gives no more until {when:%Y-%m-%d %H:%M} UTC; what was fetched stays, run it again then", when,
        host,
    )  # fmt: skip
