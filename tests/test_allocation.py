"""Memory that a step frees serves the next one."""

import subprocess
import sys

from toy import ROOT

STEPS = """
import resource, sys
import numpy as np
from tasks.train.allocation import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()
faults = []
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [np.ones(2**20) for _ in range(12)]  # 8 MiB each
    del blocks
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(min(faults[1:]))
"""


def faults(how: str) -> int:
    """New pages that a step asks for, of steps which allocate and free 96 MiB."""
    run = [sys.executable, "-c", STEPS, how]
    return int(subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


def test_a_training_asks_for_no_new_pages_once_it_has_what_a_step_needs() -> None:
    assert faults("kept") < 100 < 1000 < faults("not")
