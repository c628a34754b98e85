"""What params.yaml says of operations: the block `operations`, which no stage reads and which may be left out."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from flows.judge import JUDGES
from tasks.errors import ParamsError
from tasks.files import SCRATCH, sha256_file
from tasks.settings import Settings, read_yaml

CHECKED = (
    SCRATCH / "checked"
)  # the hash of the params.yaml that was found right last; `python -m pipelines check` writes it
PARAMS = Path("params.yaml")
SAID = "baren: "  # how that begins its sentence


def load_params(path: Path = PARAMS) -> Mapping[str, Any]:
    """What the file says, its blocks unchecked. Raises ParamsError where it is missing, unreadable or no block."""
    content = read_yaml(path)
    if not isinstance(content, Mapping):
        raise ParamsError(f"{path} is {content!r}; it must be a block with the keys pictures, recipes, report")
    return content


def load_blocks(of: Literal["pictures", "recipes"]) -> Mapping[str, Any]:
    """What the file says of each picture set, or recipe, unchecked. Raises ParamsError where it has no such block."""
    blocks = load_params().get(of)
    if not isinstance(blocks, Mapping):
        raise ParamsError(f"{PARAMS}: {of} is {blocks!r}; it must be a block of names, each with its settings")
    return blocks


class Operations(Settings):
    """How runs are kept and models replaced; when and how often is written in flows/deploy.py."""

    # What a run completed is committed here (dvc.lock, curation, params), without touching what is checked out.
    # An empty name keeps none.
    branch: str = Field(default="kept", pattern=r"^([A-Za-z0-9][A-Za-z0-9_./-]*)?$")
    # A git remote (its name or address) on which this branch and its tags are published; empty: they stay in this
    # checkout. Several checkouts may publish on one.
    publish: str = ""
    # A night trains a recipe at once where one of its sets grew by this share since; otherwise the week's run does.
    grown: float = Field(default=0.2, gt=0, allow_inf_nan=True)
    # What a scheduled training begins with: nothing (runs stay comparable), or the last state of the model before it.
    begin: Literal["scratch", "last"] = "scratch"
    # A new model paints unless one of these is worse than the old one's by more than the share `tolerance`, on the
    # same held-out pictures. Every recipe has these two; two seeds of one recipe differ by a few per cent.
    judged_by: tuple[str, ...] = ("swd", "palette")
    tolerance: float = Field(default=0.05, ge=0, allow_inf_nan=True)

    # What is older may go when `python -m flows tidy` is told to: versions with their data, logs, run records.
    keep_days: int = Field(default=365, ge=1)
    keep_unfinished_days: int = Field(default=30, ge=1)  # ... and checkpoints of trainings nobody returned to

    @field_validator("judged_by")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in JUDGES:
                raise ValueError(f"{name!r} is no measure a model can be judged by; these are: {', '.join(JUDGES)}")
        return names

    @classmethod
    def load(cls, path: Path = PARAMS) -> "Operations":
        """The checked block; its defaults where the file has none. Raises ParamsError."""
        return cls.read(load_params(path).get("operations", {}), "operations")


def require_sound_params(path: Path = PARAMS) -> None:
    """Raise ParamsError for a mistake anywhere in params.yaml, before DVC removes what a stage made to run it again."""
    if CHECKED.exists() and CHECKED.read_text(encoding="utf-8") == sha256_file(path):
        return
    command = [sys.executable, "-m", "pipelines", "check"]  # a process of its own, since it loads torch
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise ParamsError((done.stderr.strip().splitlines() or ["params.yaml is not right"])[-1].removeprefix(SAID))
