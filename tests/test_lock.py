"""What DVC writes in place survives a full disk and a kill: dvc.lock, and its record of who reads and writes."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from served import Start, finish, read

from flows import lock
from flows.dvc import RWLOCK, forget_departed
from tasks.errors import BarenError

BLOCKS: lock.Entries = {
    f"shard@{name}": {"cmd": "make", "outs": [{"path": f"data/{name}", "md5": f"{name}.dir", "size": 10}]}
    for name in ("photos", "prints")
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(lock, "WAITS", (0.0,))
    lock.put(BLOCKS, tmp_path)
    return tmp_path


def test_a_lock_that_was_cut_short_is_put_back_as_it_was(here: Path) -> None:
    whole = (here / lock.LOCK).read_text()
    said: list[str] = []

    @given(st.integers(0, len(whole) - 1).filter(lambda end: not whole[:end].endswith("\n")))
    def cut(end: int) -> None:
        (here / lock.LOCK).write_text(whole[:end])
        with pytest.raises(BarenError, match=r"dvc.lock is damaged; the next flow puts its last copy back"):
            lock.entries(here)
        lock.mend(said.append, here)
        assert (here / lock.LOCK).read_text() == whole

    cut()
    assert said[0].startswith("dvc.lock was cut short")
    said.clear()
    lock.mend(said.append, here)
    assert not said


def test_a_lock_that_was_deleted_stays_so_and_one_without_a_copy_is_one_sentence(here: Path) -> None:
    (here / lock.LOCK).unlink()
    lock.mend(print, here)
    assert lock.entries(here) == {}
    (here / lock.LOCK).write_text("")
    with pytest.raises(BarenError, match=r"bring it back from a version \(git show kept:dvc.lock > dvc.lock\)"):
        lock.mend(print, here)


@pytest.fixture
def somebody() -> Iterator[int]:
    """A process that is no dvc."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process.pid
        process.kill()


def test_a_checkout_works_on_after_a_full_disk_and_a_power_cut(start: Start, built: Path, somebody: int) -> None:
    assert finish(start("rebuild"))[0] == 0
    whole = (built / "dvc.lock").read_text()
    (built / "dvc.lock").write_text(whole[: len(whole) // 2 - len(whole) // 2 % 4096])
    left = {"pid": somebody, "cmd": "dvc repro"}
    held = {"write": {f"{built}/data/1-raw": left}, "read": {f"{built}/params.yaml": [left]}}
    (built / RWLOCK).parent.mkdir(parents=True, exist_ok=True)
    (built / RWLOCK).write_text(json.dumps(held))
    code, said = finish(start("rebuild"))
    assert code == 0, said
    assert "dvc.lock was cut short; it is again as when a stage last ended well" in said
    assert "named processes that are gone" in said
    assert "everything was up to date" in said
    assert (built / "dvc.lock").read_text() == whole
    assert read(built / "ran") == ""


def test_what_a_dvc_holds_is_left_to_it(tmp_path: Path, somebody: int) -> None:
    (tmp_path / RWLOCK).parent.mkdir(parents=True)
    with subprocess.Popen(["dvc", "600"], executable=shutil.which("sleep")) as process:
        try:
            infos = [{"pid": pid, "cmd": "dvc repro"} for pid in (process.pid, somebody, 2**22 + 1)]
            (tmp_path / RWLOCK).write_text(json.dumps({"write": {"out": infos[0]}, "read": {"in": infos}}))
            forget_departed(print, tmp_path)
            assert json.loads((tmp_path / RWLOCK).read_text()) == {
                "write": {"out": infos[0]}, "read": {"in": infos[:1]},
            }  # fmt: skip
        finally:
            process.kill()
    for damaged in ("", "[]", '{"read": {"in": 3}}'):
        (tmp_path / RWLOCK).write_text(damaged)
        forget_departed(print, tmp_path)
        assert not (tmp_path / RWLOCK).exists()
