"""The flows by hand: python -m flows rebuild [RECIPE] | collect [SET ...] | deploy."""

import argparse
import signal
import sys
from typing import Any

from tasks.errors import BarenError


def main(arguments: list[str] | None = None) -> int:
    """Run one flow to its end; 0 where it completed, 1 where it did not, 128 + signal where it was stopped."""
    parser = argparse.ArgumentParser(prog="python -m flows", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    rebuild = commands.add_parser("rebuild", help="run the stages that are stale, side by side, as one Prefect flow")
    rebuild.add_argument("recipe", nargs="?", help="only what this recipe of params.yaml needs")
    collect = commands.add_parser("collect", help="ask the web for new pictures, then rebuild all but the training")
    collect.add_argument("picture_sets", nargs="*", metavar="SET", help="only these picture sets of params.yaml")
    deploy = commands.add_parser("deploy", help="serve the schedules until stopped, or hand them to a work pool")
    deploy.add_argument("--pool", help="register with this work pool of the configured server, and serve nothing")
    deploy.add_argument("--nightly", metavar="CRON", help="when to collect, in UTC")
    deploy.add_argument("--weekly", metavar="CRON", help="when to rebuild what is stale, trainings too, in UTC")
    asked = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _end)  # so that what is cleaned up on the way out is, and the server we started ends
    try:
        match asked.command:
            case "rebuild":
                return _rebuild(asked.recipe)
            case "collect":
                return _collect(asked.picture_sets)
            case _:
                return _deploy(asked)
    except BarenError as error:
        print(f"baren: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _rebuild(recipe: str | None) -> int:
    from flows.rebuild import rebuild
    from flows.server import server

    with server():
        return _told("rebuild", rebuild(recipe, return_state=True))


def _collect(picture_sets: list[str]) -> int:
    from flows.collect import collect
    from flows.server import server

    with server():
        return _told("collect", collect(picture_sets or None, return_state=True))


def _told(what: str, state: Any) -> int:
    print(f"{what}: {state.message}", file=sys.stderr)
    return 0 if state.is_completed() else 1


def _deploy(asked: argparse.Namespace) -> int:
    from flows.deploy import NIGHTLY, WEEKLY, deploy, deploy_to_pool, planned

    plans = planned(asked.nightly or NIGHTLY, asked.weekly or WEEKLY)
    if asked.pool:
        deploy_to_pool(plans, asked.pool)
    else:
        deploy(plans)
    return 0


def _end(signum: int, _frame: Any) -> None:
    sys.exit(128 + signum)


if __name__ == "__main__":
    sys.exit(main())
