"""What a flow needs on this machine: what is there, what is missing, and how to get it."""

import importlib.metadata
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from flows.dvc import dvc
from flows.publish import default_remote, waiting
from flows.settings import Operations, load_blocks
from flows.versions import Git
from tasks.errors import BarenError
from tasks.scrape.registry import find

LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)(.*)", re.MULTILINE)
LITTLE = 5e9  # bytes; less is worth a word before a night runs into it


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; "missing" keeps something from running, a "note" does not."""

    what: str
    state: Literal["well", "note", "missing"]
    said: str


def examine() -> list[Finding]:
    """Look at everything; a check that cannot be made is told as missing."""
    return [finding for check in _CHECKS for finding in _made(check)]


def told(findings: list[Finding]) -> str:
    """The findings for a person, one line each."""
    return "\n".join(f"{one.state:8}{one.what}: {one.said}" for one in findings)


def _made(check: "Check") -> Iterator[Finding]:
    try:
        yield from check()
    except (BarenError, OSError, ImportError) as error:
        yield Finding(check.__name__.strip("_"), "missing", " ".join(str(error).split()))


def _versions() -> Iterator[Finding]:
    asked: dict[str, list[str]] = {}  # some have a version for each Python, and some only for an older one
    for name, version, when in LOCKED.findall(Path("requirements.lock").read_text(encoding="utf-8")):
        asked.setdefault(name, []).extend([version, *(["none"] if "python_full_version" in when else [])])
    wrong: list[str] = []
    for name, versions in asked.items():
        try:
            here = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            here = "none"
        if here not in versions:
            wrong.append(f"{name} is {here}, locked is {versions[0]}")
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        yield Finding("versions", "missing", f"{'; '.join(wrong[:3])}{more}; `make setup` installs what is locked")
    else:
        yield Finding("versions", "well", f"all {len(asked)} packages are those of requirements.lock")


def _params() -> Iterator[Finding]:
    from pipelines.params import Params

    Params.load().check()
    Operations.load()
    yield Finding("params", "well", "params.yaml is right")


def _keys() -> Iterator[Finding]:
    pictures = load_blocks("pictures")
    for name, block in pictures.items():
        scrape = block["scrape"]
        source = find(scrape["use"])
        query = source.Query.read(scrape.get("query") or {}, f"pictures.{name}.scrape.query")
        lacking = [key for key in source.secrets_for(query) if not os.environ.get(key)]
        if scrape.get("site") == "museum":
            lacking = []
        elif source.manners_for(query).on_the_web and not scrape.get("contact"):
            yield Finding(
                "contact", "missing", f"pictures.{name}.scrape.contact of params.yaml is empty, and {source.name} is "
                "told who asks; write your address there",
            )  # fmt: skip
        if lacking:
            yield Finding(
                "keys", "missing", f"{', '.join(lacking)} not set, without which {source.name} cannot be asked for "
                f"{name}; get them from the site and export them",
            )  # fmt: skip
        else:
            yield Finding("keys", "well", f"{source.name} has what it needs for {name}")


def _gpu() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
        yield Finding("GPU", "well", ", ".join(names))
    elif any(Path("/proc/driver/nvidia/gpus").glob("*")):
        yield Finding("GPU", "missing", "there is one, and torch cannot use it; nvidia-smi says which driver it has")
    else:
        yield Finding("GPU", "note", f"none; trainings run on {len(os.sched_getaffinity(0))} CPU cores")


def _disk() -> Iterator[Finding]:
    free = shutil.disk_usage(".").free
    said = f"{free / 1e9:.1f} GB are free here"
    if free < LITTLE:
        yield Finding("disk", "note", f"{said}; `python -m flows tidy` shows what can go")
    else:
        yield Finding("disk", "well", said)


def _git() -> Iterator[Finding]:
    branch = Operations.load().branch
    if not Git().here():
        yield Finding("git", "note", "this is no git checkout, so no version is kept; `git init` makes it one")
    elif branch and Git().checked_out() == branch:
        yield Finding(
            "git", "missing", f"the branch {branch!r} is checked out, on which versions are kept; check out another"
        )
    elif not branch:
        yield Finding("git", "note", "operations.branch is '', so no version is kept")
    else:
        yield Finding("git", "well", f"versions are kept on the branch {branch!r}")
        yield from _published(Operations.load())


def _published(operations: Operations) -> Iterator[Finding]:
    if not operations.publish:
        yield Finding(
            "published", "note", "versions are on this disk alone; operations.publish in params.yaml names a git remote"
        )
    else:
        Git().reach(operations.publish)
        yield Finding("published", "well", f"the git remote {operations.publish} answers")
    yield from (
        Finding("waiting", "note", f"the last version has not reached {remote}; the next run hands it on")
        for remote in waiting(operations)
    )


def _remote() -> Iterator[Finding]:
    if not dvc("remote", "list").strip():
        yield Finding(
            "remote", "note", "no DVC remote, so data is on this disk alone; `dvc remote add -d NAME URL` sets one"
        )
        return
    if not (name := default_remote()):
        yield Finding("remote", "missing", "a DVC remote is set, and none is the default; `dvc remote default NAME`")
        return
    dvc("status", "--cloud", "--json")
    yield Finding("remote", "well", f"{name} answers")


def _server() -> Iterator[Finding]:
    from prefect.settings import PREFECT_API_URL

    from flows.server import answers

    url = PREFECT_API_URL.value()
    if not url:
        yield Finding("server", "note", "PREFECT_API_URL is not set, so each flow brings a temporary server")
    elif answers(url, timeout=10.0):
        yield Finding("server", "well", f"a Prefect server answers at {url}")
    else:
        yield Finding(
            "server",
            "missing",
            f"no Prefect server answers at PREFECT_API_URL={url}; start it, or unset that: "
            "`make serve` then starts one",
        )


Check = Callable[[], Iterator[Finding]]
_CHECKS: tuple[Check, ...] = (_versions, _params, _keys, _gpu, _disk, _git, _remote, _server)
