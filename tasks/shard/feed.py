"""Batches for training: a pure function of (seed, step), whatever was asked for before and however many ranks ask.

uint8 travels to the device and becomes float there, after crop and flip: a quarter of the bytes, and no work here.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.errors import ShardError
from tasks.files import fingerprint
from tasks.progress import Progress
from tasks.rows import Split
from tasks.shard.order import below, key, permutation
from tasks.shard.read import ShardSet
from tasks.shard.reside import Residency, Resident


@dataclass(frozen=True)
class Batch:
    """`images`: float32 [B, 3, h, w] in (-1, 1), channels_last, on the feed's device; `rows`: int64 [B], the rows of
    the shard set they were made from, so that `shard_set.items[row]` tells where each came from."""

    images: Tensor
    rows: NDArray[np.int64]


class Feed:
    """Batches of one split of a shard set, shuffled anew each epoch over the whole split.

    `batch` counts the pictures of a step over all ranks; rank r of `world` gets its share of them, so the sequence
    stays the same for any number of ranks. `crop` cuts a random square of that many pixels (None: the whole picture),
    `flip` mirrors every other picture at random. The order depends on the set's name too, so two feeds of one seed
    never fall into step. What does not fill a batch at the end of an epoch is left out, each time others.
    `residency` says where the pictures stay: on the "device", in the "host"'s memory, or on the disk ("stream");
    "auto" takes the first that has room, and `progress` is told.
    Raises ShardError where the split has fewer pictures than one batch or the crop is larger than they are.
    """

    def __init__(
        self,
        shard_set: ShardSet,
        *,
        split: Split = "train",
        batch: int,
        seed: int,
        device: torch.device | str = "cpu",
        crop: int | None = None,
        flip: bool = False,
        residency: Residency = "auto",
        progress: Progress | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self._rows = shard_set.rows(split)
        self._set = shard_set
        _require_enough(shard_set, len(self._rows), split, batch)
        _require_shares(batch, rank, world)
        if crop is not None and not 0 < crop <= shard_set.side:
            raise ShardError(
                f"{shard_set.folder} holds pictures of {shard_set.side} px and crops of {crop} px are asked for; "
                "lower the crop or prepare larger pictures"
            )
        self.split: Split = split
        self.batch_size = batch
        self.seed = seed
        self.device = torch.device(device)
        self.side = crop or shard_set.side
        self.flip = flip
        self._share = slice(rank * batch // world, (rank + 1) * batch // world)
        self._orders: dict[int, NDArray[np.int64]] = {}
        self._pictures = Resident(
            shard_set, self._rows, self.places, batch // world, self.device, residency, progress or Progress()
        )

    @property
    def residency(self) -> Residency:
        """Where the pictures stay: "device", "host" or "stream"."""
        return self._pictures.residency

    @property
    def num_items(self) -> int:
        """The pictures of the split."""
        return len(self._rows)

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in the split."""
        return self.num_items // self.batch_size

    @property
    def fingerprint(self) -> str:
        """16 hex digits that stand for the sequence of batches: equal ones resume each other, for any world size."""
        return fingerprint(self._set.fingerprint, self.split, self.batch_size, self.seed, self.side, self.flip)

    def places(self, step: int) -> NDArray[np.int64]:
        """Which pictures of the split this rank sees at `step`, counted from 0 without end, int64 [batch / world]."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch not in self._orders:
            order = permutation(self.num_items, key("order", self._set.name, self.split, self.seed, epoch))
            self._orders = {kept: self._orders[kept] for kept in self._orders if kept == epoch - 1} | {epoch: order}
        start = place * self.batch_size
        return self._orders[epoch][start : start + self.batch_size][self._share]

    def rows(self, step: int) -> NDArray[np.int64]:
        """The rows of the shard set that this rank sees at `step`, int64 [batch / world]."""
        return self._rows[self.places(step)]

    def pixels(self, step: int) -> Tensor:
        """The whole pictures of `step` on the device, uint8 [B, side, side, 3]; on the CPU good until the next call.

        Raises ShardError where a file can no longer be read.
        """
        return self._pictures.take(step)

    def batch(self, step: int) -> Batch:
        """What this rank sees at `step`, in memory of its own; ShardError where a file can no longer be read."""
        return Batch(self._finished(self.pixels(step), step), self.rows(step))

    def _finished(self, pictures: Tensor, step: int) -> Tensor:
        """uint8 [B, side, side, 3] to float32 [B, 3, h, w] in (-1, 1), cropped and flipped where asked for."""
        if self.side != pictures.shape[1] or self.flip:
            pictures = self._cropped(pictures, step)
        return pictures.permute(0, 3, 1, 2).to(torch.float32).div_(127.5).sub_(1.0)

    def _cropped(self, pictures: Tensor, step: int) -> Tensor:
        """A square out of each picture, mirrored or not, gathered in one go; uint8 [B, h, w, 3]."""
        counters = np.arange(self.batch_size, dtype=np.uint64)[self._share]
        room = pictures.shape[1] - self.side + 1

        def drawn(what: str, limit: int) -> Tensor:
            at = key(what, self._set.name, self.split, self.seed, step)
            return torch.from_numpy(below(limit, at, counters)).to(self.device)

        along = torch.arange(self.side, device=self.device)
        tops, lefts = drawn("top", room)[:, None] + along, drawn("left", room)[:, None] + along  # [B, side]
        if self.flip:
            lefts = torch.where(drawn("flip", 2)[:, None] == 1, lefts.flip(1), lefts)
        which = torch.arange(len(pictures), device=self.device)
        return pictures[which[:, None, None], tops[:, :, None], lefts[:, None, :]]


def _require_enough(shard_set: ShardSet, num_items: int, split: Split, batch: int) -> None:
    if batch < 1:
        raise ShardError(f"a batch of {batch} pictures is asked of {shard_set.folder}; ask for at least 1")
    if num_items == 0 and split == "held_out":
        raise ShardError(
            f"{shard_set.folder} holds no picture out; set the set's shard.held_out above 0 and run it again"
        )
    if num_items < batch:
        raise ShardError(
            f"{shard_set.folder} has {num_items} pictures in its split {split!r} and one batch takes {batch}; "
            "collect more pictures or lower the batch"
        )


def _require_shares(batch: int, rank: int, world: int) -> None:
    if not 0 <= rank < world or batch % world:
        raise ShardError(
            f"a batch of {batch} pictures cannot be shared as rank {rank} of {world} ranks; choose a batch that the "
            "number of ranks divides, and a rank below it"
        )
