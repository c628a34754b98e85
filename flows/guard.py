"""Runs one command in a process group of its own, and ends the whole group when whoever started it is gone.

    python -m flows.guard GRACE COMMAND ...

The number of the group is the one line on standard error; all that the command says goes to standard output.
Standard input is the leash: as long as its other end is open the command runs; when it closes (on purpose, or because
the process that held it was killed) the group is asked to stop with SIGINT, and killed if it has not in GRACE seconds.
DVC lets its command answer a SIGINT, and records nothing of a stage that was stopped.
"""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

WAITING = 0.05  # seconds between two looks at a group that is ending


def on_a_leash(
    command: list[str], grace: float, variables: Mapping[str, str] | None = None, **streams: Any
) -> subprocess.Popen[str]:
    """Start `command` under a guard, with `variables` more in its environment.

    Its group ends when `let_go` is called, or when this process does.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "flows.guard", f"{grace}", *command], env={**environment(), **(variables or {})},
        stdin=subprocess.PIPE, text=True, errors="replace", start_new_session=True, **streams,
    )  # fmt: skip


def let_go(process: subprocess.Popen[str]) -> None:
    """Ask a command started `on_a_leash` to end; its process ends once no process of its group is left."""
    assert process.stdin is not None
    with suppress(OSError):
        process.stdin.close()


def environment() -> dict[str, str]:
    """Ours, with the environment's own programs (dvc, and the python of each stage) first on PATH."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def guard(command: list[str], grace: float) -> int:
    """Run `command` to its end, or to that of the leash; returns its exit code, 128 + signal where one ended it.

    Returns only when no process of the group is left.
    """
    asked, ask = os.pipe()
    for signum in (signal.SIGINT, signal.SIGTERM):  # handled, not ignored: a command inherits what is ignored
        signal.signal(signum, lambda _signum, _frame: os.write(ask, b"!"))
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, process_group=0)
    print(child.pid, file=sys.stderr, flush=True)
    threading.Thread(target=_end_when_asked, args=(asked, child.pid, grace), daemon=True).start()
    code = child.wait()
    end_group(child.pid, grace)
    return code if code >= 0 else 128 - code


def end_group(group: int, grace: float) -> None:
    """Ask every process of the group to stop, kill those that do not, and return when none is left."""
    deadline = time.monotonic() + grace
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGINT)
        while time.monotonic() < deadline:
            time.sleep(WAITING)
            os.killpg(group, 0)
        os.killpg(group, signal.SIGKILL)


def _end_when_asked(asked: int, group: int, grace: float) -> None:
    """Wait until the leash, which nobody writes to, closes, or a signal comes."""
    select.select([0, asked], [], [])
    end_group(group, grace)


if __name__ == "__main__":
    sys.exit(guard(sys.argv[2:], float(sys.argv[1])))
