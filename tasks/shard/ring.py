"""A few batch buffers, made once and filled in turn, so that one is filled while the GPU still copies the last."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tasks.shard.read import slots

ON_GPU = 3  # buffers, pinned: copies to a GPU end later than the call that starts them
ON_CPU = 1


@dataclass(frozen=True)
class Buffer:
    """Memory for one batch: uint8 [n, side, side, 3], and the same memory picture by picture."""

    pictures: Tensor
    slots: list[memoryview]
    copied: torch.cuda.Event | None  # when its last copy to the GPU ended

    @classmethod
    def of(cls, shape: tuple[int, int, int, int], *, pinned: bool) -> "Buffer":
        """An empty buffer."""
        if pinned:
            pictures = torch.zeros(shape, dtype=torch.uint8, pin_memory=True)
            return cls(pictures, slots(pictures.numpy()), torch.cuda.Event())
        pictures = torch.from_numpy(np.zeros(shape, dtype=np.uint8))  # numpy asks for large pages, torch does not
        return cls(pictures, slots(pictures.numpy()), None)


class Ring:
    """Buffers for batches of `shape` that are on their way to `device`."""

    def __init__(self, shape: tuple[int, int, int, int], device: torch.device) -> None:
        self._device = device
        on_gpu = device.type == "cuda"
        self._buffers = [Buffer.of(shape, pinned=on_gpu) for _ in range(ON_GPU if on_gpu else ON_CPU)]
        self._turn = 0

    def next(self) -> Buffer:
        """The buffer whose turn it is, once nothing reads it any more."""
        self._turn = (self._turn + 1) % len(self._buffers)
        buffer = self._buffers[self._turn]
        if buffer.copied is not None:
            buffer.copied.synchronize()
        return buffer

    def sent(self, buffer: Buffer) -> Tensor:
        """Its pictures on the device; on the CPU the buffer itself."""
        if buffer.copied is None:
            return buffer.pictures
        pictures = buffer.pictures.to(self._device, non_blocking=True)
        buffer.copied.record(torch.cuda.current_stream(self._device))
        return pictures
