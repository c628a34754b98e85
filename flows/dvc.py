"""DVC by its command line: one sentence where it refuses."""

import subprocess
from pathlib import Path

from flows.guard import environment
from tasks.errors import BarenError

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
