"""The Prefect server a flow reports to: the one that is configured, or a temporary one for as long as we run."""

import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from threading import Event, Thread

from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, PREFECT_SERVER_API_PORT, temporary_settings

from flows.guard import let_go, on_a_leash
from tasks.errors import BarenError

GRACE = 3.0  # seconds a temporary server has to end; it would wait longer for connections that are ours
PATIENCE = 90.0  # seconds a temporary server has to answer: it has answered after 8 to 25 on a busy two-core machine


@contextmanager
def server(serving: bool = False) -> Generator[str]:
    """Yield the address of the server that flows started inside report to.

    Where none is configured one of ours serves meanwhile; `serving` gives it its pages and its scheduler too.
    Raises BarenError where the configured one does not answer, or ours does not start.
    """
    configured = PREFECT_API_URL.value()
    if not configured:
        with own_server(serving) as url, temporary_settings({PREFECT_API_URL: url}):
            yield url
        return
    if not answers(configured, timeout=10.0):
        raise BarenError(
            f"no Prefect server answers at PREFECT_API_URL={configured}; start it, correct the address, or unset "
            "it: a temporary server then serves, and `make serve` starts one that stays"
        )
    yield configured


@contextmanager
def own_server(serving: bool) -> Generator[str]:
    """A Prefect server on loopback, on Prefect's own database, that ends with us however we end."""
    port = PREFECT_SERVER_API_PORT.value() if serving else _free_port()
    url = f"http://127.0.0.1:{port}/api"
    if answers(url, timeout=1.0):
        raise BarenError(f"a Prefect server answers at {url} already; set PREFECT_API_URL={url} to use it")
    bare = [] if serving else ["--no-ui", "--no-scheduler", "--no-late-runs"]
    command = [
        "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port), "--log-level", "ERROR",
        "--analytics-off", *bare,
    ]  # fmt: skip
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        process, ending = on_a_leash(command, GRACE, stdout=said, stderr=subprocess.DEVNULL), Event()
        try:
            deadline = time.monotonic() + PATIENCE
            while not answers(url, timeout=1.0):
                if process.poll() is not None or time.monotonic() > deadline:
                    said.seek(0)
                    raise BarenError(f"our Prefect server did not start: {_reason(said.read())}")
                time.sleep(0.1)
            if serving:
                Thread(target=_end_with, args=(process, ending), daemon=True, name="server").start()
            try:
                yield url
                if serving and (code := process.poll()) is not None:
                    raise BarenError(f"our Prefect server ended by itself ({code}), so nothing is served any more")
            finally:  # however we end: afterwards there is nobody to tell, and Prefect would try for a minute
                _tell_everything()
        finally:
            ending.set()
            let_go(process)
            process.wait()


def _end_with(process: subprocess.Popen[str], ending: Event) -> None:
    """Ask ourselves to end once the server is gone: whoever started us (systemd, say) starts both again."""
    process.wait()
    if not ending.is_set():
        os.kill(os.getpid(), signal.SIGTERM)


def _reason(said: str) -> str:
    """The last exception that a server told of, and where its database is set if it is not Prefect's own."""
    errors = [line.strip() for line in said.splitlines() if re.match(r"[\w.]+(Error|Exception)\b.*: ", line)]
    told = errors[-1] if errors else "it said nothing; `prefect server start` may"
    if os.environ.get("PREFECT_SERVER_DATABASE_CONNECTION_URL"):
        return f"{told}; the database is the one of PREFECT_SERVER_DATABASE_CONNECTION_URL: correct that, or unset it"
    return f"{told}; another server on the same database ({PREFECT_HOME.value()}) is the usual reason"


def _tell_everything() -> None:
    """What still waits to be sent to the server: log lines, and the states of tasks, which travel as events."""
    APILogWorker.drain_all(timeout=5)
    EventsWorker.drain_all(timeout=5)


def answers(url: str, timeout: float) -> bool:
    """Whether a Prefect API answers at `url`."""
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=timeout) as answer:
            return answer.status == 200
    except (OSError, ValueError, urllib.error.URLError):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
