"""DVC by its command line: one sentence where it refuses."""

import subprocess
from pathlib import Path

from flows.guard import environment
from tasks.errors import BarenError

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
    out, complaint = question.communicate()
    if question.returncode:
        lines = [line.strip().removeprefix("ERROR: ") for line in complaint.splitlines() if line.strip()]
        said = " ".join(line for line in lines if not line.startswith(BESIDES))
        raise BarenError(f"dvc {question.args[2]} failed: {said}")  # type: ignore[index]
    return out
