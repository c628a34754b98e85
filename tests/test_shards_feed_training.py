"""The feed: one sequence of batches for one seed, whoever asks, whenever, from however many ranks."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shard_sets import SIDE, originals, pack

from tasks.errors import ShardError
from tasks.progress import Progress
from tasks.shard import reside
from tasks.shard.feed import Feed
from tasks.shard.order import below, draws, key, permutation
from tasks.shard.read import ShardSet
from tasks.shard.reside import Residency


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    folder = tmp_path_factory.mktemp("fed")
    before = Path.cwd()
    os.chdir(folder)
    try:
        return ShardSet(pack(folder, originals(folder, range(40))))
    finally:
        os.chdir(before)


def test_splitmix64_gives_the_published_numbers() -> None:
    # The first outputs of the reference implementation for the seed 1234567.
    wanted = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    assert draws(np.uint64(1234567), np.arange(5, dtype=np.uint64)).tolist() == wanted


@settings(max_examples=50, deadline=None)
@given(num=st.integers(0, 500), seed=st.integers(0, 2**40))
def test_an_order_holds_everything_once(num: int, seed: int) -> None:
    assert sorted(permutation(num, key("order", seed))) == list(range(num))


def test_orders_are_even() -> None:
    firsts = np.bincount([permutation(10, key(seed))[0] for seed in range(5000)], minlength=10)
    assert ((firsts - 500) ** 2 / 500).sum() < 33.7  # chi-squared with 9 degrees of freedom, p = 0.0001
    spread = np.bincount(below(7, key("x"), np.arange(7000, dtype=np.uint64)), minlength=7)
    assert spread.min() > 850


def test_images_are_what_the_shards_hold(shards: ShardSet) -> None:
    feed = Feed(shards, batch=4, seed=0)
    batch = feed.batch(2)
    assert batch.images.shape == (4, 3, SIDE, SIDE)
    assert batch.images.dtype == torch.float32
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert batch.rows.dtype == np.int64
    back = ((batch.images + 1) * 127.5).round().permute(0, 2, 3, 1).to(torch.uint8).numpy()
    np.testing.assert_array_equal(back, shards.read(batch.rows))
    assert -1 <= batch.images.min() < -0.9
    assert 0.9 < batch.images.max() <= 1


def test_an_epoch_shows_each_picture_at_most_once_and_epochs_differ(shards: ShardSet) -> None:
    feed = Feed(shards, batch=4, seed=0)
    epochs = [[*np.concatenate([feed.rows(e * feed.steps_per_epoch + s) for s in range(feed.steps_per_epoch)])]
              for e in range(3)]  # fmt: skip
    for epoch in epochs:
        assert len(set(epoch)) == len(epoch) == feed.num_items // 4 * 4
        assert set(epoch) <= set(shards.rows("train"))
    assert epochs[0] != epochs[1] != epochs[2]


@settings(max_examples=20, deadline=None)
@given(asked=st.lists(st.integers(0, 200), min_size=1, max_size=12))
def test_a_batch_depends_on_its_step_alone(shards: ShardSet, asked: list[int]) -> None:
    one = Feed(shards, batch=4, seed=5, crop=12, flip=True)
    for step in asked:
        batch, alone = one.batch(step), Feed(shards, batch=4, seed=5, crop=12, flip=True).batch(step)
        assert torch.equal(batch.images, alone.images)
        np.testing.assert_array_equal(batch.rows, alone.rows)


@pytest.mark.parametrize("world", [2, 4])
def test_ranks_share_one_sequence(shards: ShardSet, world: int) -> None:
    whole = Feed(shards, batch=8, seed=1, crop=12, flip=True)
    ranks = [Feed(shards, batch=8, seed=1, crop=12, flip=True, rank=rank, world=world) for rank in range(world)]
    for step in (0, 1, 7, 30):
        parts = [rank.batch(step) for rank in ranks]
        assert torch.equal(torch.cat([part.images for part in parts]), whole.batch(step).images)
        np.testing.assert_array_equal(np.concatenate([part.rows for part in parts]), whole.rows(step))
    assert {rank.fingerprint for rank in ranks} == {whole.fingerprint}


@pytest.mark.parametrize("residency", ["host", "stream", "device"])
def test_where_pictures_stay_changes_nothing(shards: ShardSet, residency: Residency) -> None:
    said = io.StringIO()
    feed = Feed(shards, batch=4, seed=5, flip=True, residency=residency, progress=Progress(out=said))
    reference = Feed(shards, batch=4, seed=5, flip=True, residency="stream")
    for step in (0, 1, 2, 3, 9, 10, 4, 4, 300, 0):
        batch = feed.batch(step)
        assert torch.equal(batch.images, reference.batch(step).images)
        back = ((batch.images + 1) * 127.5).round().permute(0, 2, 3, 1).to(torch.uint8).numpy()
        for picture, whole in zip(back, shards.read(batch.rows), strict=True):
            assert np.array_equal(picture, whole) or np.array_equal(picture[:, ::-1], whole)
    assert said.getvalue().count("tiny:") == 1


def test_batches_keep_their_pictures_when_later_ones_are_read(shards: ShardSet) -> None:
    feed = Feed(shards, batch=4, seed=5)
    kept = [feed.batch(step) for step in range(12)]
    for step, batch in enumerate(kept):
        assert torch.equal(batch.images, Feed(shards, batch=4, seed=5).batch(step).images)


def test_a_small_set_stays_in_memory_and_one_too_large_on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    monkeypatch.setattr(reside, "free_memory", lambda: 1000)
    assert reside.choose(249, cpu) == "host"
    assert reside.choose(250, cpu) == "stream"


def test_there_is_memory_to_ask_for() -> None:
    assert 2**20 < reside.free_memory() < 2**50


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("residency", ["host", "stream", "device"])
def test_a_gpu_is_fed_the_same(shards: ShardSet, residency: Residency) -> None:
    feed = Feed(shards, batch=4, seed=5, crop=12, flip=True, device="cuda", residency=residency)
    reference = Feed(shards, batch=4, seed=5, crop=12, flip=True)
    for step in (*range(20), 3, 100):
        images = feed.batch(step).images
        assert images.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(images.cpu(), reference.batch(step).images)


def test_files_that_shrink_during_training_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = pack(tmp_path, originals(tmp_path, range(40)))
    feed = Feed(ShardSet(folder), batch=4, seed=0, residency="stream")
    feed.batch(0)
    for path in folder.glob("*.safetensors"):
        os.truncate(path, 5000)
    with pytest.raises(ShardError, match="shorter while it was being read"):
        [feed.batch(step) for step in range(1, 8)]


def test_seeds_splits_and_sizes_are_other_sequences(shards: ShardSet) -> None:
    feeds = [
        Feed(shards, batch=4, seed=0),
        Feed(shards, batch=4, seed=1),
        Feed(shards, batch=2, seed=0),
        Feed(shards, batch=4, seed=0, flip=True),
        Feed(shards, batch=4, seed=0, crop=12),
        Feed(shards, batch=4, seed=0, split="held_out"),
    ]
    assert len({feed.fingerprint for feed in feeds}) == len(feeds)
    assert feeds[0].rows(0).tolist() != feeds[1].rows(0).tolist()


def test_crops_lie_inside_and_flips_mirror(shards: ShardSet) -> None:
    feed = Feed(shards, batch=8, seed=3, crop=12, flip=True)
    seen: set[tuple[int, int, bool]] = set()
    for step in range(12):
        batch = feed.batch(step)
        for image, row in zip(batch.images, batch.rows, strict=True):
            got = ((image + 1) * 127.5).round().permute(1, 2, 0).to(torch.uint8).numpy()
            whole = shards.read([row])[0]
            places = [
                (top, left, flipped)
                for top in range(5)
                for left in range(5)
                for flipped in (False, True)
                if np.array_equal(whole[top : top + 12, left : left + 12][:, :: -1 if flipped else 1], got)
            ]
            assert len(places) == 1
            seen.add(places[0])
    assert {top for top, _, _ in seen} == {left for _, left, _ in seen} == set(range(5))
    assert {flipped for _, _, flipped in seen} == {False, True}


class TestRefusals:
    def test_too_few_pictures_for_a_batch(self, shards: ShardSet) -> None:
        with pytest.raises(ShardError, match=r"split 'train' and one batch takes 64; collect more"):
            Feed(shards, batch=64, seed=0)

    def test_nothing_held_out(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        shards = ShardSet(pack(tmp_path, originals(tmp_path, range(8)), held_out=0.0))
        with pytest.raises(ShardError, match="holds no picture out"):
            Feed(shards, batch=4, seed=0, split="held_out")

    def test_a_crop_larger_than_the_pictures(self, shards: ShardSet) -> None:
        with pytest.raises(ShardError, match="pictures of 16 px and crops of 17 px"):
            Feed(shards, batch=4, seed=0, crop=17)

    @pytest.mark.parametrize(("batch", "rank", "world"), [(8, 0, 3), (8, 2, 2), (8, -1, 2), (8, 0, 0)])
    def test_shares_that_do_not_come_out(self, shards: ShardSet, batch: int, rank: int, world: int) -> None:
        with pytest.raises(ShardError, match="cannot be shared"):
            Feed(shards, batch=batch, seed=0, rank=rank, world=world)

    def test_no_batch(self, shards: ShardSet) -> None:
        with pytest.raises(ShardError, match="at least 1"):
            Feed(shards, batch=0, seed=0)
