"""Where a training begins: what `train.start` names, and which earlier runs a changed setting would leave behind.

`start` is a checkpoint's folder, or a git revision whose dvc.lock names a model; `workspace` stands for the dvc.lock
that lies here. The model is taken from DVC's cache by its hash, so nothing has to be checked out for it.
"""

import configparser
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tasks.errors import ParamsError
from tasks.files import SCRATCH, fingerprint, no_half_file, no_half_folder, read_json, scratch_folder

CHECKPOINT, RECORD = "checkpoint.json", "run.json"
LOCK = "dvc.lock"
TOLD = 3  # changed settings that one line names


@dataclass(frozen=True)
class Cached:
    """A folder that DVC recorded: its files, each by its name within the folder and by its place in the cache."""

    digest: str
    files: Mapping[str, Path]


def find(start: str, recipe: str) -> Path:
    """The folder of the checkpoint that `start` names: a path, or REVISION, or REVISION:best, or REVISION:seed-1/last.

    Raises ParamsError where it is neither, or the revision's model is not in DVC's cache.
    """
    if (Path(start) / CHECKPOINT).exists():
        return Path(start)
    where = f"recipes.{recipe}.train.start is {start!r}"
    revision, _, which = start.partition(":")
    which = which or "last"
    stages = recorded(revision)
    if stages is None:
        raise ParamsError(
            f"{where}, which is no folder of a checkpoint and no git revision with a {LOCK}; name one of the two "
            "(DVC empties data/4-models before it trains: what lies there is named by its revision, or by workspace)"
        )
    model = _model(stages, recipe)
    if model is None:
        raise ParamsError(
            f"{where}, and the model of {recipe} that {revision} records is not in DVC's cache; fetch it "
            f"(dvc get . data/4-models/{recipe} --rev {revision} -o FOLDER) and set start to FOLDER/{which}"
        )
    if f"{which}/{CHECKPOINT}" not in model.files:
        raise ParamsError(f"{where}, and the model of {revision} holds no checkpoint {which!r}; take last or best")
    folder = scratch_folder("start", recipe, fingerprint(model.digest))
    for name in (which, str(Path(which).with_name("best"))):  # who goes on takes the best so far along
        (folder / name).mkdir(parents=True, exist_ok=True)
        for file, path in model.files.items():
            if file.startswith(f"{name}/"):
                with no_half_file(folder / file) as link:  # several processes may be here, and one may read already
                    link.symlink_to(path.absolute())
    return folder / which


def left_behind(recipe: str, record: Mapping[str, Any], scratch: Path) -> Iterator[str]:
    """A sentence for each run of other settings than `record`'s that a run beginning in `scratch` does not go on from.

    Those are unfinished ones beside `scratch`, and the finished one that dvc.lock records.
    """
    setting = f"recipes.{recipe}.train.start"
    for folder in sorted((SCRATCH / f"train-{recipe}").glob("*")):
        points = sorted(folder.rglob(f"last/{CHECKPOINT}"))
        if folder != scratch and points and (folder / RECORD).exists():
            furthest = max(points, key=lambda point: read_json(point)["step"])
            yield (
                f"{recipe} begins at step 0: an unfinished run of other settings "
                f"({differences(read_json(folder / RECORD), record)}) lies in {folder} at step "
                f"{read_json(furthest)['step']:,}; set {setting} to {furthest.parent} to go on from it, "
                "or remove that folder"
            )
    model = _model(recorded("workspace") or {}, recipe)
    if model is not None and RECORD in model.files:
        changed = differences(read_json(model.files[RECORD]), record)
        if changed:
            yield (
                f"{recipe} begins at step 0: the finished run that {LOCK} records had other settings ({changed}); "
                f"set {setting} to workspace, or to the git revision that holds it, to go on from it"
            )


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """The settings and pictures in which two records differ, as in "train.epochs 30 -> 40"; empty where in none."""
    was, now = _flat(old), _flat(new)
    changed = [key for key in now if was.get(key) != now[key] and ".licences." not in key]  # counts, of the pictures
    told = [
        f"{key.removesuffix('.fingerprint')} changed"
        if key.endswith(".fingerprint")
        else f"{key} {was.get(key, 'unset')} -> {now[key]}"
        for key in changed[:TOLD]
    ]
    return ", ".join(told) + (f" and {len(changed) - TOLD} more" if len(changed) > TOLD else "")


def _flat(block: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in block.items():
        flat |= _flat(value, f"{above}{key}.") if isinstance(value, Mapping) else {above + key: value}
    return flat


def recorded(revision: str) -> Mapping[str, Any] | None:
    """The blocks of a git revision's dvc.lock, or of the one lying here for "workspace"; None where there is none.

    Raises ParamsError for one that is damaged: cut short, or with the marks of a merge in it.
    """
    try:
        if revision == "workspace":
            text = Path(LOCK).read_text(encoding="utf-8") if Path(LOCK).exists() else None
        else:
            text = _git("show", f"{revision}:./{LOCK}")
        return None if text is None else dict((yaml.safe_load(text) or {}).get("stages") or {})
    except (yaml.YAMLError, AttributeError, TypeError, ValueError) as error:
        whose = "" if revision == "workspace" else f" of {revision}"
        raise ParamsError(
            f"{LOCK}{whose} is damaged, as a merge or a full disk leaves it; bring it back from a commit where it is "
            f"whole (git show COMMIT:{LOCK} > {LOCK})"
        ) from error


def _git(*command: str) -> str | None:
    try:
        done = subprocess.run(["git", *command], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def _model(stages: Mapping[str, Any], recipe: str) -> Cached | None:
    """What dvc.lock records of the recipe's model; None where it records none or the cache lacks a file of it."""
    outs = stages.get(f"train@{recipe}", {}).get("outs") or []
    if not outs:
        return None
    cache = _cache() / "files" / "md5"
    listing = _at(cache, outs[0]["md5"])
    if not listing.exists():
        return None
    files = {entry["relpath"]: _at(cache, entry["md5"]) for entry in read_json(listing)}
    return Cached(outs[0]["md5"], files) if all(path.exists() for path in files.values()) else None


def _at(cache: Path, md5: str) -> Path:
    return cache / md5[:2] / md5[2:]


def _cache() -> Path:
    """Where this checkout's DVC keeps its cache: .dvc/cache, unless its settings name another place."""
    folder = Path(".dvc")
    config = configparser.ConfigParser(interpolation=None, strict=False)
    config.read([folder / "config", folder / "config.local"], encoding="utf-8")
    place = config.get("cache", "dir", fallback="cache").strip("\"'")
    return folder / place


def paint_on(out: Path) -> None:
    """Put the model that BAREN_PAINTING names where DVC removed it, so that it paints until the new one is done."""
    model = os.environ.get("BAREN_PAINTING")
    if model and Path(model).exists() and not out.exists():
        with no_half_folder(out) as folder:
            shutil.copytree(model, folder, dirs_exist_ok=True)
