"""When things are done by themselves: the schedules, and the process that serves them, or the pool that takes them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from prefect import Flow, serve
from prefect.client.orchestration import get_client
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_API_PORT

from flows.collect import collect
from flows.departed import begin_again, mark_departed
from flows.pages import pages
from flows.server import server
from flows.train import train
from tasks.errors import BarenError, ParamsError

# minute, hour, day of month, month, day of week; in UTC. The report is part of both.
NIGHTLY = "0 3 * * *"
WEEKLY = "0 5 * * 0"
PAGE = "data/7-report/index.html"


@dataclass(frozen=True)
class Planned:
    """A flow that is run by itself."""

    flow: "Flow[..., Any]"
    name: str
    cron: str
    description: str


def planned(nightly: str = NIGHTLY, weekly: str = WEEKLY) -> list[Planned]:
    """What is scheduled. Any new picture makes training stale, so collecting and training have schedules of their own.

    Raises ParamsError for a schedule that is none.
    """
    return [
        Planned(collect, "nightly", _cron("--nightly", nightly), "New pictures, their shards, the report."),
        Planned(
            train, "weekly", _cron("--weekly", weekly), "Stale trainings, and with the better models prints and report."
        ),
    ]


def deploy(plans: list[Planned]) -> None:
    """Serve `plans` until stopped, on the configured Prefect server or on one of our own with its pages.

    One run at a time, which this process sees to: a limit that the server keeps would outlive a killed run as a place
    that is never free again, and no night would ever begin.
    """
    with server(serving=True) as url, pages(PREFECT_SERVER_API_PORT.value() + 1) as linked:
        begin_again(mark_departed(print), print)
        print(f"baren: serving {', '.join(plan.flow.name for plan in plans)}; its pages are at {url[: -len('/api')]}")
        print(f"baren: the report is at {linked}/{PAGE}" if linked else f"baren: the report is {PAGE}", flush=True)
        # What a reboot missed is run late, not passed over; of several nights missed the first one collects for all.
        serve(*map(_served, plans), pause_on_shutdown=False, limit=1)


def deploy_to_pool(plans: list[Planned], pool: str) -> None:
    """Register `plans` with a work pool of the configured server; its workers run them in this checkout.

    Raises BarenError where the server has no such pool.
    """
    if not PREFECT_API_URL.value():
        raise BarenError("--pool needs a server that stays: set PREFECT_API_URL to its address")
    with server():
        with get_client(sync_client=True) as client:
            pools = [known.name for known in client.read_work_pools()]
        if pool not in pools:
            raise BarenError(
                f"the server has no work pool {pool!r}; it has: {', '.join(pools) or 'none'}; "
                f"`prefect work-pool create --type process {pool}` makes it"
            )
        for plan in plans:
            entrypoint = f"flows/{plan.flow.name}.py:{plan.flow.name}"
            stored = cast("Flow[..., Any]", plan.flow.from_source(source=f"{Path.cwd()}", entrypoint=entrypoint))
            register = cast(Callable[..., Any], stored.deploy)
            register(
                plan.name, work_pool_name=pool, cron=plan.cron, description=plan.description,
                build=False, print_next_steps=False, ignore_warnings=True,
            )  # fmt: skip


def _served(plan: Planned) -> RunnerDeployment:
    return RunnerDeployment.from_flow(plan.flow, name=plan.name, cron=plan.cron, description=plan.description)


def _cron(option: str, text: str) -> str:
    try:
        return CronSchedule(cron=text, timezone="UTC").cron
    except ValueError as error:
        raise ParamsError(
            f"{option} is {text!r}, which is no schedule; it takes five fields (minute, hour, day of month, month, "
            'day of week), such as "0 3 * * *" for three in the night'
        ) from error
