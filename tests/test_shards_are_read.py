"""The reader: any row at any time, and every kind of damage found, named and survived."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shard_sets import SIDE, draw, originals, pack

from tasks.errors import ShardError
from tasks.files import sha256_file
from tasks.shard import layout, read
from tasks.shard.read import ShardSet


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed")
    before = Path.cwd()
    os.chdir(folder)
    try:
        return pack(folder, originals(folder, range(20)))
    finally:
        os.chdir(before)


@pytest.fixture
def shards(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the set that a test may damage."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(packed, tmp_path / "tiny"))


def edit_index(folder: Path, change: Callable[[dict[str, object]], object]) -> None:
    index = json.loads((folder / "index.json").read_text())
    change(index)
    (folder / "index.json").write_text(json.dumps(index))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(rows=st.lists(st.integers(0, 19), max_size=30))
def test_any_rows_in_any_order(packed: Path, rows: list[int]) -> None:
    with ShardSet(packed, verify="header") as shard_set:
        pictures = shard_set.read(rows)
    assert pictures.shape == (len(rows), SIDE, SIDE, 3)
    assert pictures.dtype == np.uint8
    for row, picture in zip(rows, pictures, strict=True):
        np.testing.assert_array_equal(picture, draw(row)[3:19, 2:18])


def test_every_row_tells_where_it_came_from(shards: Path) -> None:
    shard_set = ShardSet(shards)
    assert [item.id for item in shard_set.items] == [f"test:{row:04}" for row in range(20)]
    assert shard_set.items[3].origin.tags == ("a", "b")
    both = np.concatenate([shard_set.rows("train"), shard_set.rows("held_out")])
    assert sorted(both) == list(range(20))


def test_items_are_a_sequence(shards: Path) -> None:
    items = ShardSet(shards).items
    assert len(items) == 20
    assert items[-1] == items[19] == list(items)[19]
    assert [item.id for item in items[17:]] == ["test:0017", "test:0018", "test:0019"]
    with pytest.raises(IndexError):
        items[20]


def test_rows_outside_the_set_are_refused(shards: Path) -> None:
    for rows in ([20], [-1]):
        with pytest.raises(IndexError, match="rows 0 to 19"):
            ShardSet(shards).read(rows)


@pytest.mark.parametrize("place", [0, 7, 8, 100, 4095, 4096, 5000, 4096 + 8 * SIDE * SIDE * 3 - 1])
def test_a_flipped_bit_is_found_wherever_it_is(shards: Path, place: int) -> None:
    path = shards / "tiny-00001.safetensors"
    data = bytearray(path.read_bytes())
    data[place] ^= 0x10
    path.write_bytes(data)
    with pytest.raises(ShardError, match=r"tiny-00001.*dvc"):
        ShardSet(shards)


@pytest.mark.parametrize("length", [0, 4, 8, 100, 4096, 5000, 4096 + 8 * SIDE * SIDE * 3 - 1])
def test_a_truncated_file_is_found_even_without_hashing(shards: Path, length: int) -> None:
    os.truncate(shards / "tiny-00001.safetensors", length)
    with pytest.raises(ShardError, match=r"tiny-00001.*its index says 10,240"):
        ShardSet(shards, verify="header")


def test_a_missing_file(shards: Path) -> None:
    (shards / "tiny-00001.safetensors").unlink()
    with pytest.raises(ShardError, match=r"tiny-00001.*cannot be opened.*dvc checkout"):
        ShardSet(shards)


def test_files_that_swapped_names(shards: Path) -> None:
    first, second = shards / "tiny-00000.safetensors", shards / "tiny-00001.safetensors"
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)
    with pytest.raises(ShardError, match="tiny-00000"):
        ShardSet(shards, verify="header")


def test_a_file_that_shrinks_while_it_is_read(shards: Path) -> None:
    shard_set = ShardSet(shards)
    os.truncate(shards / "tiny-00001.safetensors", 6000)
    shard_set.read([0])
    with pytest.raises(ShardError, match=r"tiny-00001.*shorter while it was being read"):
        shard_set.read([0, 15])


def test_reads_that_come_back_short_go_on(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preadv = os.preadv
    monkeypatch.setattr(read.os, "preadv", lambda file, into, at: preadv(file, (into[0][:100],), at))
    np.testing.assert_array_equal(ShardSet(shards).read([5])[0], draw(5)[3:19, 2:18])


def test_items_that_are_not_those_of_the_index(shards: Path) -> None:
    rows = shards / "items/00001.jsonl"
    rows.write_text("".join(rows.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(ShardError, match=r"items are not the rows their index was written with"):
        ShardSet(shards)
    edit_index(shards, lambda index: index.update(items_sha256=sha256_file(rows)))
    with pytest.raises(ShardError, match="19 rows and its index says 20"):
        ShardSet(shards)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": "baren-shards/9"}, "format 'baren-shards/9' and this version reads 'baren-shards/1'"),
        ({"layout": "NCHW"}, "layout 'NCHW'"),
        ({"dtype": "float32"}, "dtype 'float32'"),
        ({"item_shape": [32, 32, 3]}, "contradicts itself"),
        ({"item_shape": [16, 16, 1]}, "contradicts itself"),
        ({"num_items": 21}, "contradicts itself"),
        ({"per_shard": 4}, "contradicts itself"),
        ({"dropped": [20]}, "contradicts itself"),
        ({"shards": []}, "contradicts itself"),
        ({"shards": 3}, "damaged"),
        ({"item_shape": None}, "damaged"),
    ],
)
def test_an_index_of_another_kind(shards: Path, change: dict[str, object], told: str) -> None:
    edit_index(shards, lambda index: index.update(change))
    with pytest.raises(ShardError, match=told):
        ShardSet(shards)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": 1}'])
def test_an_index_that_is_no_index(shards: Path, text: str) -> None:
    (shards / "index.json").write_text(text)
    with pytest.raises(ShardError, match=r"index\.json"):
        ShardSet(shards)


def test_no_shards_at_all(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="run the stage that makes it"):
        ShardSet(tmp_path / "nowhere")


def test_a_file_is_hashed_once_and_again_when_it_was_touched(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []

    def counted(path: Path) -> str:
        hashed.append(path.name)
        return sha256_file(path)

    monkeypatch.setattr(layout, "sha256_file", counted)
    ShardSet(shards)
    assert len(hashed) == 3
    hashed.clear()
    ShardSet(shards)
    assert hashed == []
    os.utime(shards / "tiny-00002.safetensors")
    ShardSet(shards)
    assert hashed == ["tiny-00002.safetensors"]
    hashed.clear()
    ShardSet(shards, verify="always")
    assert len(hashed) == 3


def test_a_set_of_many_files_is_let_open_them_all_or_says_what_lets_it(shards: Path) -> None:
    """A process is usually let open 1,024 files, and more where it asks."""
    code = (
        "import os, resource, sys; from pathlib import Path; from tasks.shard.read import ShardSet\n"
        "few, (_, most) = len(os.listdir('/proc/self/fd')) + 1, resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (few, few if sys.argv[2] else most))\n"
        "ShardSet(Path(sys.argv[1]), verify='header').read([0, 19])"
    )

    def opened(bounded: str) -> str:
        command = [sys.executable, "-c", code, str(shards), bounded]
        return subprocess.run(command, cwd=Path(__file__).parent.parent, capture_output=True, text=True).stderr

    assert opened("") == ""
    assert re.search(r"tiny-\d+.safetensors cannot be opened \(Too many open files\); .*ulimit -n", opened("bounded"))
    assert "dvc" not in opened("bounded")
