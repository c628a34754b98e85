"""The cache of judgements: the same bytes, by the same code and settings, are not judged again.

A night adds a few pictures to a set of many, and its whole ledger is written anew. What is remembered is scratch:
without it all is judged again, to the same ledger. A run that was stopped goes on from it. Of a file that is in the
set no more, one taken down say, nothing is remembered.
"""

import importlib.metadata
import json
import sqlite3
from collections.abc import Generator, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
import PIL

from tasks import picture
from tasks.files import fingerprint, sha256_file
from tasks.prepare.datasheet import LEVELS
from tasks.prepare.decide import File, Judgement
from tasks.prepare.settings import Prepare
from tasks.rows import Crop

PATIENCE = 5.0  # seconds to wait for a run that holds the database
UNSAVED = 256  # judgements, at most, that a crash loses
TABLE = "CREATE TABLE IF NOT EXISTS judgements (file TEXT PRIMARY KEY, judgement TEXT) WITHOUT ROWID"


class Cache:
    """What was judged before, by the file's bytes; without a folder, nothing.

    It may fail, and the run goes on without it: what is damaged is begun anew, what is full or locked is left alone.
    """

    def __init__(self, folder: Path | None, settings: Prepare) -> None:
        self._database: sqlite3.Connection | None = None
        self._path = None if folder is None else folder / f"{_judged_by(settings)}.sqlite"
        self._unsaved = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """What was kept until the block is left, however it is left, is there the next time."""
        with self._risking():
            self._save()
        self._close()

    def recall(self, files: Sequence[File]) -> dict[File, Judgement]:
        """The judgements on those of `files` whose bytes this code judged by these settings; all others go."""
        found: dict[File, Judgement] = {}
        for _ in range(2):  # a damaged database is removed, and the second time there is a new one
            with self._risking():
                self._open()
                self._forget_all_but({_key(file) for file in files})
                found = {file: _read(text) for file in files if (text := self._text(file))}
            if self._database is not None:
                return found
        return {}

    def keep(self, file: File, judgement: Judgement) -> None:
        """Remember a judgement from now on."""
        with self._risking():
            if self._database is not None:
                row = (_key(file), _written(judgement))
                self._database.execute("INSERT OR REPLACE INTO judgements VALUES (?, ?)", row)
                self._unsaved += 1
                if self._unsaved >= UNSAVED:
                    self._save()

    def _open(self) -> None:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            for other in self._path.parent.iterdir():
                if not other.name.startswith(self._path.name):  # its journal has a longer one
                    other.unlink()
            self._database = sqlite3.connect(self._path, PATIENCE)
            self._database.execute("PRAGMA secure_delete = ON")  # what goes is gone from the disk
            self._database.execute(TABLE)

    def _forget_all_but(self, wanted: Set[str]) -> None:
        if self._database is not None:
            known = {key for (key,) in self._database.execute("SELECT file FROM judgements")}
            gone = [(key,) for key in known - wanted]
            self._database.executemany("DELETE FROM judgements WHERE file = ?", gone)
            self._unsaved += len(gone)

    def _text(self, file: File) -> str | None:
        if self._database is None:
            return None
        row = self._database.execute("SELECT judgement FROM judgements WHERE file = ?", (_key(file),)).fetchone()
        return None if row is None else row[0]

    def _save(self) -> None:
        if self._database is not None:
            self._database.commit()
            self._unsaved = 0

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    @contextmanager
    def _risking(self) -> Generator[None]:
        """Inside, an error of the database ends the remembering and nothing else."""
        try:
            yield
        except sqlite3.OperationalError:  # a full disk, a lock, a folder that may not be written
            self._close()
        except sqlite3.DatabaseError:
            self._close()
            assert self._path is not None
            for file in self._path.parent.glob(f"{self._path.name}*"):
                file.unlink()


def _judged_by(settings: Prepare) -> str:
    """A name for all that a judgement hangs on but the file: what is set, what decides, what opens and computes."""
    code = sorted([*Path(__file__).parent.glob("*.py"), *picture.CODE])
    cascade = Path(settings.faces.cascade)
    return fingerprint(
        settings.model_dump_json(exclude={"duplicates", "licences"}),  # of which the rows decide
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
