"""Progress: where there is no terminal, a line now and then, and each only once."""

import io
import itertools

from tasks.progress import Progress


def told(seconds: float, num: int) -> list[str]:
    """The lines of work on `num` items, the clock moving on by `seconds` each time it is asked."""
    out, clock = io.StringIO(), itertools.count(0, seconds)
    assert list(Progress(out, lambda: next(clock)).track(range(num), "work", unit="pieces")) == list(range(num))
    return out.getvalue().splitlines()


def test_slow_work_tells_each_step_once() -> None:
    lines = told(20, 3)
    assert [line[:14] for line in lines] == ["work: 1 of 3 p", "work: 2 of 3 p", "work: 3 of 3 p"]
    assert "left" in lines[0]
    assert "left" not in lines[2]


def test_quick_work_is_told_at_its_end_and_quicker_work_not_at_all() -> None:
    assert [line[:14] for line in told(1, 3)] == ["work: 3 of 3 p"]
    assert told(0.1, 3) == []
