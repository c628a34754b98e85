"""Files and folders are whole or not there, whatever happens while they are written."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import BarenError, NoRoom
from tasks.files import (
    bring_back,
    canonical_json,
    fingerprint,
    no_half_file,
    no_half_folder,
    read_json,
    read_json_lines,
    require_room,
    sweep,
    write_json_lines,
    write_text,
)

ROOT = Path(__file__).parent.parent


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a" / "file.txt"
    write_text(target, "old")
    with pytest.raises(FileNotFoundError), no_half_file(target) as temporary:
        temporary.with_name("nowhere").rename(temporary)
    assert target.read_text() == "old"
    assert [path.name for path in target.parent.iterdir()] == ["file.txt"]


def test_a_failed_folder_leaves_the_old_folder(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    for text in ("old", "older", "new"):
        with no_half_folder(target) as temporary:
            (temporary / text).write_text(text)
    with pytest.raises(FileNotFoundError), no_half_folder(target) as temporary:
        (temporary / "nowhere").rename(temporary / "new")
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_folder_that_is_replaced_is_never_missing(tmp_path: Path) -> None:
    code = (
        "import itertools, sys; from pathlib import Path; from tasks.files import no_half_folder\n"
        "for number in itertools.count():\n"
        "    with no_half_folder(Path(sys.argv[1])) as folder: (folder / 'number').write_text(str(number))"
    )
    target = tmp_path / "last"
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", code, str(target)], cwd=ROOT)
        while not target.exists():
            time.sleep(0.01)
        began = time.monotonic()
        while time.monotonic() - began < 0.5:
            assert target.exists()
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        assert (target / "number").read_text().isdigit()
    with no_half_folder(target):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


DEAD = 2**22 + 1  # no process has this number: the most that Linux gives is one less


def test_what_killed_processes_left_of_a_file_is_swept(tmp_path: Path) -> None:
    """And nothing that is another file's, or of a process that writes on."""
    stay = [".print.png.1.part", f".print.png.tif.{DEAD}.part", f".print [2].png.{DEAD}.part", f"print.png.{DEAD}.part"]
    for name in (*stay, f".print.png.{DEAD}.part"):
        (tmp_path / name).write_text("half")
    sweep(tmp_path / "print.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(stay)
    sweep(tmp_path / "print [2].png")
    assert not (tmp_path / stay[2]).exists()


NO_SWAP = (
    "import errno, os, signal, sys; from pathlib import Path; from tasks import files\n"
    "def refuse(*_): raise OSError(getattr(errno, sys.argv[2]), 'no such swap')\n"
    "files._exchange, rename = refuse, Path.rename\n"
    "def die(one, other): rename(one, other); os.kill(os.getpid(), signal.SIGKILL)\n"
    "if len(sys.argv) > 3: Path.rename = die\n"
    "with files.no_half_folder(Path(sys.argv[1])) as folder: (folder / 'text').write_text('new')\n"
)


def replaced_without_swap(target: Path, error: str, *killed: str) -> int:
    """Write "new" into `target` as in a file system that swaps no folders; gives the exit code."""
    return subprocess.run([sys.executable, "-c", NO_SWAP, str(target), error, *killed], cwd=ROOT).returncode


@pytest.mark.parametrize("error", ["EINVAL", "ENOSYS", "EOPNOTSUPP"])
def test_a_folder_is_replaced_where_the_file_system_swaps_none(tmp_path: Path, error: str) -> None:
    target = tmp_path / "last"
    write_text(target / "text", "old")
    assert replaced_without_swap(target, error) == 0
    assert (target / "text").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


def test_a_kill_between_its_two_renames_loses_nothing(tmp_path: Path) -> None:
    target = tmp_path / "last"
    for settle in (bring_back, write_nothing):
        write_text(target / "text", "old")
        assert replaced_without_swap(target, "EINVAL", "killed") == -signal.SIGKILL
        assert not target.exists()
        settle(target)
        assert (target / "text").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


def write_nothing(target: Path) -> None:
    with pytest.raises(KeyError), no_half_folder(target):
        raise KeyError


def test_a_full_disk_is_said_before_it_is_full(tmp_path: Path) -> None:
    with pytest.raises(NoRoom, match=r"the print needs about 1,000,000,000,000 MB in .* are free"):
        require_room(tmp_path / "not" / "there", 10**18, "the print")


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n{"a": \n')
    rows = read_json_lines(path)
    assert next(rows) == {"a": 1}
    with pytest.raises(BarenError, match="line 2, is damaged"):
        next(rows)


def test_a_missing_file_says_which_stage_to_run(tmp_path: Path) -> None:
    with pytest.raises(BarenError, match="is not there; run the stage"):
        read_json(tmp_path / "index.json")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.lists(json_values, max_size=5))
def test_rows_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, rows: list[object]) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    write_json_lines(path, rows)
    assert list(read_json_lines(path)) == rows


@given(st.dictionaries(st.text(), json_values))
def test_the_order_of_keys_changes_no_fingerprint(value: dict[str, object]) -> None:
    turned = dict(reversed(value.items()))
    assert canonical_json(turned) == canonical_json(value)
    assert fingerprint(turned) == fingerprint(value)
