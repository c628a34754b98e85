"""Work spread over an executor's workers, its results in the order of the items."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

AHEAD = 64  # items in flight: enough for any machine's workers, little enough to stop soon

Item = TypeVar("Item")
Result = TypeVar("Result")


def each(executor: Executor, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`work(item)` for every item, in order; no more than AHEAD items are under way at once.

    What is still waiting is cancelled where the caller stops listening.
    """
    waiting: deque[Future[Result]] = deque()
    rest = iter(items)
    try:
        for item in itertools.islice(rest, AHEAD):
            waiting.append(executor.submit(work, item))
        while waiting:
            result = waiting.popleft().result()
            for item in itertools.islice(rest, 1):
                waiting.append(executor.submit(work, item))
            yield result
    finally:
        for future in waiting:
            future.cancel()
