"""A step as Prefect sees it: one named task, with its retries and its time limit, run as a subprocess of DVC."""

import os
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from prefect import Task, get_run_logger
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows import lock
from flows.guard import end_group, let_go, on_a_leash
from flows.history import Run, remember
from flows.room import require
from tasks.errors import NoRoom

HOUR = 3600.0
WORTH_ANOTHER_TRY = "exited with 75"  # as DVC tells of the code by which a step says that a later try may succeed
GRACE = 60.0  # seconds a stage that is told to stop has to save its checkpoint

Outcome = Literal["ran", "unchanged"]
Before = Callable[[str, Callable[[str], None]], None]  # called with a stage and its log before it is run


@dataclass(frozen=True)
class Habit:
    """How a step is run: `retries` are the seconds to wait before each further try, `limit` the seconds it may take."""

    limit: float
    retries: tuple[float, ...] = ()
    computes: bool = False  # wants a whole accelerator, or without one all processors
    waits: bool = False  # mostly for others, so that it takes no share of the processors
    variables: Mapping[str, str] = field(default_factory=dict[str, str])  # more of its environment


HABITS = {
    "scrape": Habit(
        limit=12 * HOUR, retries=(60.0, 600.0, HOUR), waits=True
    ),  # the web mends itself; our own steps do not
    "prepare": Habit(limit=12 * HOUR),
    "shard": Habit(limit=6 * HOUR),
    "train": Habit(limit=14 * 24 * HOUR, computes=True),
    "evaluate": Habit(limit=6 * HOUR, computes=True),
    "infer": Habit(limit=12 * HOUR, computes=True),
    "report": Habit(limit=HOUR),
}


class StageFailed(Exception):
    """A stage ended with another code than 0, its own sentence in the log above; `again` where a later try may help."""

    def __init__(self, sentence: str, again: bool = False) -> None:
        super().__init__(sentence)
        self.again = again


class Workbench:
    """Runs stages side by side, each on a leash; hands out processors and accelerators; ends everything when asked.

    `held` is the descriptor by which the checkout is held (flows.turn): every stage holds it too.
    """

    def __init__(
        self, held: int, accelerators: Sequence[str] | None = None, grace: float = GRACE, num_seats: int | None = None
    ) -> None:
        self._held = held
        self._grace = grace
        self._accelerators: queue.Queue[str] = queue.Queue()
        for name in accelerators or accelerators_here():
            self._accelerators.put(name)
        # Besides what computes. A stage spreads over the processors by itself; many at once would only take memory.
        self._seats = threading.Semaphore(num_seats or max(2, len(os.sched_getaffinity(0)) // 2))
        self._leashes: set[subprocess.Popen[str]] = set()
        self._guarding = threading.Lock()
        self.stopping = threading.Event()

    def run(self, stage: str, say: Callable[[str], None], habit: Habit, *, force: bool = False) -> Outcome:
        """Run one stage through DVC, passing on what it says; StageFailed where it ends badly or takes too long."""
        if not habit.computes:
            with nullcontext() if habit.waits else self._seats:
                return self._run(stage, say, habit, force, habit.variables)
        if self._accelerators.empty():
            say("waiting until another stage has computed")
        name = self._accelerators.get()
        try:
            chosen = {"CUDA_VISIBLE_DEVICES": name} if name else {}
            return self._run(stage, say, habit, force, {**habit.variables, **chosen})
        finally:
            self._accelerators.put(name)

    def stop(self) -> None:
        """Ask every running stage to stop, start no other, and return when their processes are gone."""
        with self._guarding:
            self.stopping.set()
            running = list(self._leashes)
        for process in running:
            let_go(process)
        for process in running:
            process.wait()

    def _run(
        self, stage: str, say: Callable[[str], None], habit: Habit, force: bool, variables: Mapping[str, str]
    ) -> Outcome:
        command = ["dvc", "--wait-for-lock", "repro", "--single-item", *(["--force"] if force else []), stage]
        process, group = self._start(command, variables)
        late = threading.Event()

        def out_of_time() -> None:
            late.set()
            let_go(process)

        clock = threading.Timer(habit.limit, out_of_time)
        clock.start()
        # Where the guard itself was killed its group is still there, and holds our pipe open.
        threading.Thread(target=lambda: (process.wait(), end_group(group, self._grace)), daemon=True).start()
        outcome: Outcome = "unchanged"
        again = False
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("Running stage"):
                    outcome = "ran"
                again = again or line.rstrip().endswith(WORTH_ANOTHER_TRY)
                if line.strip():
                    say(line.rstrip())
            code = process.wait()
        finally:
            clock.cancel()
            let_go(process)
            with self._guarding:
                self._leashes.discard(process)
        if late.is_set():
            raise StageFailed(f"{stage} was stopped after its time limit of {habit.limit / HOUR:g} hours")
        if code:
            raise StageFailed(f"{stage} failed; its last lines say why", again)
        return outcome

    def _start(self, command: list[str], variables: Mapping[str, str]) -> tuple[subprocess.Popen[str], int]:
        with self._guarding:
            if self.stopping.is_set():
                raise StageFailed("not started: the run is stopping")
            process = on_a_leash(
                command, self._grace, variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=(self._held,)
            )
            self._leashes.add(process)
        assert process.stderr is not None
        return process, int(process.stderr.readline())


def accelerators_here() -> list[str]:
    """The names of the GPUs on which stages may compute, one each; a single nameless one on a machine without.

    Where CUDA_VISIBLE_DEVICES is set it names them: the others are somebody else's. Two networks on the same processors
    take several times as long as one after the other: their threads wait for each other at every layer.
    """
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is None:
        names = [f"{number}" for number, _ in enumerate(Path("/proc/driver/nvidia/gpus").glob("*"))]
    else:
        names = [name.strip() for name in given.split(",") if name.strip()]
    return names or [""]


def as_task(step: str, title: str) -> "Task[..., State[Any]]":
    """The Prefect task of one step, its run called `title`; its parameters are those of `_stage`.

    Without tags: Prefect asks its server for a slot by each tag, which takes two seconds a stage.
    """
    return Task(_stage, name=step, task_run_name=title, cache_policy=NO_CACHE, persist_result=False)


def _stage(
    stage: str,
    reasons: tuple[str, ...] | None,
    bench: Workbench,
    habit: Habit,
    force: bool = False,
    before: Before | None = None,
) -> State[Any]:
    """Run `stage` if it is stale (`reasons` is not None), and end in a state that says what came of it."""
    if reasons is None and not force:
        return Completed(name="Cached", message="nothing it reads has changed")
    logger = get_run_logger()
    for reason in reasons or ():
        logger.info("stale: %s", reason)

    def say(line: str) -> None:
        logger.info("%s", line)

    # Prefect's own retries sleep where no signal wakes them; ours end when the run is stopped.
    for number, delay in enumerate((*habit.retries, None), 1):
        try:
            if before is not None:
                before(stage, say)
            require(stage)
            began = time.monotonic()
            outcome = bench.run(stage, say, habit, force=force)
        except NoRoom as full:
            return Failed(message=f"{full} (python -m flows tidy shows what can go)")
        except StageFailed as failed:
            if delay is None or not failed.again:
                return Failed(message=str(failed))
            logger.warning("try %d of %d failed; the next in %g s", number, len(habit.retries) + 1, delay)
            if bench.stopping.wait(delay):
                return Failed(message=str(failed))
            continue
        if outcome == "unchanged":
            return Completed(name="Cached", message="DVC had its results, or what came before made no difference")
        lock.keep_copy()
        remember(Run(stage, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", round(time.monotonic() - began, 2)))
        return Completed(message=f"{stage} is up to date")
    raise AssertionError("the last try either succeeds or fails")
