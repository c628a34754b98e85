"""The writer: the format other readers know, equal bytes for equal pictures, and only what changed written."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from shard_sets import SIDE, contents, draw, originals, pack, refused

from tasks.errors import BarenError, NoRoom, ParamsError, ShardError, Stopped
from tasks.progress import Progress
from tasks.shard import Shard, write
from tasks.shard.layout import default_per_shard
from tasks.shard.plan import split_of
from tasks.shard.read import ShardSet


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def changed(before: dict[str, bytes], after: dict[str, bytes]) -> set[str]:
    return {name for name in after if before.get(name) != after[name] and name.endswith(".safetensors")}


def test_safetensors_itself_reads_a_shard(tmp_path: Path) -> None:
    folder = pack(tmp_path, originals(tmp_path, range(11)))
    with safe_open(folder / "tiny-00001.safetensors", "np") as file:
        assert file.metadata()["layout"] == "NHWC"
        pictures = file.get_tensor("image")
    assert pictures.dtype == np.uint8
    np.testing.assert_array_equal(pictures, [draw(seed)[3:19, 2:18] for seed in (8, 9, 10)])


def test_pixels_begin_on_a_page_and_the_index_says_all(tmp_path: Path) -> None:
    folder = pack(tmp_path, originals(tmp_path, range(11)))
    index = json.loads((folder / "index.json").read_text())
    assert index["format"] == "baren-shards/1"
    assert index["item_shape"] == [SIDE, SIDE, 3]
    assert [shard["num_items"] for shard in index["shards"]] == [8, 3]
    for shard in index["shards"]:
        assert shard["data_offset"] == 4096
        assert (folder / shard["file"]).stat().st_size == shard["bytes"] == 4096 + shard["num_items"] * SIDE * SIDE * 3


def test_equal_ledgers_give_equal_bytes(tmp_path: Path) -> None:
    first = contents(pack(tmp_path / "a", originals(tmp_path / "a", range(11))))
    second = contents(pack(tmp_path / "b", originals(tmp_path / "b", range(11))))
    assert first == second


def test_new_pictures_behind_the_old_change_only_the_open_file(tmp_path: Path) -> None:
    rows = originals(tmp_path, range(20))
    before = contents(pack(tmp_path, rows))
    after = contents(pack(tmp_path, rows + originals(tmp_path, range(20, 26), batch=2)))
    assert changed(before, after) == {"tiny-00002.safetensors", "tiny-00003.safetensors"}


def test_what_grew_equals_what_is_written_at_once(tmp_path: Path) -> None:
    rows, more = originals(tmp_path, range(20)), originals(tmp_path, range(20, 26), batch=2)
    pack(tmp_path, rows)
    grown = contents(pack(tmp_path, rows + more))
    originals(tmp_path / "fresh", range(26))
    assert grown == contents(pack(tmp_path / "fresh", rows + more))


def test_an_unchanged_ledger_writes_no_pixels(tmp_path: Path) -> None:
    rows = originals(tmp_path, range(20))
    folder = pack(tmp_path, rows)
    inodes = {path.name: path.stat().st_ino for path in folder.glob("*.safetensors")}
    said = io.StringIO()
    pack(tmp_path, rows, quiet=Progress(out=said))
    assert inodes == {path.name: path.stat().st_ino for path in folder.glob("*.safetensors")}
    assert "0 of them written" in said.getvalue()


def test_a_set_that_a_kill_left_aside_is_taken_over(tmp_path: Path) -> None:
    """As in a file system that swaps no folders, between the two renames that it takes there."""
    rows, said = originals(tmp_path, range(20)), io.StringIO()
    folder = pack(tmp_path, rows)
    folder.rename(folder.with_name(f".{folder.name}.{2**22 + 1}.old"))  # no process has that number
    pack(tmp_path, rows, quiet=Progress(out=said))
    assert "0 of them written" in said.getvalue()


def test_a_dropped_picture_changes_no_file_and_is_never_served(tmp_path: Path) -> None:
    rows = originals(tmp_path, range(20))
    before = contents(pack(tmp_path, rows))
    folder = pack(tmp_path, [*rows[:4], refused(rows[4]), *rows[5:]])
    assert changed(before, contents(folder)) == set()
    shards = ShardSet(folder)
    assert shards.index.dropped == (4,)
    assert 4 not in {*shards.rows("train"), *shards.rows("held_out")}
    assert shards.num_items == 20


def test_a_dropped_picture_may_come_back(tmp_path: Path) -> None:
    rows = originals(tmp_path, range(20))
    before = contents(pack(tmp_path, rows))
    pack(tmp_path, [*rows[:4], refused(rows[4]), *rows[5:]])
    assert contents(pack(tmp_path, rows)) == before


def test_pictures_dropped_and_added_at_once(tmp_path: Path) -> None:
    rows = originals(tmp_path, range(20))
    pack(tmp_path, rows)
    (tmp_path / "1-raw" / str(rows[4].file)).unlink()
    (tmp_path / "1-raw" / str(rows[18].file)).unlink()
    kept = [row if number not in (4, 18) else refused(row) for number, row in enumerate(rows)]
    shards = ShardSet(pack(tmp_path, kept + originals(tmp_path, (20, 21))))
    assert shards.index.dropped == (4,)  # 18 stood in the file that was written again anyway
    assert [item.id for item in shards.items[17:]] == ["test:0017", "test:0019", "test:0020", "test:0021"]
    np.testing.assert_array_equal(shards.read([18])[0], draw(19)[3:19, 2:18])


def test_a_picture_accepted_late_is_laid_out_anew_in_ledger_order(tmp_path: Path) -> None:
    rows = originals(tmp_path, range(20))
    pack(tmp_path, [*rows[:4], *rows[5:]])
    shards = ShardSet(pack(tmp_path, rows))
    assert [item.id for item in shards.items] == [row.id for row in rows]


def test_a_damaged_file_is_written_again(tmp_path: Path) -> None:
    rows = originals(tmp_path, range(20))
    folder = pack(tmp_path, rows)
    before = contents(folder)
    damaged = bytearray(before["tiny-00001.safetensors"])
    damaged[5000] ^= 1
    (folder / "tiny-00001.safetensors").write_bytes(damaged)
    assert contents(pack(tmp_path, rows)) == before


def test_other_shard_sizes_and_seeds_are_followed(tmp_path: Path) -> None:
    rows = originals(tmp_path, range(20))
    pack(tmp_path, rows)
    folder = pack(tmp_path, rows, per_shard=16, seed=3)
    assert sorted(path.name for path in folder.glob("*.safetensors")) == [
        "tiny-00000.safetensors",
        "tiny-00001.safetensors",
    ]
    assert [item.split for item in ShardSet(folder).items] == [split_of(row.group, 3, 0.25) for row in rows]


def test_a_stopped_run_leaves_the_old_set_and_the_next_goes_on(tmp_path: Path) -> None:
    rows = originals(tmp_path, range(20))
    before = contents(pack(tmp_path, rows))
    more = rows + originals(tmp_path, range(20, 40), batch=2)

    class Impatient(Progress):
        def check(self) -> None:
            if any(Path(".scratch").glob("shard-tiny/*/tiny-00003.safetensors.json")):
                self.stop_requested = 15
            super().check()

    with pytest.raises(Stopped):
        pack(tmp_path, more, quiet=Impatient(out=io.StringIO()))
    assert contents(tmp_path / "3-shards") == before
    (finished,) = Path(".scratch").glob("shard-tiny/*/tiny-00003.safetensors")
    inode = finished.stat().st_ino
    folder = pack(tmp_path, more)
    assert (folder / "tiny-00003.safetensors").stat().st_ino == inode
    assert list(Path(".scratch").glob("shard-tiny/*/*")) == []
    assert ShardSet(folder).num_items == 40


def test_no_room_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = originals(tmp_path, range(20))
    monkeypatch.setattr(write, "item_bytes", lambda side: 10**18)
    with pytest.raises(NoRoom, match="make room"):
        pack(tmp_path, rows)
    assert not (tmp_path / "3-shards").exists()


def test_several_crops_of_one_original(tmp_path: Path) -> None:
    (row,) = originals(tmp_path, [7])
    crops = [replace(row, id=f"{row.id}#{n}", crop=replace(row.crop, left=n)) for n in range(5)]
    shards = ShardSet(pack(tmp_path, crops, held_out=0.0))
    np.testing.assert_array_equal(shards.read(range(5)), [draw(7)[3:19, n : n + 16] for n in range(5)])


def test_groups_stay_on_their_side_as_the_set_grows(tmp_path: Path) -> None:
    groups = [f"group {number}" for number in range(4000)]
    splits = [split_of(group, 0, 0.2) for group in groups]
    assert 0.17 < splits.count("held_out") / 4000 < 0.23
    assert splits == [split_of(group, 0, 0.2) for group in groups]
    assert all(split_of(group, 0, 0.3) == "held_out" for group in groups if split_of(group, 0, 0.2) == "held_out")


@pytest.mark.parametrize(("side", "per_shard"), [(256, 256), (64, 4096), (286, 256), (16, 65536), (8192, 64)])
def test_files_hold_as_many_pictures_as_fit_64_mib(side: int, per_shard: int) -> None:
    assert default_per_shard(side) == per_shard


class TestRefusals:
    def test_nothing_kept(self, tmp_path: Path) -> None:
        rows = [refused(row, "too small") for row in originals(tmp_path, range(3))]
        with pytest.raises(ShardError, match=r"keeps none of its 3 rows \(3 too small\)"):
            pack(tmp_path, rows)

    def test_an_empty_ledger(self, tmp_path: Path) -> None:
        with pytest.raises(BarenError, match=r"items holds no rows; run the stage that makes it"):
            pack(tmp_path, [])

    def test_nothing_held_out(self, tmp_path: Path) -> None:
        with pytest.raises(ShardError, match=r"held_out 0.01 with seed 0 holds none out; raise"):
            pack(tmp_path, originals(tmp_path, range(3)), held_out=0.01)

    def test_nothing_left_for_training(self, tmp_path: Path) -> None:
        with pytest.raises(ShardError, match="leaves none for training"):
            pack(tmp_path, originals(tmp_path, range(2)), held_out=0.999)

    def test_crops_of_two_sizes(self, tmp_path: Path) -> None:
        first, second = originals(tmp_path, range(2))
        with pytest.raises(ShardError, match="1 of 8 px, 1 of 16 px"):
            pack(tmp_path, [replace(first, crop=replace(first.crop, width=8, height=8, side=8)), second])

    def test_a_kept_row_without_pixels(self, tmp_path: Path) -> None:
        first, second = originals(tmp_path, range(2))
        with pytest.raises(ShardError, match="'test:0000' without a file or a crop"):
            pack(tmp_path, [replace(first, crop=None), second])

    def test_a_row_told_twice(self, tmp_path: Path) -> None:
        rows = originals(tmp_path, range(2))
        with pytest.raises(ShardError, match="lists 'test:0001' twice"):
            pack(tmp_path, [*rows, rows[1]])

    def test_an_original_that_changed(self, tmp_path: Path) -> None:
        rows = originals(tmp_path, range(9))
        (tmp_path / "1-raw" / str(rows[3].file)).write_bytes(b"something else")
        with pytest.raises(ShardError, match=r"0003.png is not the file the ledger was made from"):
            pack(tmp_path, rows)
        assert not (tmp_path / "3-shards").exists()

    def test_an_original_that_is_gone(self, tmp_path: Path) -> None:
        rows = originals(tmp_path, range(9))
        (tmp_path / "1-raw" / str(rows[3].file)).unlink()
        with pytest.raises(ShardError, match=r"0003.png is missing"):
            pack(tmp_path, rows)

    @pytest.mark.parametrize("block", [{"held_out": 1.0}, {"held_out": -0.1}, {"per_shard": 0}, {"seeds": 1}])
    def test_impossible_settings(self, block: dict[str, object]) -> None:
        with pytest.raises(ParamsError, match=r"pictures\.tiny\.shard"):
            Shard.read(block, "pictures.tiny.shard")
