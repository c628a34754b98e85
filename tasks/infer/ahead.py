"""Iterators run in threads of their own, so that reading, painting and writing overlap."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from queue import Empty, Full, Queue
from typing import TypeVar

T = TypeVar("T")
TICK = 0.1  # seconds between looks at whether anybody still listens


class _End:
    """The last thing an iterator says: that it is over, and with which error."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def ahead(items: Iterable[T], depth: int = 2) -> Iterator[T]:
    """The items, made in another thread at most `depth` ahead of their use; its errors are raised here."""
    return merged([items], depth)


def merged(sources: Sequence[Iterable[T]], depth: int = 2) -> Iterator[T]:
    """The items of several iterators, each run in a thread of its own, in the order they come."""
    queue: Queue[T | _End] = Queue(depth)
    closed = threading.Event()

    def put(item: T | _End) -> bool:
        while not closed.is_set():
            try:
                queue.put(item, timeout=TICK)
                return True
            except Full:
                continue
        return False

    def pull(source: Iterable[T]) -> None:
        try:
            for item in source:
                if not put(item):
                    return
            put(_End(None))
        except BaseException as error:  # whatever it is, it is raised where the items are used
            put(_End(error))

    threads = [threading.Thread(target=pull, args=(source,), daemon=True) for source in sources]
    for thread in threads:
        thread.start()
    try:
        going = len(threads)
        while going:
            try:
                item = queue.get(timeout=TICK)
            except Empty:
                continue
            if isinstance(item, _End):
                if item.error:
                    raise item.error
                going -= 1
            else:
                yield item
    finally:
        closed.set()
        for thread in threads:
            thread.join()
