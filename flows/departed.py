"""Runs that a killed process left behind as running: the next run finds them, and marks them crashed."""

import os
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Crashed, Scheduled

PREFIX = f"process:{socket.gethostname()}:"
AGAIN = "again"  # marks a run that takes the place of one that was interrupted
RUNNING = [StateType.RUNNING, StateType.CANCELLING]


def sign(own: UUID) -> None:
    """Write this process on the flow run `own`.

    A process is known by its number and the moment it started, so that a number used again deceives nobody.
    """
    with get_client(sync_client=True) as client:
        client.update_flow_run(own, tags={*client.read_flow_run(own).tags, f"{PREFIX}{_identity(os.getpid())}"})


def mark_departed(say: Callable[[str], None]) -> list[FlowRun]:
    """Mark crashed every run that was signed by a process of this machine which is gone; gives them."""
    found: list[FlowRun] = []
    with get_client(sync_client=True) as client:
        still = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=RUNNING)))
        for run in client.read_flow_runs(flow_run_filter=still):
            identities = [tag.removeprefix(PREFIX) for tag in run.tags if tag.startswith(PREFIX)]
            if identities and not any(map(_alive, identities)):
                say(f"marking {run.name} as crashed: its process is gone")
                _crash(client, run)
                found.append(run)
    return found


def begin_again(runs: Iterable[FlowRun], say: Callable[[str], None]) -> None:
    """Begin each of `runs` that a deployment began once more, now: after a reboot nobody waits a week for a training.

    As due when it was: runs begin in the order in which they were due, and a night that came late would change the
    pictures under a training that had days behind it. Once: a run that takes the machine down with it does so no third
    time.
    """
    with get_client(sync_client=True) as client:
        for run in runs:
            if run.deployment_id and AGAIN not in run.tags:
                due = Scheduled(scheduled_time=run.expected_start_time)
                again = client.create_flow_run_from_deployment(run.deployment_id, state=due, tags=[AGAIN])
                say(f"{again.name} does again what {run.name} was interrupted in")


def _crash(client: SyncPrefectClient, run: FlowRun) -> None:
    left = TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=RUNNING)))
    for task_run in client.read_task_runs(
        flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id])), task_run_filter=left
    ):
        client.set_task_run_state(task_run.id, Crashed(message="its process is gone"), force=True)
    client.set_flow_run_state(run.id, Crashed(message="its process is gone"), force=True)


def _identity(process: int) -> str:
    return f"{process}:{_started(process)}"


def _alive(identity: str) -> bool:
    number = identity.partition(":")[0]
    return number.isdecimal() and _identity(int(number)) == identity


def _started(process: int) -> str:
    """When a process began, in clock ticks since the machine did; empty where there is none."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
