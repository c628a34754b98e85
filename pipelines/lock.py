"""What dvc.lock promises: pictures it names are brought back, never collected a second time."""

from pathlib import Path
from typing import Any

import yaml

from tasks.errors import BarenError


def require_raw(picture_set: str, root: Path = Path()) -> None:
    """Raise BarenError where dvc.lock names the pictures of `picture_set` and their folder is not here."""
    folder = f"data/1-raw/{picture_set}"
    lock = root / "dvc.lock"
    if (root / folder).exists() or not lock.exists():
        return
    locked: dict[str, Any] = (yaml.safe_load(lock.read_text(encoding="utf-8")) or {}).get("stages", {})
    outs = locked.get(f"scrape@{picture_set}", {}).get("outs", [])
    if any(out["path"] == folder for out in outs):
        raise BarenError(
            f"dvc.lock names pictures in {folder} that are not here; bring them back with `dvc checkout {folder}` "
            f"or `dvc pull {folder}`, or take scrape@{picture_set} out of dvc.lock to collect them anew"
        )
