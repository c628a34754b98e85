"""How much memory a network takes for a tile, found without running it, and how much there is."""

import copy
import weakref
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

SHARE = 0.5  # of the free memory that tiles may take; the rest is for the workspaces of convolutions, and for others


def peak_bytes(network: nn.Module, height: int, width: int) -> int:
    """The most that lives at once while [1, 3, height, width] passes through; counted on tensors without data."""
    shell = copy.deepcopy(network).to("meta")
    with torch.inference_mode(), _Living() as living:
        shell(torch.zeros(1, 3, height, width, device="meta"))
    return living.peak


def free_bytes(device: torch.device) -> int:
    """What is free on the device; for the CPU what Linux calls available."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 4 * 2**30


def tiles_that_fit(network: nn.Module, height: int, width: int, device: torch.device) -> int:
    """How many tiles of that size may pass through together; 0 where not even one fits."""
    return int(SHARE * free_bytes(device) // max(peak_bytes(network, height, width), 1))


class _Living(TorchDispatchMode):
    """Adds up the storages that operations make, until they die."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = self._now = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self._born(leaf.untyped_storage())
        return out

    def _born(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata  # pyright: ignore[reportPrivateUsage]
        if key not in self._known:
            self._known.add(key)
            self._now += storage.nbytes()
            self.peak = max(self.peak, self._now)
            weakref.finalize(storage, self._died, key, storage.nbytes())

    def _died(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._now -= size
