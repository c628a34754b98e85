"""Shards by hand: damage is listed, rows are shown, dropped pixels are freed, and other tools read and give them."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from shard_sets import SIDE, contents, draw, originals, pack, refused

from pipelines import shards
from tasks.errors import ParamsError, ShardError
from tasks.progress import Progress
from tasks.shard.compact import compact
from tasks.shard.read import ShardSet
from tasks.shard.tend import damage

quiet = Progress(out=io.StringIO())


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """20 pictures as data/3-shards/tiny, row 4 dropped."""
    rows = originals(tmp_path, range(20))
    pack(tmp_path, rows)
    packed = pack(tmp_path, [*rows[:4], refused(rows[4]), *rows[5:]])
    folder = Path("data/3-shards/tiny")
    folder.parent.mkdir(parents=True)
    return packed.rename(folder)


class TestVerify:
    def test_a_sound_set(self, tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert shards.main(["verify", "tiny"]) == 0
        assert "every byte is the one that was written" in capsys.readouterr().out

    def test_every_fault_is_named(self, tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
        data = bytearray((tiny / "tiny-00001.safetensors").read_bytes())
        data[-1] ^= 128
        (tiny / "tiny-00001.safetensors").write_bytes(data)
        (tiny / "tiny-00002.safetensors").unlink()
        (tiny / "items/00001.jsonl").write_text("")
        (tiny / "tiny-00003.safetensors").write_text("")
        with pytest.raises(ShardError, match="4 found"):
            shards.main(["verify", "tiny"])
        told = capsys.readouterr().out
        for name in (
            "tiny-00001.safetensors is damaged",
            "tiny-00002",
            "items are not the rows",
            "tiny-00003.*belongs to no set",
        ):
            assert name.split(".*")[0] in told

    def test_no_set(self) -> None:
        with pytest.raises(ShardError, match="data/3-shards has no set 'nowhere'"):
            shards.main(["verify", "nowhere"])

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_any_flipped_bit_and_any_other_length(self, tiny: Path, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(contents(tiny).keys() - {"index.json"})))
        told = name.partition("/")[0]  # of rows the folder is named, since one hash stands for all of them
        whole = (tiny / name).read_bytes()
        if data.draw(st.booleans()):
            broken = bytearray(whole)
            broken[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        else:
            broken = whole[: data.draw(st.integers(0, len(whole) - 1))]
        (tiny / name).write_bytes(broken)
        try:
            found = damage(tiny, quiet)
            assert len(found) == 1
            assert told in found[0]
            with pytest.raises(ShardError, match=told):
                ShardSet(tiny, verify="always", progress=quiet)
        finally:
            (tiny / name).write_bytes(whole)


def test_stat_counts(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shards.main(["stat", "tiny"])
    told = capsys.readouterr().out
    assert "19 pictures of 16 x 16 px" in told
    assert "dropped: 1 rows, whose pixels stay" in told
    assert "sources: test 19" in told


def test_show_gives_the_picture_and_its_origin(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shards.main(["show", "tiny", "7"])
    np.testing.assert_array_equal(np.asarray(Image.open("tiny-7.png")), draw(7)[3:19, 2:18])
    assert "id: test:0007" in capsys.readouterr().out
    shards.main(["show", "tiny", "4", "four.png"])
    assert "dropped: training does not see it" in capsys.readouterr().out
    with pytest.raises(ShardError, match="rows 0 to 19 and not 20"):
        shards.main(["show", "tiny", "20"])


class TestCompact:
    def test_it_gives_what_packing_afresh_gives(self, tmp_path: Path) -> None:
        rows = originals(tmp_path, range(30))
        pack(tmp_path, rows)
        kept = [row if number not in (9, 20) else refused(row) for number, row in enumerate(rows)]
        folder = pack(tmp_path, kept)
        before = contents(folder)
        index = compact(folder, quiet)
        assert index.dropped == ()
        assert contents(folder)["tiny-00000.safetensors"] == before["tiny-00000.safetensors"]
        originals(tmp_path / "fresh", range(30))
        assert contents(folder) == contents(pack(tmp_path / "fresh", kept))
        assert draw(9)[3:19, 2:18].tobytes() not in b"".join(contents(folder).values())
        assert contents(pack(tmp_path, kept)) == contents(folder)

    def test_nothing_to_free(self, tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
        shards.main(["compact", "tiny"])
        before = contents(tiny)
        shards.main(["compact", "tiny"])
        assert "nothing to free" in capsys.readouterr().out
        assert contents(tiny) == before

    def test_a_damaged_set_is_not_compacted(self, tiny: Path) -> None:
        data = bytearray((tiny / "tiny-00001.safetensors").read_bytes())
        data[-1] ^= 128
        (tiny / "tiny-00001.safetensors").write_bytes(data)
        before = contents(tiny)
        with pytest.raises(ShardError, match="tiny-00001"):
            shards.main(["compact", "tiny"])
        assert contents(tiny) == before


def png(seed: int) -> bytes:
    data = io.BytesIO()
    Image.fromarray(draw(seed)[:SIDE, :SIDE]).save(data, "PNG")
    return data.getvalue()


def put(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


class TestExchange:
    @pytest.mark.parametrize("kind", ["webdataset", "imagefolder"])
    def test_out_and_back_is_the_same_set(self, tiny: Path, kind: str) -> None:
        shards.main(["compact", "tiny"])
        shards.main(["export", "tiny", kind, "out"])
        shards.main(["import", "back", "out"])
        one, two = ShardSet(tiny), ShardSet(Path("data/3-shards/back"))
        assert list(two.items) == list(one.items)
        np.testing.assert_array_equal(two.read(range(19)), one.read(range(19)))

    def test_what_is_dropped_stays_here(self, tiny: Path) -> None:
        shards.main(["export", "tiny", "imagefolder", "out"])
        names = sorted(path.stem for path in Path("out").rglob("*.png"))
        assert names == [f"{row:08}" for row in range(20) if row != 4]

    def test_torchvision_reads_the_tree(self, tiny: Path) -> None:
        from torchvision.datasets import ImageFolder

        shards.main(["export", "tiny", "imagefolder", "out"])
        folder = ImageFolder("out/train")
        rows = ShardSet(tiny).rows("train")
        assert len(folder) == len(rows)
        np.testing.assert_array_equal(np.asarray(folder[3][0]), draw(int(rows[3]))[3:19, 2:18])

    def test_tars_are_what_webdataset_reads(self, tiny: Path) -> None:
        shards.main(["export", "tiny", "webdataset", "out"])
        shards.main(["export", "tiny", "webdataset", "again"])
        assert contents(Path("out")) == contents(Path("again"))
        with tarfile.open("out/tiny-train-00000.tar") as tar:
            names = tar.getnames()
        keys = [name.split(".")[0] for name in names]
        assert keys[::2] == keys[1::2]
        assert [name.split(".")[1] for name in names] == ["png", "json"] * (len(names) // 2)

    def test_pictures_of_others_become_a_set(self, tmp_path: Path) -> None:
        for split, seeds in (("train", range(6)), ("val", range(6, 9))):
            for seed in seeds:
                path = tmp_path / "theirs" / split / "cats" / f"{seed}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(draw(seed)[:SIDE, :SIDE]).save(path)
                path.with_suffix(".json").write_text('{"label": 1}')
        shards.main(["import", "theirs", "theirs"])
        shard_set = ShardSet(Path("data/3-shards/theirs"))
        assert shard_set.rows("held_out").tolist() == [6, 7, 8]
        assert shard_set.items[0].id == "imported:train/cats/0.png"
        np.testing.assert_array_equal(shard_set.read([8])[0], draw(8)[:SIDE, :SIDE])

    def test_folders_of_tars_keep_their_splits(self) -> None:
        """Tars of one name in train and val, as WebDataset's users lay them."""
        for split, seeds in (("train", range(6)), ("val", range(6, 9))):
            Path("theirs", split).mkdir(parents=True)
            with tarfile.open(f"theirs/{split}/00000.tar", "w") as tar:
                for seed in seeds:
                    put(tar, f"{seed}.png", png(seed))
        shards.main(["import", "theirs", "theirs"])
        shard_set = ShardSet(Path("data/3-shards/theirs"))
        assert shard_set.rows("held_out").tolist() == [6, 7, 8]
        assert shard_set.items[0].id == "imported:train/00000/0.png"

    def test_folders_in_a_tar_tell_pictures_and_splits_apart(self) -> None:
        """However long their names; each has its own note."""
        deep = "/".join(["d" * 200] * 4)
        names = ["train/a.png", "val/b.png", "train/a__b.png", "train/a/b.png", f"train/{deep}/c.png"]
        with tarfile.open("theirs.tar", "w") as tar:
            for seed, name in enumerate(names):
                put(tar, name, png(seed))
                put(tar, name.replace(".png", ".json"), f'{{"label": {seed}}}'.encode())
        shards.main(["import", "theirs", "theirs.tar"])
        shard_set = ShardSet(Path("data/3-shards/theirs"))
        found = {item.id.removeprefix("imported:theirs/"): row for row, item in enumerate(shard_set.items)}
        assert found.keys() == set(names)
        assert [shard_set.items[row].id for row in shard_set.rows("held_out")] == ["imported:theirs/val/b.png"]
        for seed, name in enumerate(names):
            np.testing.assert_array_equal(shard_set.read([found[name]])[0], draw(seed)[:SIDE, :SIDE])

    def test_notes_of_ours_are_found_in_the_folders_of_a_tar(self, tiny: Path) -> None:
        shards.main(["compact", "tiny"])
        shards.main(["export", "tiny", "imagefolder", "out"])
        with tarfile.open("packed.tar", "w") as tar:
            tar.add("out", ".")
        shards.main(["import", "back", "packed.tar"])
        assert list(ShardSet(Path("data/3-shards/back")).items) == list(ShardSet(tiny).items)

    def test_a_picture_that_lies_in_a_tar_twice_is_said(self) -> None:
        with tarfile.open("twice.tar", "w") as tar:
            put(tar, "a.png", png(1))
            put(tar, "./a.png", png(2))
        with pytest.raises(ShardError, match=r"twice.tar holds 2 pictures under 1 ids; remove those that repeat"):
            shards.main(["import", "new", "twice.tar"])

    @pytest.mark.parametrize("kind", ["gz", "xz"])
    @pytest.mark.parametrize("damage", ["cut", "overwritten"])
    def test_a_damaged_tar_is_said(self, kind: str, damage: str) -> None:
        with tarfile.open("whole.tar", f"w:{kind}") as tar:  # type: ignore[call-overload]
            for seed in range(50):
                put(tar, f"{seed}.json", " ".join(map(str, range(seed, seed + 1_000))).encode())
        whole = Path("whole.tar").read_bytes()
        middle = len(whole) // 2
        rest = b"" if damage == "cut" else b"\xff" * 200 + whole[middle + 200 :]
        Path("broken.tar").write_bytes(whole[:middle] + rest)
        with pytest.raises(ShardError, match=r"broken.tar is no tar that can be read \(.+\); fetch it again"):
            shards.main(["import", "new", "broken.tar"])

    def test_names_in_a_tar_reach_nowhere(self, tmp_path: Path) -> None:
        with tarfile.open("evil.tar", "w") as tar:
            for name in ("../../escaped.png", "/absolute.png", "a/b.png"):
                put(tar, name, png(1))
        shards.main(["import", "theirs", "evil.tar", "--held-out", "0"])
        assert ShardSet(Path("data/3-shards/theirs")).num_items == 3
        assert not list(tmp_path.parent.glob("*.png"))
        assert not list(Path(".scratch").glob("import-*"))

    def test_what_cannot_be_packed_is_said(self, tiny: Path, tmp_path: Path) -> None:
        def refuses(told: str, *command: str) -> None:
            with pytest.raises(ShardError, match=told):
                shards.main(command)

        Path("here").mkdir()
        refuses("here is there already", "export", "tiny", "imagefolder", "here")
        refuses("tiny is there already", "import", "tiny", "here")
        refuses("nothing is not there", "import", "new", "nothing")
        refuses("holds no pictures", "import", "new", "here")
        Image.fromarray(draw(1)[:SIDE, :SIDE]).save("here/a.png")
        Image.fromarray(draw(1)).save("here/b.png")
        refuses("b.png of here is 24 x 20 px and a.png calls for squares of 16 px", "import", "new", "here")
        Path("here/b.png").write_bytes(b"no picture")
        refuses("b.png cannot be opened", "import", "new", "here")
        Path("broken.tar").write_bytes(b"no tar")
        refuses("broken.tar is no tar", "import", "new", "broken.tar")
        with pytest.raises(ParamsError, match="held_out"):
            shards.main(["import", "new", "here", "--held-out", "2"])
        assert not Path("data/3-shards/new").exists()
