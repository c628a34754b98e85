"""Where the stages keep what they make; what a person makes by hand goes elsewhere."""

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from tasks.errors import ParamsError

DATA = Path("data")


def require_own(out: Path) -> None:
    """Raise ParamsError where `out`, a folder for what is made by hand, is the project, or lies where stages write."""
    whole = out.resolve()
    if DATA.resolve() in (whole, *whole.parents):
        raise ParamsError(f"--out {out} lies inside {DATA}, which belongs to the stages; choose a folder of your own")
    if whole in (*DATA.resolve().parents, *DATA.absolute().parents):
        raise ParamsError(f"--out {out} is the project or holds it; choose a folder of its own, such as prints/mine")


def require_ours(out: Path, names: Sequence[str]) -> None:
    """Raise ParamsError where `out`, a folder to be replaced, holds anything but files called like one of `names`.

    A folder that we wrote holds the first of them. One that is missing or empty is fine.
    """
    if out.exists() and not out.is_dir():
        raise ParamsError(f"--out {out} is a file, and a folder is written; name a new one")
    found = sorted(path.name for path in out.iterdir()) if out.exists() else []
    others = [name for name in found if not any(fnmatch(name, pattern) for pattern in names)]
    if found and (others or names[0] not in found):
        raise ParamsError(
            f"--out {out} holds what would be lost ({(others or found)[0]}); name a new folder, or move that one away"
        )
