"""The flows by hand, python -m flows: rebuild, collect, train, restore, paint; plan, status, doctor, tidy; deploy."""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

from tasks.errors import BarenError


def main(arguments: list[str] | None = None) -> int:
    """Run one flow to its end; 0 where it completed, 1 where it did not, 128 + signal where it was stopped."""
    parser = argparse.ArgumentParser(prog="python -m flows", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    rebuild = commands.add_parser("rebuild", help="run the stages that are stale, side by side, as one Prefect flow")
    rebuild.add_argument("recipe", nargs="?", help="only what this recipe of params.yaml needs")
    collect = commands.add_parser(
        "collect", help="ask the web for new pictures, then bring shards and report up to date"
    )
    collect.add_argument("picture_sets", nargs="*", metavar="SET", help="only these picture sets of params.yaml")
    train = commands.add_parser("train", help="train what is stale; a worse model does not replace the one that paints")
    train.add_argument("recipes", nargs="*", metavar="RECIPE", help="only these recipes of params.yaml")
    restore = commands.add_parser("restore", help="let the models of a kept version paint again; alone, list them")
    restore.add_argument("version", nargs="?", help="a tag that `python -m flows restore` lists, or any commit")
    restore.add_argument("recipes", nargs="*", metavar="RECIPE", help="only the models of these recipes")
    commands.add_parser("plan", help="what a rebuild would do, why, and about how long it would take")
    commands.add_parser("status", help="how things stand: sets, models, versions")
    commands.add_parser("doctor", help="what this machine lacks, and how to get it")
    tidy = commands.add_parser("tidy", help="show what is older than params.yaml keeps it; with --yes delete it")
    tidy.add_argument("--yes", action="store_true", help="delete what is shown")
    tidy.add_argument(
        "--remote", metavar="URL", help="the DVC remote at URL instead, and the versions on operations.publish"
    )
    notify = commands.add_parser(
        "notify", help="let the configured server post to URL on a silent source or failed run"
    )
    notify.add_argument("url", metavar="URL", help="a webhook that takes JSON")
    paint = commands.add_parser("paint", help="make prints; all words are those of `python -m pipelines paint`")
    paint.add_argument("words", nargs="*", metavar="PHOTO ... --recipe RECIPE ...")
    deploy = commands.add_parser("deploy", help="serve the schedules until stopped, or hand them to a work pool")
    deploy.add_argument("--pool", help="register with this work pool of the configured server, and serve nothing")
    deploy.add_argument("--nightly", metavar="CRON", help="when to collect, in UTC")
    deploy.add_argument("--weekly", metavar="CRON", help="when to train what is stale, in UTC")
    given = list(sys.argv[1:] if arguments is None else arguments)
    painting = given[:1] == ["paint"] and not {"-h", "--help"} & set(given)  # whose words are not ours to parse
    asked = parser.parse_args(given[:1] if painting else given)
    asked.words = given[1:]
    signal.signal(signal.SIGTERM, _end)  # so that what is cleaned up on the way out is, and the server we started ends
    try:
        return _COMMANDS[asked.command](asked)
    except BarenError as error:
        print(f"baren: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _rebuild(asked: argparse.Namespace) -> int:
    from flows.names import require_recipes
    from flows.rebuild import rebuild

    require_recipes([asked.recipe] if asked.recipe else ())
    return _run(rebuild, asked.recipe)


def _collect(asked: argparse.Namespace) -> int:
    from flows.collect import collect
    from flows.names import require_picture_sets

    require_picture_sets(asked.picture_sets)
    return _run(collect, asked.picture_sets or None)


def _train(asked: argparse.Namespace) -> int:
    from flows.names import require_recipes
    from flows.train import train

    require_recipes(asked.recipes)
    return _run(train, asked.recipes or None)


def _restore(asked: argparse.Namespace) -> int:
    from flows.restore import restore, versions

    if asked.version:
        return _run(restore, asked.version, asked.recipes or None)
    print("\n".join(versions()) or "no version was kept yet; each successful flow run in a git checkout keeps one")
    return 0


def _paint(asked: argparse.Namespace) -> int:
    from flows.paint import paint

    return _run(paint, asked.words)


def _run(flow: Any, *arguments: Any) -> int:
    """Run a flow on the configured server or a temporary one, and say how it ended."""
    from flows.server import answers, server

    with server() as url:
        try:
            state = flow(*arguments, return_state=True)
        except Exception:
            if answers(url, timeout=5.0):
                raise
            print(
                f"baren: the Prefect server at {url} went away during the run; what had ended is recorded, so start "
                "the server and run it again", file=sys.stderr, flush=True,
            )  # fmt: skip
            os._exit(1)  # Prefect would try for minutes to tell a server that is gone
        print(f"{flow.name}: {state.message}", file=sys.stderr)
        return 0 if state.is_completed() else 1


def _plan(_asked: argparse.Namespace) -> int:
    from flows.plan import told

    print(told())
    return 0


def _status(_asked: argparse.Namespace) -> int:
    from flows.status import told

    print(told())
    return 0


def _doctor(_asked: argparse.Namespace) -> int:
    from flows.doctor import examine, told

    findings = examine()
    print(told(findings))
    return 1 if any(finding.state == "missing" for finding in findings) else 0


def _tidy(asked: argparse.Namespace) -> int:
    from flows.server import server
    from flows.settings import Operations
    from flows.tidy import piles, remote_piles
    from flows.turn import turn

    operations, now = Operations.load(), datetime.now(UTC)
    alone = turn("tidying up", print) if asked.yes else nullcontext()  # no stage is storing anything meanwhile
    with nullcontext() if asked.remote else server(), alone:
        for pile in remote_piles(operations, now, asked.remote) if asked.remote else piles(operations, now):
            print(pile.said)
            if asked.yes:
                pile.clear()
    if not asked.yes:
        print("nothing was deleted; `python -m flows tidy --yes` does it")
    return 0


def _notify(asked: argparse.Namespace) -> int:
    from flows.notify import notify
    from flows.server import server

    with server():
        print(f"{asked.url} will be told of: {', '.join(notify(asked.url))}")
    return 0


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


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "rebuild": _rebuild,
    "collect": _collect,
    "train": _train,
    "restore": _restore,
    "plan": _plan,
    "status": _status,
    "doctor": _doctor,
    "tidy": _tidy,
    "notify": _notify,
    "paint": _paint,
    "deploy": _deploy,
}

if __name__ == "__main__":
    sys.exit(main())
