"""How a run can be repeated, as far as this place knows it."""

import platform
import subprocess
from typing import Any

import numpy as np
import torch

from tasks.train.settings import Train


def described(settings: Train) -> dict[str, Any]:
    """Seed, git revision, versions, machine."""
    return {
        "seed": settings.seed,
        "git_revision": _git_revision(),
        "versions": {"python": platform.python_version(), "torch": str(torch.__version__), "numpy": np.__version__},
        "machine": {"system": platform.platform(), "threads": torch.get_num_threads()},
    }


def _git_revision() -> str:
    """The commit, with "+" behind it where files differ from it; "unknown" outside git."""
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run(["git", "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+" if changed.stdout.strip() else "")
