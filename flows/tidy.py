"""What can go: versions, cached data, unfinished work, logs and run records older than params.yaml keeps them.

Looking deletes nothing: each `Pile` says what it holds, and only `clear` removes it.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flows import lock
from flows.dvc import dvc
from flows.logs import LOGS
from flows.settings import Operations
from flows.versions import Git
from tasks.files import SCRATCH

KEEPS = ("--workspace", "--all-branches", "--all-tags", "--all-experiments")  # what dvc gc must leave
PAGE = 200  # flow runs that Prefect's API gives at once


@dataclass(frozen=True)
class Pile:
    """Something that can go, and how."""

    said: str
    clear: Callable[[], None]


def piles(operations: Operations, now: datetime, *, remote: bool) -> Iterator[Pile]:
    """What is older than is kept; with `remote` what the DVC remote holds and nothing here names, too."""
    before = now - timedelta(days=operations.keep_days)
    yield from _versions(operations, before)
    yield from _cache(remote)
    yield from _unfinished(now - timedelta(days=operations.keep_unfinished_days))
    yield from _logs(before)
    yield from _flow_runs(before)


def _versions(operations: Operations, before: datetime) -> Iterator[Pile]:
    git = Git()
    if not operations.branch or not git.here():
        return
    tags = git.moments(f"{operations.branch}-*")  # the newest first, which always stays
    old = [tag for tag, when in tags[1:] if when < before]
    if not old:
        return
    stay = {out["md5"] for tag, _ in tags if tag not in old for out in _outs(git, tag)}
    going = {out["md5"]: int(out.get("size") or 0) for tag in old for out in _outs(git, tag) if out["md5"] not in stay}
    yield Pile(
        f"versions: {len(old)} of {len(tags)} are older than {operations.keep_days} days ({old[-1]} to {old[0]}); "
        f"their tags go, and then up to {_size(sum(going.values()))} that only they name can go from the cache",
        lambda: git.forget(old),
    )


def _outs(git: Git, tag: str) -> Iterator[dict[str, Any]]:
    if "dvc.lock" in git.files(tag):
        for block in lock.parse(git.show(tag, "dvc.lock")).values():
            yield from (out for out in block.get("outs") or () if "md5" in out)


def _cache(remote: bool) -> Iterator[Pile]:
    where = ("--cloud",) if remote else ()
    if remote or Path(".dvc/cache/files").exists():
        said = dvc("gc", *KEEPS, *where, "--dry", "--force").strip().splitlines()
        found = "; ".join(line for line in said if line.strip()) or "nothing to remove"
        yield Pile(
            f"cache{' and remote' if remote else ''}: what no branch, tag or experiment here names ({found})",
            lambda: print(dvc("gc", *KEEPS, *where, "--force").strip()),
        )


def _unfinished(before: datetime) -> Iterator[Pile]:
    """Checkpoints and other work of stages that was begun under params or inputs nobody returned to."""
    old = [folder for folder in sorted(SCRATCH.glob("*-*/*/")) if _touched(folder) < before]
    if old:
        yield Pile(
            f"unfinished: {len(old)} folders of {SCRATCH} that nobody wrote to since {before:%Y-%m-%d}, "
            f"{_size(sum(map(_bytes, old)))}",
            lambda: _remove(old),
        )


def _logs(before: datetime) -> Iterator[Pile]:
    old = [path for path in sorted(LOGS.glob("*.jsonl")) if path.stem < f"{before:%Y-%m-%d}"]
    if old:
        size = _size(sum(path.stat().st_size for path in old))
        yield Pile(f"logs: {len(old)} days before {before:%Y-%m-%d}, {size}", lambda: _remove(old))


def _flow_runs(before: datetime) -> Iterator[Pile]:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterEndTime

    ended = FlowRunFilter(end_time=FlowRunFilterEndTime.model_validate({"before_": before}))

    def clear() -> None:
        with get_client(sync_client=True) as client:
            while found := client.read_flow_runs(flow_run_filter=ended, limit=PAGE):
                for run in found:
                    client.delete_flow_run(run.id)

    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(flow_run_filter=ended, limit=PAGE)
    if found:
        count = f"{len(found)}" if len(found) < PAGE else f"{PAGE} or more"
        yield Pile(f"Prefect: {count} flow runs that ended before {before:%Y-%m-%d}, with their logs", clear)


def _remove(paths: list[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _touched(folder: Path) -> datetime:
    times = [path.stat().st_mtime for path in (folder, *folder.rglob("*"))]
    return datetime.fromtimestamp(max(times), UTC)


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:,.2f} GB" if num_bytes >= 1e8 else f"{num_bytes / 1e6:,.1f} MB"
