"""The executor that steps are handed: processes of this machine unless BAREN_EXECUTOR says otherwise."""

import os
import signal
import threading
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait

from tasks.errors import ParamsError
from tasks.workers import Renewable


def make_executor(choice: str | None = None) -> Executor:
    """`choice` is "processes", "threads", or either with a count, as in "processes:4"; by default BAREN_EXECUTOR.

    Raises ParamsError for anything else.
    """
    text = choice or os.environ.get("BAREN_EXECUTOR") or "processes"
    kind, _, count = text.partition(":")
    if kind not in {"processes", "threads"} or not (count == "" or (count.isdigit() and int(count) > 0)):
        raise ParamsError(
            f"BAREN_EXECUTOR is {text!r}; it may be processes, threads, or either with a count: processes:4"
        )
    num_workers = int(count) if count else len(os.sched_getaffinity(0))
    if kind == "threads":
        return ThreadPoolExecutor(num_workers)
    # forkserver: a fork of a process that runs threads (the parent's watch, torch's) may hang
    return Renewable(
        lambda: ProcessPoolExecutor(num_workers, mp_context=get_context("forkserver"), initializer=_serve_quietly)
    )


def _serve_quietly() -> None:
    """A worker leaves signals to its parent, and leaves with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
