"""When things are done by themselves: the schedules, and the process that serves them."""

from prefect import serve
from prefect.deployments.runner import RunnerDeployment

from flows.rebuild import rebuild
from flows.server import server

NIGHTLY = "0 3 * * *"  # minute, hour, day of month, month, day of week; in UTC


def deployments() -> list[RunnerDeployment]:
    """What is scheduled: every night, everything that has gone stale."""
    return [
        RunnerDeployment.from_flow(
            rebuild, name="nightly", cron=NIGHTLY, description="Rebuild whatever has gone stale.",
            concurrency_limit=1, work_pool_name=None,
        )
    ]  # fmt: skip


def deploy() -> None:
    """Serve the schedules until stopped, on the configured Prefect server or on one of our own with its pages."""
    with server(serving=True):
        serve(*deployments())
