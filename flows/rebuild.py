"""The DAG of dvc.yaml through Prefect: one task a stage, independent stages side by side, only the stale ones run."""

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.context import get_run_context
from prefect.futures import PrefectFuture, wait
from prefect.states import Cancelled, Completed, Failed

from flows import lock
from flows.artifacts import leave_artifacts
from flows.cancel import heeded, once
from flows.dag import Dag, ask, step_of
from flows.departed import mark_departed, sign
from flows.dvc import forget_departed
from flows.logs import written_down
from flows.names import require_recipes
from flows.publish import hand_on
from flows.settings import Operations, load_blocks, require_sound_params
from flows.steps import HABITS, Before, Habit, Workbench, as_task
from flows.turn import turn
from flows.versions import keep_version
from tasks.errors import BarenError


@flow(name="rebuild", persist_result=False)
def rebuild(recipe: str | None = None) -> State[Any]:
    """Bring everything up to date, or only what one recipe needs; the flow fails where a stage does."""
    return in_one_sentence(lambda: _rebuild(recipe))


def _rebuild(recipe: str | None) -> State[Any]:
    with checkout(f"a rebuild of {recipe or 'everything'}") as bench:
        require_recipes([recipe] if recipe else ())
        dag = ask()
        state = walk(dag.part_of(recipe) if recipe else dag, bench)
        if state.is_completed():
            keep(f"Rebuild {recipe or 'everything'}: {state.message}")
        return state


def keep(what: str) -> str:
    """Commit and tag what a run made, and hand it on with what an earlier run could not; the tag, "" for no new one."""
    logger, operations = get_run_logger(), Operations.load()
    version = keep_version(operations.branch, what, datetime.now(UTC))
    if version is None:
        return ""
    if version.new:
        logger.info(
            "kept; to bring it back commit or put away what you changed (git stash -u), then git checkout %s && "
            "dvc checkout",
            version.tag,
        )
    hand_on(operations, logger.info)
    return version.tag


def conclude(what: str, states: Iterable[State[Any]], message: str) -> State[Any]:
    """How a run ends whose parts ended in `states`: what completed is kept and handed on, also where others failed.

    dvc.lock tells of each stage as it last completed, so no version names what a failed one left behind.
    """
    well = all(state.is_completed() for state in states)
    try:
        keep(f"{what}: {message}")
    except BarenError as error:
        return Failed(message=f"{message}; {error}")
    return Completed(message=message) if well else Failed(message=message)


def in_one_sentence(work: Callable[[], State[Any]]) -> State[Any]:
    """What `work` gives; where it raises a BarenError, a failure that says its sentence, without a traceback.

    Where somebody cancels the run in Prefect, `work` is stopped as by SIGTERM, and the run ends as cancelled.
    """
    with heeded(get_run_context().flow_run.id) as cancelled:  # type: ignore[union-attr]
        try:
            return work()
        except BarenError as error:
            return Failed(message=str(error))
        except BaseException:
            if not cancelled.is_set():
                raise
            return Cancelled(message="its stages were stopped, and nothing unfinished was kept as finished")


@contextmanager
def checkout(purpose: str) -> Generator[Workbench]:
    """Hold the checkout we stand in for `purpose`, and yield the bench to run its stages on."""
    logger = get_run_logger()
    sign(get_run_context().flow_run.id)  # type: ignore[union-attr]
    mark_departed(logger.warning)
    with written_down(), turn(purpose, logger.info) as held:
        forget_departed(logger.warning)
        lock.mend(logger.warning)
        require_sound_params()
        yield Workbench(held)


def walk(
    dag: Dag,
    bench: Workbench,
    forced: frozenset[str] = frozenset(),
    habits: Mapping[str, Habit] = HABITS,
    before: Before | None = None,
) -> State[Any]:
    """Run the stale stages of `dag`, each after all it waits for; a stage whose forerunner failed is not run.

    Stages in `forced` are run stale or not. `habits` are by step, or by stage where one has its own. `before` is called
    with a stage and its log before it is run.
    """
    stale = dag.stale() | forced
    titles = titled(dag)
    futures: dict[str, PrefectFuture[Any]] = {}
    try:
        for stage, upstream in dag.waits_for.items():
            step = step_of(stage)
            reasons = dag.changed.get(stage, ()) if stage in stale else None
            futures[stage] = as_task(step, titles[stage]).submit(
                stage,
                reasons,
                bench,
                habits.get(stage, habits[step]),
                stage in forced,
                before,
                wait_for=[futures[name] for name in upstream],
            )
        wait(list(futures.values()))
    except BaseException:  # Ctrl-C, SIGTERM, a cancelled run: nothing is left running
        with once(), suppress(BarenError):
            bench.stop()
            lock.mend(get_run_logger().warning)
        raise
    lock.mend(get_run_logger().warning)
    states = {stage: future.state for stage, future in futures.items()}
    leave_artifacts((stage for stage, state in states.items() if _ran(state)), get_run_logger().warning)
    return _verdict(states)


def titled(dag: Dag) -> dict[str, str]:
    """What a person reads for each stage: "scrape photos from sample", "train travelgan", "report"."""
    pictures = load_blocks("pictures")
    titles: dict[str, str] = {}
    for stage in dag.waits_for:
        step, _, name = stage.partition("@")
        source = f" from {pictures[name]['scrape']['use']}" if step == "scrape" else ""
        titles[stage] = f"{step} {name}{source}".strip()
    return titles


def _verdict(states: Mapping[str, State[Any]]) -> State[Any]:
    failed = [stage for stage, state in states.items() if state.is_failed() or state.is_crashed()]
    waiting = [stage for stage, state in states.items() if not state.is_final()]
    ran = [stage for stage, state in states.items() if _ran(state)]
    if failed:
        behind = f"; not run, because they follow: {', '.join(waiting)}" if waiting else ""
        return Failed(message=f"{', '.join(failed)} failed{behind}")
    if ran:
        return Completed(message=f"brought up to date: {', '.join(ran)}")
    return Completed(message="everything was up to date")


def _ran(state: State[Any]) -> bool:
    return state.is_completed() and state.name != "Cached"
