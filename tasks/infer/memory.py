"""How much memory a network takes for a tile, found with a small one, how much there is, and giving it back."""

import ctypes
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

SHARE = 0.5  # of the free memory that tiles may take; the rest is for the workspaces of convolutions, and for others
SMALL = 64  # px a side of the tile that is tried, at least; what lives grows with the area


def bytes_a_pixel(network: nn.Module, stride: int) -> float:
    """The most that lives at once while a tile passes through `network`, in bytes for each of its pixels.

    Counted on a small tile of black, of a side that is a multiple of `stride`. Fake tensors would tell the same
    without computing, but loading them takes torch 150 MB.
    """
    side = -(-max(SMALL, 2 * stride) // stride) * stride
    device = next((weight.device for weight in network.parameters()), torch.device("cpu"))
    with torch.inference_mode():
        tile = torch.zeros(1, 3, side, side, device=device)
        with _Living() as living:
            network(tile)
    return (living.peak + tile.nbytes) / (side * side)


def free_bytes(device: torch.device) -> int:
    """What is free on the device; for the CPU what Linux calls available."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 4 * 2**30


def pixels_that_fit(network: nn.Module, stride: int, devices: Sequence[torch.device]) -> int:
    """How many pixels may pass through the network together on each of `devices`, in one tile or several."""
    return int(SHARE * min(map(free_bytes, devices)) / bytes_a_pixel(network, stride))


def give_back() -> None:
    """Let the system have what was freed: glibc keeps it, for each thread apart, and grows with the hours."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # only glibc has it
    if trim:
        trim(0)


class _Living(TorchFunctionMode):
    """Adds up the storages that operations make, until they die."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = self._now = 0
        self._known: set[int] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in out if isinstance(out, tuple | list) else (out,):
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
