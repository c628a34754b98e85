"""How long each stage took when it last ran through a flow: what plans and statuses are told from."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from tasks.files import SCRATCH

RUNS = SCRATCH / "runs.jsonl"
LAST = 5  # runs of a stage that its usual time is told from


@dataclass(frozen=True)
class Run:
    """One run of a stage that succeeded."""

    stage: str
    ended: str  # UTC, to the second
    seconds: float


def remember(run: Run, path: Path = RUNS) -> None:
    """Add a run; stages that end side by side may do so at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(run)) + "\n")


def runs(path: Path = RUNS) -> list[Run]:
    """All that is remembered, the oldest first; a line that a killed process left half-written is passed over."""
    found: list[Run] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        with suppress(ValueError, TypeError):
            found.append(Run(**json.loads(line)))
    return found


def usual_seconds(path: Path = RUNS) -> dict[str, float]:
    """The middle time of each stage's last runs."""
    by_stage: dict[str, list[float]] = {}
    for run in runs(path):
        by_stage.setdefault(run.stage, []).append(run.seconds)
    return {stage: median(seconds[-LAST:]) for stage, seconds in by_stage.items()}
