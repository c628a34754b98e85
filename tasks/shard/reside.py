"""Where the pictures of a split stay while they are trained on: on the device, in memory, or on the disk."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.progress import Progress
from tasks.shard.layout import CHANNELS
from tasks.shard.read import ShardSet
from tasks.shard.ring import Ring

Residency = Literal["auto", "device", "host", "stream"]
SHARE = 0.25  # of what is free: more than that is not taken for pictures
CHUNK = 2**26  # bytes read at a time while a whole split is loaded

Places = NDArray[np.int64]  # numbers of pictures within the split, int64 [n]


def choose(num_bytes: int, device: torch.device) -> Residency:
    """The nearest place that has room for `num_bytes`: the device, else memory, else the disk."""
    if device.type == "cuda" and num_bytes < SHARE * torch.cuda.mem_get_info(device)[0]:
        return "device"
    return "host" if num_bytes < SHARE * free_memory() else "stream"


class Resident:
    """Pictures step after step, uint8 [n, side, side, 3] on the device, whether they stay there or not.

    `places_of(step)` are the pictures of a step as numbers within `rows`, the split. Nothing is loaded before the first
    step is asked for. On the CPU, what `take` gives is good until it is called again.
    """

    def __init__(
        self,
        shard_set: ShardSet,
        rows: Places,
        places_of: Callable[[int], Places],
        batch: int,
        device: torch.device,
        residency: Residency,
        progress: Progress,
    ) -> None:
        self._set = shard_set
        self._rows = rows
        self._places_of = places_of
        self._shape = (batch, shard_set.side, shard_set.side, CHANNELS)
        self._device = device
        self._progress = progress
        self.num_bytes = len(rows) * shard_set.index.item_bytes
        self.residency: Residency = choose(self.num_bytes, device) if residency == "auto" else residency
        self._take: Callable[[int], Tensor] | None = None

    def take(self, step: int) -> Tensor:
        """The pictures of `step`; ShardError where a file can no longer be read."""
        if self._take is None:
            self._progress.say(self.told())
            self._take = self._settle(step)
        return self._take(step)

    def told(self) -> str:
        """One sentence: how much there is, and where it stays."""
        where = {"device": f"on {self._device}", "host": "in memory", "stream": "on the disk and are read as they come"}
        return (
            f"{self._set.name}: {len(self._rows):,} pictures of {self._set.side} px, {self.num_bytes / 1e6:,.0f} MB, "
            f"stay {where[self.residency]}"
        )

    def _settle(self, first: int) -> Callable[[int], Tensor]:
        """Load what is to stay; gives the way to take a step's pictures from there."""
        if self.residency == "device":
            whole = self._load(self._device)
            return lambda step: whole.index_select(0, torch.from_numpy(self._places_of(step)).to(self._device))
        ring = Ring(self._shape, self._device)
        if self.residency == "host":
            pictures = self._load(torch.device("cpu")).numpy()

            def pick(step: int) -> Tensor:
                buffer = ring.next()
                # "clip" saves numpy a copy of its own; no place is outside.
                np.take(pictures, self._places_of(step), axis=0, out=buffer.pictures.numpy(), mode="clip")
                return ring.sent(buffer)

            return pick

        # After an epoch the kernel has all that memory has room for, and need not be told what is coming.
        warm_from = first + len(self._rows) // self._shape[0] if self.num_bytes < free_memory() else None

        def read(step: int) -> Tensor:
            buffer = ring.next()
            self._set.read_into(self._rows[self._places_of(step)], buffer.slots)
            if warm_from is None or step < warm_from:
                self._set.expect(self._rows[self._places_of(step + 1)])
            return ring.sent(buffer)

        return read

    def _load(self, device: torch.device) -> Tensor:
        """The whole split on `device`, uint8 [num_items, side, side, 3]."""
        whole = torch.empty((len(self._rows), *self._shape[1:]), dtype=torch.uint8, device=device)
        step = max(1, CHUNK // self._set.index.item_bytes)
        starts = range(0, len(self._rows), step)
        for start in self._progress.track(starts, f"loading {self._set.name}", unit="chunks"):
            whole[start : start + step] = torch.from_numpy(self._set.read(self._rows[start : start + step]))
        return whole


def free_memory() -> int:
    """Bytes of memory this process may still take, by the machine and by its control group."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for line in _lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) * 1024
    limit, used = _lines(Path("/sys/fs/cgroup/memory.max")), _lines(Path("/sys/fs/cgroup/memory.current"))
    if limit and used and limit[0].isdigit():
        free = min(free, int(limit[0]) - int(used[0]))
    return free


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
