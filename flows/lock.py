"""dvc.lock, read and mended stage by stage: what each last read and made, how large, and what has grown since."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tasks.errors import BarenError
from tasks.files import write_text

LOCK = Path("dvc.lock")
WAITS = (0.1, 0.3, 1.0)  # seconds before it is read again
Entries = dict[str, dict[str, Any]]  # stage -> its block: cmd, deps, params, outs


def entries(root: Path = Path()) -> Entries:
    """The block of every recorded stage; none where nothing was ever built. Raises BarenError for a damaged file."""
    path = root / LOCK
    for wait in WAITS:  # DVC writes the file in place: a stage that ends at this moment leaves half of it for a while
        try:
            return parse(path.read_text(encoding="utf-8")) if path.exists() else {}
        except BarenError:
            time.sleep(wait)
    return parse(path.read_text(encoding="utf-8"))


def parse(text: str) -> Entries:
    """The blocks of a dvc.lock of this or another revision; raises BarenError where it is none."""
    try:
        content: Any = yaml.safe_load(text)
        return dict((content or {}).get("stages") or {})
    except (yaml.YAMLError, AttributeError, TypeError, ValueError) as error:
        raise BarenError("dvc.lock is damaged; bring it back (git checkout dvc.lock), or delete it") from error


def put(blocks: Entries, root: Path = Path()) -> None:
    """Record `blocks` in place of what dvc.lock says of their stages."""
    text = yaml.safe_dump({"schema": "2.0", "stages": entries(root) | blocks}, sort_keys=False, allow_unicode=True)
    write_text(root / LOCK, text)


def made(block: Mapping[str, Any]) -> int:
    """The bytes of a stage's outputs when it last ran."""
    return sum(int(out.get("size") or 0) for out in block.get("outs") or ())


def read_by(stage: str, recorded: Entries) -> dict[str, int]:
    """The bytes of each input that `stage` read when it last ran, by its path."""
    return {dep["path"]: int(dep["size"]) for dep in recorded.get(stage, {}).get("deps") or () if dep.get("size")}


def growth(recipe: str, recorded: Entries, judged: Mapping[str, int] | None = None) -> float:
    """By what share the most grown picture set of `recipe` has grown since it was trained on; 0 where it never was.

    `judged` are the bytes of what a later training read whose model was put away: growth counts from there then. The
    bytes of shards stand for their pictures: every picture of a set takes as many.
    """
    now = {out["path"]: out["size"] for stage in recorded for out in recorded[stage].get("outs") or () if "size" in out}
    then, later = read_by(f"train@{recipe}", recorded), judged or {}
    shares = [now[path] / max(size, later.get(path, 0)) - 1 for path, size in then.items() if path in now]
    return max(shares, default=0.0)
