"""DVC by its command line: one sentence where it refuses."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from flows.guard import environment
from tasks.errors import BarenError
from tasks.files import write_text

RWLOCK = Path(".dvc/tmp/rwlock")
PATIENCE = 12 * 3600.0  # seconds for the largest push; a remote that hangs must not hold every night to come
BESIDES = ("WARNING: ", "Having any troubles?")  # begin lines that do not say why it failed


def dvc(*command: str, root: Path = Path()) -> str:
    """What `dvc COMMAND` says in the checkout `root`; raises BarenError with DVC's own words where it fails."""
    return answer(start(*command, root=root))


def start(*command: str, root: Path = Path()) -> subprocess.Popen[str]:
    """Begin `dvc COMMAND`, so that two questions can be asked at once; `answer` waits for it."""
    return subprocess.Popen(
        ["dvc", "--wait-for-lock", *command], cwd=root, env=environment(), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
    )  # fmt: skip


def answer(question: subprocess.Popen[str]) -> str:
    """What a command begun with `start` says."""
    try:
        out, complaint = question.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired as error:
        question.kill()
        question.communicate()
        asked = question.args[2]  # type: ignore[index]
        raise BarenError(f"dvc {asked} was given up after {PATIENCE / 3600:g} hours; is its remote well?") from error
    if question.returncode:
        lines = [line.strip().removeprefix("ERROR: ") for line in complaint.splitlines() if line.strip()]
        said = " ".join(line for line in lines if not line.startswith(BESIDES))
        raise BarenError(f"dvc {question.args[2]} failed: {said}")  # type: ignore[index]
    return out


def forget_departed(say: Callable[[str], None], root: Path = Path()) -> None:
    """Drop what processes hold in DVC's own record of who reads and writes, and are no dvc any more.

    After a power cut or a SIGKILL it names a number alone, and where another process has that number by now, DVC would
    call the path busy for good. A record that a full disk left empty would be refused for good too, and is removed.
    """
    path = root / RWLOCK
    if not path.exists():
        return
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        write = {one: by for one, by in record.get("write", {}).items() if _is_dvc(by["pid"])}
        read = {one: [by for by in readers if _is_dvc(by["pid"])] for one, readers in record.get("read", {}).items()}
        held = {"write": write, "read": {one: readers for one, readers in read.items() if readers}}
        if held != {"write": {}, "read": {}} | record:
            write_text(path, json.dumps(held))
            say(f"{RWLOCK} named processes that are gone; what they held is free again")
    except (ValueError, TypeError, KeyError, AttributeError):
        path.unlink(missing_ok=True)
        say(f"{RWLOCK} was damaged, and is removed")


def _is_dvc(process: int) -> bool:
    try:
        arguments = Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False
    return any(Path(argument).name == "dvc" for argument in arguments)
