"""python -m pipelines STEP NAME: one step on one picture set or recipe, by hand or from DVC; no server of any kind.

The steps are scrape, prepare, shard (for a picture set), train, evaluate, infer (for a recipe), and report.
"""

import argparse
import errno
import gc
import importlib
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tasks.errors import BarenError, Exhausted, Stopped, Transient
from tasks.progress import Progress

SET_STEPS = {
    "scrape": "collect the pictures of a set from its source",
    "prepare": "decide on every picture: kept with its crop, or refused with a reason",
    "shard": "pack kept crops into tensors",
}
RECIPE_STEPS = {
    "train": "train a recipe's networks",
    "evaluate": "measure a trained recipe on held-out pictures",
    "infer": "paint whole held-out photographs",
}
TOOLS = {  # each in a module of its own, with main(argv)
    "sources": "list, check, try and make sources",
    "shards": "verify, show, compact, export and import shards",
    "paint": "paint a photograph with a trained recipe",
    "sample": "draw pictures with a trained recipe that needs no photograph",
    "export": "write a trained painter as an ONNX file",
}
ROWS_UNSEEN = 20_000  # new objects that are no reason yet to look for cycles among all: ledgers are long, and have none
NOT_OURS = (  # of the errors of files: what stands in the way at a place that a person named
    errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG,
)  # fmt: skip
OF_FLOWS = {  # handed over whole to a process of `python -m flows`: they ask DVC and Prefect, which only flows do
    "plan": "what a rebuild would do, why, and about how long it would take",
    "status": "how things stand: sets, models, versions",
    "doctor": "what this machine lacks, and how to get it",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one step; returns the exit code: 0, 1 for what a person can mend, 75 for what may heal, 128 + signal."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    progress = Progress()
    gc.set_threshold(ROWS_UNSEEN)
    try:
        if arguments and arguments[0] in TOOLS:
            return importlib.import_module(f"pipelines.{arguments[0]}").main(arguments[1:])
        if arguments and arguments[0] in OF_FLOWS:
            os.execv(sys.executable, [sys.executable, "-m", "flows", *arguments])
        chosen = _parser().parse_args(arguments)
        progress.listen()
        _end_with_parent()
        from pipelines import stages
        from pipelines.params import Params

        stages.run(chosen.step, getattr(chosen, "name", ""), Params.load(), progress)
        return 0
    except (Transient, Exhausted) as error:
        return _told(str(error), os.EX_TEMPFAIL)
    except BarenError as error:
        return _told(str(error), 1)
    except Stopped as stop:
        return _told(f"{stop}; nothing unfinished was kept as finished, run it again to go on", stop.exit_code)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return _told(f"the disk is full ({error}); make room and run it again", 1)
        if error.errno in NOT_OURS and error.strerror:
            return _told(f"{error.filename}: {error.strerror.lower()}; choose another place, or mend that one", 1)
        raise


def _told(sentence: str, code: int) -> int:
    print(f"baren: {sentence}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipelines", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    for step, what in SET_STEPS.items():
        steps.add_parser(step, help=what).add_argument("name", metavar="SET", help="a picture set of params.yaml")
    for step, what in RECIPE_STEPS.items():
        steps.add_parser(step, help=what).add_argument("name", metavar="RECIPE", help="a recipe of params.yaml")
    steps.add_parser("report", help="one page that shows what every stage did")
    steps.add_parser("check", help="check all of params.yaml and run nothing")
    for tool, what in {**TOOLS, **OF_FLOWS}.items():
        steps.add_parser(tool, help=what, add_help=False)
    return parser


def _end_with_parent() -> None:
    """Ask for a clean stop once the process that started us is gone, so that no stage is left running alone."""
    ancestors = _ancestors()

    def watch() -> None:
        while all(Path(f"/proc/{pid}").exists() for pid in ancestors) and os.getppid() == ancestors[0]:
            time.sleep(1)
        os.kill(os.getpid(), 15)

    if ancestors and ancestors[0] > 1:
        threading.Thread(target=watch, daemon=True, name="parent").start()


def _ancestors() -> list[int]:
    """Our parent; where that is a shell that only carries our command, its parent too."""
    parent = os.getppid()
    try:
        name = Path(f"/proc/{parent}/comm").read_text().strip()
        fields = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()
        command = Path(f"/proc/{parent}/cmdline").read_bytes().split(b"\0")
    except OSError:  # no /proc: the parent alone
        return [parent]
    if name in {"sh", "dash", "bash"} and b"-c" in command and int(fields[1]) > 1:
        return [parent, int(fields[1])]
    return [parent]


if __name__ == "__main__":
    sys.exit(main())
