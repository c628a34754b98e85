"""Versions beyond this disk: their data on the DVC remote, their branch and tags on a git remote, where one is set."""

import random
import re
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flows.dvc import dvc
from flows.settings import Operations
from flows.versions import MANY, TRIES, Git, many
from tasks.errors import BarenError
from tasks.files import SCRATCH, fingerprint, read_json, write_json

PUSHED = SCRATCH / "pushed.json"  # the version whose data was pushed last, and how DVC was configured then
PUBLISHED = SCRATCH / "published.json"  # the version that the git remote got last, and which remote
CONFIG = (Path(".dvc/config"), Path(".dvc/config.local"))
OTHERS = "baren-others"  # tags below it name what the git remote has, as long as that must be known here
NOTHING_LOST = (
    "; the version is kept here, and the next run hands it on once the remote, our keys and rights there are in order "
    "(python -m flows doctor)"
)


def hand_on(operations: Operations, say: Callable[[str], None], root: Path = Path()) -> None:
    """Publish and push what is kept and was not yet, of this run or an earlier one.

    Raises BarenError, in the words of git or DVC, where a remote refuses; nothing is lost, the next run tries again.
    """
    try:
        publish(operations, say, root)
    finally:  # a git remote that refuses keeps no data back
        push_data(operations, say, root)


def push_data(operations: Operations, say: Callable[[str], None], root: Path = Path()) -> None:
    """Push the data of the last version to the DVC remote, where one is set; and of others that did not get there."""
    before, now = _read(root / PUSHED), _to_push(operations, root)
    if before == now:
        return
    if dvc("remote", "list", root=root).strip():
        follows = before.get("config") == now["config"] and before.get("commit") in Git(root).parents(now["commit"])
        try:
            said = dvc("push", *([] if follows else ["--all-tags"]), root=root)
        except BarenError as error:
            raise BarenError(f"{error}{NOTHING_LOST}") from error
        say(f"dvc push: {said.strip().splitlines()[-1] if said.strip() else 'done'}")
    write_json(root / PUSHED, now)


def default_remote() -> str:
    """The name of the DVC remote that is pushed to; empty where none is the default."""
    try:
        return dvc("remote", "default").strip()
    except BarenError:
        return ""


def waiting(operations: Operations, root: Path = Path()) -> list[str]:
    """The remotes that the last version has not reached."""
    found: list[str] = []
    if not (commit := Git(root).commit_of(f"refs/heads/{operations.branch}")):
        return found
    if _read(root / PUSHED) != _to_push(operations, root):
        found.append("the DVC remote")
    if operations.publish and _read(root / PUBLISHED) != {"commit": commit, "remote": operations.publish}:
        found.append(f"the git remote {operations.publish}")
    return found


def _to_push(operations: Operations, root: Path) -> dict[str, Any]:
    config = [path.read_text(encoding="utf-8") for name in CONFIG if (path := root / name).exists()]
    return {"commit": Git(root).commit_of(f"refs/heads/{operations.branch}"), "config": fingerprint(config)}


def publish(operations: Operations, say: Callable[[str], None], root: Path = Path()) -> None:
    """Push the branch of versions and its tags to the git remote `operations.publish`, where one is named.

    What another machine put on the same branch is joined: its commits stay, the branch's files are ours.
    """
    git, ref = Git(root), f"refs/heads/{operations.branch}"
    if not operations.publish or not git.commit_of(ref):
        return
    before = _read(root / PUBLISHED)
    if before == (now := {"commit": git.commit_of(ref), "remote": operations.publish}):
        return
    known = git.commit_of(before["commit"]) if before.get("remote") == operations.publish else ""
    tags = git.tags_between(known, now["commit"], f"{operations.branch}-*")
    try:
        _push_branch(git, operations.publish, ref)
        tags = [_push_tag(git, operations.publish, tag) for tag in tags]
    except BarenError as error:
        raise BarenError(f"{error}{NOTHING_LOST}") from error
    write_json(root / PUBLISHED, {**now, "commit": git.commit_of(ref)})
    say(f"published on {operations.publish}: {', '.join(tags) or operations.branch}")


def _push_branch(git: Git, remote: str, ref: str) -> None:
    for number in range(2 * TRIES):
        time.sleep(random.uniform(0, 0.3 * number))  # or machines that met once would meet again
        ours = git.commit_of(ref)
        if git.push(remote, ref):
            return
        both = [ours, git.fetch(remote, ref)]
        joined = git.write_commit(git.tree_of(ours), both, "Join what another machine kept", datetime.now(UTC))
        git.move(ref, joined, ours)
    raise BarenError(f"others keep pushing to {ref} of {remote}")


def _push_tag(git: Git, remote: str, tag: str) -> str:
    """Push one tag, under the next free number where another machine has that moment; gives its name."""
    if git.push(remote, f"refs/tags/{tag}"):
        return tag
    moment, commit = re.sub(r"-\d+$", "", tag), git.commit_of(f"refs/tags/{tag}")
    for other in (f"{moment}-{number}" for number in range(2, MANY)):
        if git.move(f"refs/tags/{other}", commit, ""):
            published = git.push(remote, f"refs/tags/{other}")
            git.forget([tag] if published else [other])
            if published:
                return other
    raise many(moment)


@contextmanager
def others(operations: Operations, root: Path = Path()) -> Generator[None]:
    """As long as this lasts, whatever the git remote names is named here too, by tags of their own; versions for good.

    Raises BarenError where no git remote is named, or it cannot be asked.
    """
    if not operations.publish:
        raise BarenError(
            "other checkouts may keep what this one does not name, and only a git remote on which all of them publish "
            "their versions can tell: name it under operations.publish in params.yaml, let each of them run once, and "
            "try again"
        )
    git, versions = Git(root), f"refs/tags/{operations.branch}-*"
    try:
        git.fetch(operations.publish, f"+refs/*:refs/tags/{OTHERS}/*", f"{versions}:{versions}")
        yield
    finally:
        with suppress(BarenError):
            git.forget(git.names(OTHERS))


def retract(operations: Operations, tags: list[str], root: Path = Path()) -> None:
    """Delete those of `tags` that the git remote has, there; within `others`."""
    git = Git(root)
    there = [tag for tag in tags if f"{OTHERS}/tags/{tag}" in git.names(OTHERS)]
    if there:
        git.push(operations.publish, *(f":refs/tags/{tag}" for tag in there))
        git.forget([f"{OTHERS}/tags/{tag}" for tag in there])


def _read(path: Path) -> dict[str, Any]:
    return read_json(path) if path.exists() else {}
