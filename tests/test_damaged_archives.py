"""Archives, notes and lists that are damaged or were made to do harm: the rest is taken, and what is not is said."""

import gzip
import io
import json
import re
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import ParamsError
from tasks.scrape import members, table
from tasks.scrape.members import Member
from tasks.scrape.sidecar import About
from tests.visits import picture, zipped

ROOT = Path(__file__).parent.parent
DEEP = b"[" * 200_000


def taken(root: Path) -> dict[str, str]:
    """How each member ends: "" where it has bytes, or else the reason why it has none."""
    return {member.name: ending(member) for member in members.members(root)}


def ending(member: Member) -> str:
    try:
        member.read()
    except members.PictureRefused as why:
        return why.reason
    return ""


def data_of(archive: bytes, name: str) -> int:
    """Where the packed bytes of a member begin."""
    start = zipfile.ZipFile(io.BytesIO(archive)).getinfo(name).header_offset
    return start + 30 + sum(struct.unpack("<HH", archive[start + 26 : start + 30]))


def damage_data(archive: bytearray, name: str) -> None:
    start = data_of(archive, name)
    archive[start : start + 20] = b"\xff" * 20


def damage_header(archive: bytearray, name: str) -> None:
    start = zipfile.ZipFile(io.BytesIO(archive)).getinfo(name).header_offset
    archive[start : start + 4] = b"none"


def damage_method(archive: bytearray, name: str) -> None:
    number = zipfile.ZipFile(io.BytesIO(archive)).namelist().index(name)
    entry = [found.start() for found in re.finditer(b"PK\x01\x02", archive)][number]
    archive[entry + 10 : entry + 12] = struct.pack("<H", 99)


def damage_name(archive: bytearray, name: str) -> None:
    """The local header says that its name is in UTF-8, which it is not."""
    start = zipfile.ZipFile(io.BytesIO(archive)).getinfo(name).header_offset
    archive[start + 6 : start + 8] = struct.pack("<H", 0x800)
    archive[start + 30] = 0xFF


@pytest.mark.parametrize("damage", [damage_data, damage_header, damage_method, damage_name])
@pytest.mark.parametrize("name", ["b.jpg", "b.jpg.json"])
def test_a_damaged_member_of_a_zip_is_refused_and_the_rest_is_taken(
    name: str, damage: Callable[[bytearray, str], None], tmp_path: Path
) -> None:
    note = b'{"title": "' + b"Sea and sand and " * 20 + b'"}'
    archive = bytearray(zipped({"a.jpg": picture(1), "b.jpg": picture(2), "b.jpg.json": note, "c.jpg": picture(3)}))
    damage(archive, name)
    (tmp_path / "mine.zip").write_bytes(archive)
    assert taken(tmp_path / "mine.zip") == {"a.jpg": "", "b.jpg": "damaged" if name == "b.jpg" else "", "c.jpg": ""}
    said = [member.about for member in members.members(tmp_path / "mine.zip")]
    assert (said[1] == About()) is (name == "b.jpg.json")


def test_a_note_nested_without_end_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(picture(1))
    (tmp_path / "a.jpg.json").write_bytes(DEEP)
    (tmp_path / "mine.zip").write_bytes(zipped({"a.jpg": picture(1), "a.jpg.json": DEEP}))
    for root in (tmp_path, tmp_path / "mine.zip"):
        assert [member.about for member in members.members(root)] == [About()]


def test_links_that_lead_nowhere_or_to_each_other_cost_themselves_alone(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(picture(1))
    for link, to in {"b": "c", "c": "b", "d": "d", "e": "not there", "f": "a"}.items():
        (tmp_path / f"{link}.jpg").symlink_to(tmp_path / f"{to}.jpg")
    nowhere = "link leads nowhere"
    assert taken(tmp_path) == {
        "a.jpg": "", "b.jpg": nowhere, "c.jpg": nowhere, "d.jpg": nowhere, "e.jpg": nowhere, "f.jpg": ""
    }  # fmt: skip


@pytest.mark.parametrize(("value", "tags"), [(5, ("5",)), (True, ()), ({"sea": 1}, ("sea",)), (["a", 1], ("a", "1"))])
def test_tags_may_be_anything(value: Any, tags: tuple[str, ...]) -> None:
    assert About.read({"tags": value}) == About(tags=tags)


def test_a_title_of_lists_in_lists_says_nothing() -> None:
    assert About.read({"author": "Ran", "title": json.loads("[" * 900 + "]" * 900)}) == About()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv.gz", gzip.compress(b"url\n" + b"https://a.example/1.jpg\n" * 50)[:10] + b"\xff" * 40),
        ("a.csv.gz", gzip.compress(b"url\nhttps://a.example/1.jpg\n")[:-12]),
        ("a.json", DEEP), ("a.jsonl", b'{"url": ' + DEEP), ("a.json", b'[{"width": ' + b"1" * 5_000 + b"}]"),
    ],
)  # fmt: skip
def test_a_damaged_list_is_one_sentence(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ParamsError, match=r"cannot be read as \w+ \(.*\); mend it, or save it anew"):
        list(table.read_table(tmp_path / name))


def headed(kind: bytes, said: bytes, size: int | None = None) -> bytes:
    """One header of a tar that notes something of the next."""
    info = tarfile.TarInfo("noted")
    info.type, info.size = kind, len(said) if size is None else size
    return info.tobuf(tarfile.USTAR_FORMAT) + said + bytes(-len(said) % tarfile.BLOCKSIZE)


def lain(name: str) -> bytes:
    info, data = tarfile.TarInfo(name), picture(1)
    info.size = len(data)
    return info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % tarfile.BLOCKSIZE)


def holed() -> bytes:
    """A header that says that more of its map follows."""
    header = bytearray(headed(tarfile.GNUTYPE_SPARSE, b""))
    header[386:482], header[482] = b"%011o\0" % 1 * 8, 1
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + bytes(tarfile.BLOCKSIZE)


@pytest.mark.parametrize(
    "header",
    [
        headed(tarfile.XHDTYPE, bytes(2_000_000)), headed(tarfile.GNUTYPE_LONGNAME, b"a" * 2_000_000),
        headed(tarfile.XHDTYPE, b"17 size=-1000000\n"), headed(tarfile.XHDTYPE, b"22 GNU.sparse.map=x,y\n"),
        headed(tarfile.XHDTYPE, b"7 a=bc\n") * 2_000, b"x" * tarfile.BLOCKSIZE,
        headed(tarfile.XHDTYPE, b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n") + lain("a.jpg"), holed(),
    ],
    ids=["note of 2 MB", "name of 2 MB", "leads backwards",
         "no numbers", "notes without end", "no header", "map of holes", "old map of holes"],
)  # fmt: skip
def test_a_tar_whose_header_does_harm_is_left_where_it_begins_to(header: bytes, tmp_path: Path) -> None:
    place, end = tmp_path / "mine.tar", bytes(2 * tarfile.BLOCKSIZE)
    place.write_bytes(lain("a.jpg") + header + lain("b.jpg") + end)
    assert taken(place) == {"a.jpg": "", "mine.tar": "damaged archive"}
    place.write_bytes(header + lain("b.jpg") + end)
    assert not members.is_readable(place)
    with pytest.raises(ParamsError, match="neither a directory nor a"):
        taken(place)


def said(key: str, size: int) -> bytes:
    """`size` bytes that note one thing, as pax headers do."""
    start = b"%d %s=" % (size, key.encode())
    return start + b"a" * (size - len(start) - 1) + b"\n"


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_headers_that_add_up_are_left_where_they_are_too_many(kind: bytes, tmp_path: Path) -> None:
    """Of those that hold for all that follows, all count; of others, those of one picture."""
    place, end = tmp_path / "mine.tar", bytes(2 * tarfile.BLOCKSIZE)
    one, other = (headed(kind, said(key, 600_000)) for key in ("one", "other"))
    place.write_bytes(lain("a.jpg") + one + other + lain("b.jpg") + end)
    assert taken(place) == {"a.jpg": "", "mine.tar": "damaged archive"}
    place.write_bytes(one + lain("a.jpg") + other + lain("b.jpg") + end)
    ended = {"b.jpg": ""} if kind == tarfile.XHDTYPE else {"mine.tar": "damaged archive"}
    assert taken(place) == {"a.jpg": "", **ended}


PEAK = (
    "import sys; from pathlib import Path; from tasks.scrape.members import is_readable, members\n"
    "peak = lambda: int(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])\n"
)


def grown(code: str, place: Path) -> int:
    """By how many bytes the memory grows in which `code` reads the archive at sys.argv[1].

    As the kernel tells of the process itself: getrusage begins with what its parent has.
    """
    code = f"{PEAK}before = peak(); {code}; print(peak() - before)"
    done = subprocess.run([sys.executable, "-c", code, place], cwd=ROOT, capture_output=True, text=True, check=True)
    return int(done.stdout) * 1_024


def test_what_is_noted_of_many_members_does_not_fill_the_memory(tmp_path: Path) -> None:
    place = tmp_path / "many.tar"
    with place.open("wb") as file:
        for n in range(120):
            file.write(headed(tarfile.XHDTYPE, said("comment", 900_000)) + lain(f"{n}.txt"))
        file.write(lain("a.jpg") + bytes(2 * tarfile.BLOCKSIZE))
    assert grown("assert [one.name for one in members(Path(sys.argv[1]))] == ['a.jpg']", place) < 50_000_000


@pytest.mark.parametrize("kind", ["gz", "xz"])
def test_a_packed_tar_that_is_damaged_halfway_keeps_what_came_before(kind: str, tmp_path: Path) -> None:
    place = tmp_path / f"mine.tar.{kind}"
    with tarfile.open(place, f"w:{kind}") as archive:  # type: ignore[call-overload]
        for n in range(400):
            info, data = tarfile.TarInfo(f"{n}.jpg"), " ".join(map(str, range(n, n + 1_000))).encode()
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    whole = bytearray(place.read_bytes())
    middle = len(whole) // 2
    whole[middle : middle + 200] = b"\xff" * 200
    place.write_bytes(whole)
    ends = taken(place)
    assert list(ends)[:100] == [f"{n}.jpg" for n in range(100)]
    assert set(ends.values()) in ({"", "damaged archive"}, {"", "damaged", "damaged archive"})


def test_a_header_that_unpacks_to_300_mb_does_not_fill_the_memory(tmp_path: Path) -> None:
    place = tmp_path / "bomb.tar.gz"
    with gzip.open(place, "wb", compresslevel=1) as file:
        file.write(headed(tarfile.XHDTYPE, b"", 300_000_000))
        for _ in range(300):
            file.write(bytes(1_000_000))
    assert grown("assert not is_readable(Path(sys.argv[1]))", place) < 50_000_000
