"""dvc.lock, kept whole and read stage by stage: what each last read and made, how large, and what has grown since."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import yaml

from tasks.errors import BarenError, NoRoom
from tasks.files import SCRATCH, write_text

LOCK = Path("dvc.lock")
COPY = SCRATCH / "dvc.lock"  # as it was when a stage last ended well
WAITS = (0.1, 0.3, 1.0)  # seconds after which it is read again
DAMAGED = (
    "dvc.lock is damaged; the next flow puts its last copy back if there is one; else bring it back from a version "
    "(git show kept:dvc.lock > dvc.lock), or delete it, and everything is built anew"
)
Entries = dict[str, dict[str, Any]]  # stage -> its block: cmd, deps, params, outs


def entries(root: Path = Path()) -> Entries:
    """The block of every recorded stage; none where nothing was ever built. Raises BarenError for a damaged file."""
    return _whole(root)[1] if (root / LOCK).exists() else {}


def mend(say: Callable[[str], None], root: Path = Path()) -> None:
    """Put the copy of dvc.lock back where the file was cut short; what was recorded since then runs again.

    DVC writes the file in place: a disk that fills meanwhile, or a process that is killed, leaves a part of it. Only
    for who holds the checkout, while no stage runs. Raises BarenError where there is no copy.
    """
    if not (root / LOCK).exists():  # nothing was built, or everything shall be built anew
        (root / COPY).unlink(missing_ok=True)
        return
    try:
        text, _ = _whole(root)
    except BarenError:
        if not (root / COPY).exists():
            raise
        write_text(root / LOCK, (root / COPY).read_text(encoding="utf-8"))
        say(f"dvc.lock was cut short; it is again as when a stage last ended well ({COPY}), later ones run again")
    else:
        _keep(text, root)


def keep_copy(root: Path = Path()) -> None:
    """Keep dvc.lock as it is now, for `mend`; an older copy stays where it cannot be read, or there is no room."""
    with suppress(BarenError):
        _keep(_whole(root)[0], root)


def _keep(text: str, root: Path) -> None:
    with suppress(NoRoom, OSError):
        write_text(root / COPY, text)


def _whole(root: Path) -> tuple[str, Entries]:
    """dvc.lock and its blocks. Raises BarenError where it was cut short: DVC and `put` end it with a line break."""
    for wait in (*WAITS, None):  # a stage that ends at this moment leaves half of it for a while
        try:
            text = (root / LOCK).read_text(encoding="utf-8")
            if text.endswith("\n"):
                return text, parse(text)
        except (BarenError, UnicodeDecodeError):
            pass
        if wait is not None:
            time.sleep(wait)
    raise BarenError(DAMAGED)


def parse(text: str) -> Entries:
    """The blocks of a dvc.lock of this or another revision; raises BarenError where they cannot be read."""
    try:
        content: Any = yaml.load(text, Loader=yaml.CSafeLoader)  # a tenth of safe_load's time
        return dict((content or {}).get("stages") or {})
    except (yaml.YAMLError, AttributeError, TypeError, ValueError) as error:
        raise BarenError("dvc.lock is damaged") from error


def put(blocks: Entries, root: Path = Path()) -> None:
    """Record `blocks` in place of what dvc.lock says of their stages."""
    text = yaml.safe_dump({"schema": "2.0", "stages": entries(root) | blocks}, sort_keys=False, allow_unicode=True)
    write_text(root / LOCK, text)
    keep_copy(root)


def made(block: Mapping[str, Any]) -> int:
    """The bytes of a stage's outputs when it last ran."""
    return sum(int(out.get("size") or 0) for out in block.get("outs") or ())


def hashes(block: Mapping[str, Any], side: Literal["deps", "outs"]) -> dict[str, str]:
    """The MD5 of each input or output of a stage's block, by its path."""
    return {one["path"]: one["md5"] for one in block.get(side) or () if "md5" in one}


def read_by(stage: str, recorded: Entries) -> dict[str, int]:
    """The bytes of each input that `stage` read when it last ran, by its path."""
    return {dep["path"]: int(dep["size"]) for dep in recorded.get(stage, {}).get("deps") or () if dep.get("size")}


def would_read(stage: str, recorded: Entries) -> dict[str, int]:
    """The bytes that each input of `stage` has now, by its path."""
    now = _sizes(recorded)
    return {path: now[path] for path in read_by(stage, recorded) if path in now}


def growth(recipe: str, recorded: Entries, judged: Mapping[str, int] | None = None) -> float:
    """By what share the most grown picture set of `recipe` has grown since it was trained on; 0 where it never was.

    `judged` are the bytes of what a later training read that failed, or whose model was put away: growth counts from
    there then. The bytes of shards stand for their pictures: every picture of a set takes as many.
    """
    now = _sizes(recorded)
    then, later = read_by(f"train@{recipe}", recorded), judged or {}
    shares = [now[path] / max(size, later.get(path, 0)) - 1 for path, size in then.items() if path in now]
    return max(shares, default=0.0)


def _sizes(recorded: Entries) -> dict[str, int]:
    outs = (out for block in recorded.values() for out in block.get("outs") or ())
    return {out["path"]: int(out["size"]) for out in outs if "size" in out}
