"""Where the stages keep what they make; what a person makes by hand goes elsewhere."""

from pathlib import Path

from tasks.errors import ParamsError

DATA = Path("data")


def require_own(out: Path) -> None:
    """Raise ParamsError where `out`, a folder for what is made by hand, lies where stages write and DVC deletes."""
    if DATA.resolve() in (out.resolve(), *out.resolve().parents):
        raise ParamsError(f"--out {out} lies inside {DATA}, which belongs to the stages; choose a folder of your own")
