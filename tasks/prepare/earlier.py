"""Judgements of earlier runs: the same bytes, by the same code and settings, are not judged again.

A night adds a few pictures to a set of many, and its whole ledger is written anew. What is remembered is scratch:
without it all is judged again, to the same ledger. A run that was stopped goes on from it.
"""

import importlib.metadata
import json
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL

from tasks import picture
from tasks.files import fingerprint, sha256_file
from tasks.prepare.datasheet import LEVELS
from tasks.prepare.decide import File, Judgement
from tasks.prepare.settings import Prepare
from tasks.rows import Crop

UNSAVED = 256  # judgements, at most, that a crash loses
TABLE = "CREATE TABLE IF NOT EXISTS judgements (file TEXT PRIMARY KEY, judgement TEXT) WITHOUT ROWID"


class Earlier:
    """What was judged before, by the file's bytes; nothing, where there is no database."""

    def __init__(self, database: sqlite3.Connection | None = None) -> None:
        self._database, self._unsaved = database, 0

    def __contains__(self, file: File) -> bool:
        return self._found(file) is not None

    def of(self, file: File) -> Judgement:
        """The judgement on a file with these bytes; KeyError where there was none."""
        text = self._found(file)
        if text is None:
            raise KeyError(file)
        return _read(text)

    def _found(self, file: File) -> str | None:
        if self._database is None:
            return None
        row = self._database.execute("SELECT judgement FROM judgements WHERE file = ?", (_key(file),)).fetchone()
        return None if row is None else row[0]

    def keep(self, file: File, judgement: Judgement) -> None:
        """Remember a judgement from now on."""
        if self._database is None:
            return
        try:
            row = (_key(file), _written(judgement))
            self._database.execute("INSERT OR REPLACE INTO judgements VALUES (?, ?)", row)
            self._unsaved += 1
            if self._unsaved >= UNSAVED:
                self.save()
        except sqlite3.OperationalError:  # a full disk takes the memory, not the run
            self._database = None

    def save(self) -> None:
        """Write down what was kept."""
        if self._database is not None:
            self._database.commit()
            self._unsaved = 0


@contextmanager
def remembered(folder: Path | None, settings: Prepare) -> Generator[Earlier]:
    """The judgements in `folder` by this code and these settings, those by others removed; without a folder, none.

    What is kept until the block is left, however it is left, is there the next time.
    """
    if folder is None:
        yield Earlier()
        return
    path = folder / f"{_judged_by(settings)}.sqlite"
    folder.mkdir(parents=True, exist_ok=True)
    for other in folder.iterdir():
        if not other.name.startswith(path.name):  # its journal has a longer one
            other.unlink()
    database = _opened(path)
    earlier = Earlier(database)
    try:
        yield earlier
    finally:
        with suppress(sqlite3.OperationalError):
            earlier.save()
        database.close()


def _opened(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path)
    try:
        database.execute(TABLE)
    except sqlite3.DatabaseError:  # damaged: scratch is begun anew
        database.close()
        path.unlink()
        database = sqlite3.connect(path)
        database.execute(TABLE)
    return database


def _judged_by(settings: Prepare) -> str:
    """A name for all that a judgement hangs on but the file: what is set, what decides, what opens and computes."""
    code = sorted([*Path(__file__).parent.glob("*.py"), Path(picture.__file__)])
    cascade = Path(settings.faces.cascade)
    return fingerprint(
        settings.model_dump(mode="json", exclude={"duplicates", "licences"}),  # of which the rows decide
        [sha256_file(path) for path in code],
        sha256_file(cascade) if cascade.is_file() else "",
        [cv2.__version__, np.__version__, PIL.__version__, importlib.metadata.version("dlib-bin")],
    )


def _key(file: File) -> str:
    return f"{file.sha256} by hand" if file.by_hand else file.sha256


def _written(judgement: Judgement) -> str:
    """As JSON, of which every number comes back as it was; of the colours those that occur."""
    crops = [(vars(crop), score) for crop, score in judgement.crops]
    colours = judgement.colours
    there = None if colours is None else [np.flatnonzero(colours).tolist(), colours[colours != 0].tolist()]
    return json.dumps({**vars(judgement), "crops": crops, "colours": there}, separators=(",", ":"))


def _read(text: str) -> Judgement:
    known: dict[str, Any] = json.loads(text)
    crops, there = known.pop("crops"), known.pop("colours")
    colours = None
    if there is not None:
        colours = np.zeros(LEVELS**3, np.int64)
        colours[there[0]] = there[1]
    return Judgement(**known, crops=tuple((Crop(**crop), score) for crop, score in crops), colours=colours)
