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
from flows.publish import default_remote, others, retract
from flows.settings import Operations
from flows.versions import Git
from tasks.errors import BarenError
from tasks.files import SCRATCH

CACHE = Path(".dvc/cache")
SPARED = "Removing "  # begins the lines in which dvc gc says what it would remove
KEEPS = ("--workspace", "--all-branches", "--all-tags", "--all-experiments")  # what dvc gc must leave
UNFINISHED = ("*-*/*/", "infer/*/", "paint/photographs/*/")  # where in SCRATCH, a folder each; files there are kept
PAGE = 200  # flow runs that Prefect's API gives at once


@dataclass(frozen=True)
class Pile:
    """Something that can go, and how."""

    said: str
    clear: Callable[[], None]


def piles(operations: Operations, now: datetime) -> Iterator[Pile]:
    """What is older than is kept on this disk and in Prefect. Each pile is looked at once the one before is dealt with:
    the cache can spare what the versions that went were the last to name.
    """
    before = now - timedelta(days=operations.keep_days)
    yield from _versions(operations, before)
    yield from _cache()
    yield from _unfinished(now - timedelta(days=operations.keep_unfinished_days))
    yield from _logs(before)
    yield from _flow_runs(before)


def remote_piles(operations: Operations, now: datetime, url: str) -> Iterator[Pile]:
    """What is older than is kept on the DVC remote at `url` and on the git remote; everywhere is meant, not here alone.

    Only what a commit once named goes, and only where no branch, tag or experiment names it now, here or on the git
    remote on which all checkouts publish. Raises BarenError, and nothing goes, where that cannot be known: no such git
    remote, or one that does not answer; another remote than `url`; an object that no commit ever named, since it is
    another project's or that of a checkout that did not publish.
    """
    name = default_remote()
    default = dvc("config", f"remote.{name}.url").strip() if name else "not set"
    if url != default:
        raise BarenError(
            f"{url!r} is not the address of the default DVC remote, which is {default}; what goes there is gone for "
            "everybody, so it has to be named in full"
        )
    with others(operations):
        if unknown := _spare_there("--all-commits", "--force"):
            raise BarenError(
                f"{len(unknown)} objects of {url} were never named by a commit that is known here (such as "
                f"{unknown[0]}), so another project, or a checkout that does not publish, may need them; nothing goes. "
                "If they are nobody's, `dvc gc --cloud` by hand removes them"
            )
        yield from _versions(operations, now - timedelta(days=operations.keep_days), published=True)
        if found := _spare_there(*KEEPS):
            yield Pile(
                f"remote: {len(found)} objects of {url} that no branch, tag or experiment names, here or on "
                f"{operations.publish}",
                lambda: print(dvc("gc", *KEEPS, "--cloud", "--force").strip()),
            )


def _versions(operations: Operations, before: datetime, *, published: bool = False) -> Iterator[Pile]:
    git = Git()
    if not operations.branch or not git.here():
        return
    tags = git.moments(f"{operations.branch}-*")  # the newest first, which always stays
    old = [tag for tag, when in tags[1:] if when < before]
    if not old:
        return
    stay = {out["md5"] for tag, _ in tags if tag not in old for out in _outs(git, tag)}
    going = {out["md5"]: int(out.get("size") or 0) for tag in old for out in _outs(git, tag) if out["md5"] not in stay}

    def clear() -> None:
        if published:
            retract(operations, old)
        git.forget(old)

    yield Pile(
        f"versions: {len(old)} of {len(tags)} are older than {operations.keep_days} days ({old[-1]} to {old[0]}); "
        f"their tags go{f', on {operations.publish} too' if published else ''}, and then up to "
        f"{_size(sum(going.values()))} that only they name can go from the {'remote' if published else 'cache'}",
        clear,
    )


def _outs(git: Git, tag: str) -> Iterator[dict[str, Any]]:
    if "dvc.lock" in git.files(tag):
        for block in lock.parse(git.show(tag, "dvc.lock")).values():
            yield from (out for out in block.get("outs") or () if "md5" in out)


def _cache() -> Iterator[Pile]:
    """What this checkout's own cache can spare; one that is shared is left to who shares it."""
    found = [Path(path) for path in _spare(*KEEPS)] if CACHE.exists() else []
    if found:
        size = _size(sum(path.stat().st_size for path in found if path.exists()))
        yield Pile(
            f"cache: {len(found)} objects, {size}, that no branch, tag or experiment here names",
            lambda: print(dvc("gc", *KEEPS, "--force").strip()),
        )


def _spare_there(*names: str) -> list[str]:
    return [path for path in _spare(*names, "--cloud") if not Path(path).is_relative_to(CACHE.absolute())]


def _spare(*names: str) -> list[str]:
    """The paths of the objects that `dvc gc` would remove; looking removes none."""
    return [line.removeprefix(SPARED) for line in dvc("gc", *names, "--dry").splitlines() if line.startswith(SPARED)]


def _unfinished(before: datetime) -> Iterator[Pile]:
    """Checkpoints, canvases and other work that was begun under params or inputs nobody returned to."""
    found = sorted(folder for where in UNFINISHED for folder in SCRATCH.glob(where))
    old = [folder for folder in found if _touched(folder) < before]
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
    from prefect.client.schemas.filters import (
        ArtifactFilter,
        ArtifactFilterFlowRunId,
        FlowRunFilter,
        FlowRunFilterEndTime,
    )

    ended = FlowRunFilter(end_time=FlowRunFilterEndTime.model_validate({"before_": before}))

    def clear() -> None:
        with get_client(sync_client=True) as client:
            while found := client.read_flow_runs(flow_run_filter=ended, limit=PAGE):
                for run in found:
                    of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]))
                    while artifacts := client.read_artifacts(artifact_filter=of_run, limit=PAGE):
                        for artifact in artifacts:  # pictures, the most of the database; with a run only its logs go
                            client.delete_artifact(artifact.id)
                    client.delete_flow_run(run.id)

    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(flow_run_filter=ended, limit=PAGE)
    if found:
        count = f"{len(found)}" if len(found) < PAGE else f"{PAGE} or more"
        said = f"Prefect: {count} flow runs that ended before {before:%Y-%m-%d}, with their logs and artifacts"
        yield Pile(said, clear)


def _remove(paths: list[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _touched(folder: Path) -> datetime:
    # Of links themselves: what a training began with is linked from DVC's cache, which may have let go of it.
    times = [path.lstat().st_mtime for path in (folder, *folder.rglob("*"))]
    return datetime.fromtimestamp(max(times), UTC)


def _bytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:,.2f} GB" if num_bytes >= 1e8 else f"{num_bytes / 1e6:,.1f} MB"
