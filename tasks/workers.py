"""Work spread over an executor's workers, its results in the order of the items.

A worker that dies (a decoder that crashes, a machine short of memory) takes one item with it, not the run.
"""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from typing import Any, TypeVar

from tasks.errors import BarenError

AHEAD = 64  # items in flight: enough for any machine's workers, little enough to stop soon

Item = TypeVar("Item")
Result = TypeVar("Result")


class Renewable(Executor):
    """An executor made by `make`, and made again once a dead worker has broken it."""

    def __init__(self, make: Callable[[], Executor]) -> None:
        self._make = make
        self._executor = make()

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        return self._executor.submit(fn, *args, **kwargs)

    def renew(self) -> None:
        """Leave the broken one behind and go on with another."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._executor = self._make()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._executor.shutdown(wait=wait, cancel_futures=cancel_futures)


def each(
    executor: Executor,
    work: Callable[[Item], Result],
    items: Iterable[Item],
    crashed: Callable[[Item], Result] | None = None,
) -> Iterator[Result]:
    """`work(item)` for every item, in order; no more than AHEAD items are under way at once.

    Where a worker dies, what was under way is done again, one item at a time, on a renewed executor; an item that
    kills its worker again becomes `crashed(item)`. What still waits is cancelled where the caller stops listening.
    Raises BarenError where a worker dies and the executor cannot be renewed, or `crashed` is not given.
    """
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    rest = iter(items)
    try:
        while True:
            try:
                for item in itertools.islice(rest, AHEAD - len(waiting)):
                    waiting.append((item, _submit(executor, work, item)))
                if not waiting:
                    return
                result = waiting[0][1].result()
            except BrokenExecutor as error:
                again = [item for item, _ in waiting]
                waiting.clear()
                for item in again:
                    yield _alone(executor, work, item, crashed, error)
                continue
            waiting.popleft()
            yield result
    finally:
        for _, future in waiting:
            future.cancel()


def _submit(executor: Executor, work: Callable[[Item], Result], item: Item) -> Future[Result]:
    """A broken executor says so at once; the item keeps its place, and meets the error there."""
    try:
        return executor.submit(work, item)
    except BrokenExecutor as error:
        future: Future[Result] = Future()
        future.set_exception(error)
        return future


def _alone(
    executor: Executor,
    work: Callable[[Item], Result],
    item: Item,
    crashed: Callable[[Item], Result] | None,
    error: BrokenExecutor,
) -> Result:
    renew = getattr(executor, "renew", None)
    if renew is None or crashed is None:
        raise BarenError(
            "a worker died in the middle of its work, perhaps for want of memory; run it again with fewer workers"
        ) from error
    for _ in range(2):  # a first failure may be left over from a neighbour's
        try:
            return executor.submit(work, item).result()
        except BrokenExecutor:
            renew()
    return crashed(item)
