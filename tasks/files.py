"""Files that are whole or not there: atomic writes, hashes, JSON lines, room on the disk."""

import ctypes
import errno
import glob
import hashlib
import json
import os
import shutil
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks.errors import BarenError, NoRoom

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
SCRATCH = Path(".scratch")  # unfinished work; ignored by git and DVC


def canonical_json(value: Any) -> str:
    """One text for one value: sorted keys, no spaces, no NaN."""
    return _CANONICAL.encode(value)


def fingerprint(*values: Any) -> str:
    """16 hex digits that stand for `values` (anything JSON can hold)."""
    return hashlib.sha256(canonical_json(values).encode()).hexdigest()[:16]


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex, without reading it into memory at once."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def scratch_folder(stage: str, name: str, key: str) -> Path:
    """Where stage `stage` of `name` keeps unfinished work made under the fingerprint `key`; created if missing."""
    folder = SCRATCH / f"{stage}-{name}" / key
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def no_half_file(final: Path) -> Generator[Path]:
    """Yield a temporary path beside `final`; on success it is synced and renamed to `final`, else it is removed.

    What a kill leaves stays there until `sweep`: to look for it in a full folder takes longer than to write a small
    file. Raises NoRoom where the disk is full.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f".{final.name}.{os.getpid()}.part")
    try:
        yield temporary
        give_name(temporary, final)
    except OSError as error:
        raise _no_room(error, final) from error
    finally:
        temporary.unlink(missing_ok=True)


def give_name(whole: Path, final: Path) -> None:
    """Rename what is whole to `final`, in the same folder: on the disk before it has that name, and has it for good."""
    _sync(whole)
    whole.replace(final)
    _sync(final.parent)


@contextmanager
def no_half_folder(final: Path) -> Generator[Path]:
    """Yield an empty temporary folder beside `final` that takes its name, and its place, once all is written.

    Raises NoRoom where the disk is full.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f".{final.name}.{os.getpid()}.part")
    bring_back(final)
    sweep(final)
    temporary.mkdir()
    try:
        yield temporary
        for path in temporary.rglob("*"):
            _sync(path)
        _sync(temporary)
        if final.exists():
            _replace(temporary, final)
        else:
            temporary.rename(final)
        _sync(final.parent)
    except OSError as error:
        raise _no_room(error, final) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        bring_back(final)


def sweep(final: Path) -> None:
    """Remove what killed processes left unfinished beside `final`, a file or folder."""
    for left in _left(final, "part"):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def bring_back(final: Path) -> None:
    """Put a folder back that is missing since a kill between the two renames of `no_half_folder`."""
    for left in _left(final, "old"):
        if final.exists():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.rename(final)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all."""
    with no_half_file(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON with sorted keys, whole or not at all."""
    write_text(path, json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The value in a JSON file; BarenError names a file that is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BarenError(f"{path} is not there; run the stage that makes it (dvc repro)") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BarenError(f"{path} is damaged ({error}); remove it and run the stage that makes it again") from error


def write_json_lines(path: Path, rows: Iterable[Any]) -> None:
    """Write one line of canonical JSON a row, whole or not at all."""
    with no_half_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(canonical_json(row) + "\n" for row in rows)


def read_json_lines(path: Path) -> Iterator[Any]:
    """The rows of a JSON-lines file, one at a time; BarenError names the file and line that is broken."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield json.loads(line)
                except json.JSONDecodeError as error:
                    raise BarenError(
                        f"{path}, line {number}, is damaged ({error}); restore the file (dvc checkout)"
                    ) from error
    except FileNotFoundError as error:
        raise BarenError(f"{path} is not there; run the stage that makes it (dvc repro)") from error


def nearest_folder(path: Path) -> Path:
    """`path`, or the first folder above it that is there already."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def require_room(folder: Path, num_bytes: int, purpose: str) -> None:
    """Raise NoRoom, with both numbers, unless `num_bytes` and a tenth more are free where `folder` is or will be."""
    free = shutil.disk_usage(nearest_folder(folder)).free
    if free < num_bytes * 1.1:
        raise NoRoom(
            f"{purpose} needs about {num_bytes / 1e6:,.0f} MB in {folder} and {free / 1e6:,.0f} MB are free; "
            "make room there and run it again"
        )


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _left(final: Path, kind: str) -> list[Path]:
    """What killed processes, and this one, left beside `final`: a "part" of the new, or the "old" set aside."""
    start, end = f".{final.name}.", f".{kind}"
    found = {
        path: path.name.removeprefix(start).removesuffix(end)
        for path in final.parent.glob(f"{glob.escape(start)}*{end}")
    }
    ours = str(os.getpid())
    return [path for path, pid in found.items() if pid.isdigit() and (pid == ours or not Path(f"/proc/{pid}").exists())]


def _replace(new: Path, final: Path) -> None:
    """Put the folder `new` where `final` is; two renames where a file system (NFS, exFAT) swaps no folders."""
    try:
        _exchange(new, final)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        final.rename(final.with_name(f".{final.name}.{os.getpid()}.old"))
        new.rename(final)


def _exchange(one: Path, other: Path) -> None:
    """Swap two folders in one step, so that at no moment either name is missing; see renameat2(2)."""
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(here, os.fsencode(one), here, os.fsencode(other), exchange) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(other))


def _no_room(error: OSError, final: Path) -> BaseException:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoRoom(
            f"the disk filled up while {final} was written; make room and run it again, nothing half-written was kept"
        )
    return error
