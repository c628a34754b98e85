"""A run that is cancelled in Prefect (its pages, its API) stops, also where no worker watches over it."""

import os
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from uuid import UUID

from prefect.client.orchestration import get_client

LOOK = 5.0  # seconds between two looks at the run's state


@contextmanager
def heeded(run: UUID) -> Generator[threading.Event]:
    """As long as this lasts, this process gets a SIGTERM once `run` is cancelled; the event then says why it came."""
    cancelled, over = threading.Event(), threading.Event()

    def watch() -> None:
        with get_client(sync_client=True) as client:
            while not over.wait(LOOK):
                try:
                    state = client.read_flow_run(run).state
                except Exception:  # a server that is away for a while is no reason to stop, nor to stop looking
                    continue
                if state is not None and (state.is_cancelling() or state.is_cancelled()) and not over.is_set():
                    cancelled.set()
                    os.kill(os.getpid(), signal.SIGTERM)
                    return

    threading.Thread(target=watch, daemon=True, name="cancel").start()
    try:
        yield cancelled
    finally:
        over.set()


@contextmanager
def once() -> Generator[None]:
    """As long as this lasts, a further SIGTERM changes nothing: a cancelled run gets one of ours and its worker's."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
