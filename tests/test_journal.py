"""The journal of a batch: whatever kills a run that closes it, and on whatever disk it lies, it closes once."""

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tasks.scrape import collect, ledger
from tests.test_scrape import Killed, Scripted, contents, run


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(collect, "find", lambda use: Scripted("....xd.."))


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, bytes]:
    """What an undisturbed run leaves."""
    run(tmp_path / "whole", use="scripted")
    return contents(tmp_path / "whole")


@pytest.fixture
def two_disks(whole: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on .scratch lies on a disk of its own; Linux says so even of a file that is not there."""
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if (".scratch" in self.parts) != (".scratch" in target.parts):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(self), None, str(target))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)


@pytest.mark.usefixtures("two_disks")
@pytest.mark.parametrize("copied", range(5))
def test_a_batch_closes_onto_another_disk_however_many_pictures_a_kill_let_through(
    copied: int, whole: dict[str, bytes], tmp_path: Path
) -> None:
    real, left = shutil.copyfile, [copied]

    def copy(*args: Any) -> Any:
        left[0] -= 1
        if left[0] == -1:
            raise Killed
        return real(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger.shutil, "copyfile", copy)
        with pytest.raises(Killed):
            run(tmp_path / "raw", use="scripted")
    run(tmp_path / "raw", use="scripted")
    assert contents(tmp_path / "raw") == whole


@pytest.mark.parametrize("first", ["batch.json", "rows.jsonl", "incoming"])
def test_a_batch_that_is_closed_stays_one_whatever_a_kill_left_of_its_journal(
    first: str, whole: dict[str, bytes], tmp_path: Path
) -> None:
    """A folder's entries go in whatever order the disk lists them."""
    real = shutil.rmtree

    def clear(folder: Path) -> None:
        real(folder / first) if first == "incoming" else (folder / first).unlink()
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger.shutil, "rmtree", clear)
        with pytest.raises(Killed):
            run(tmp_path / "raw", use="scripted")
    run(tmp_path / "raw", use="scripted")
    assert contents(tmp_path / "raw") == whole
    assert not [path for path in Path(".scratch/scrape-photos").iterdir() if path.is_dir()]
