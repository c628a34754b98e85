"""Work keeps its order, and a worker that dies takes one item with it."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest

from tasks.errors import BarenError
from tasks.workers import AHEAD, Renewable, each


def square(number: int) -> int:
    return number * number


def square_or_die(number: int) -> int:
    if number % 13 == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def died(number: int) -> int:
    return -number


@pytest.fixture(scope="module")
def workers() -> Iterator[Renewable]:
    with Renewable(lambda: ProcessPoolExecutor(2, get_context("forkserver"))) as executor:
        yield executor


def test_results_stand_in_the_order_of_the_items(workers: Renewable) -> None:
    for executor in (workers, ThreadPoolExecutor(3)):
        assert list(each(executor, square, range(200))) == [n * n for n in range(200)]


def test_an_item_that_kills_its_worker_is_named_and_the_others_are_done(workers: Renewable) -> None:
    expected = [-n if n % 13 == 5 else n * n for n in range(24)]
    assert list(each(workers, square_or_die, range(24), died)) == expected
    assert list(each(workers, square, range(5))) == [0, 1, 4, 9, 16], "and the executor is sound again"


def test_an_executor_that_cannot_be_renewed_ends_in_a_sentence() -> None:
    with ProcessPoolExecutor(1) as executor, pytest.raises(BarenError, match="a worker died"):
        list(each(executor, square_or_die, [5], died))


def test_few_items_are_under_way_and_a_listener_that_leaves_cancels_them() -> None:
    asked: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1000):
            asked.append(number)
            yield number

    executor: Executor = ThreadPoolExecutor(2)
    with executor:
        results = each(executor, square, items())
        assert next(results) == 0
        assert len(asked) <= AHEAD + 1
        results.close()  # type: ignore[attr-defined]
