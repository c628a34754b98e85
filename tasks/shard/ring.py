"""A few batch buffers, made once, that a thread fills ahead while the device is busy with the last one."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.shard.read import slots

BUFFERS = 3  # one in use, two filled or being filled


@dataclass(frozen=True)
class Buffer:
    """Memory for one batch: uint8 [n, side, side, 3], and the same memory picture by picture."""

    pictures: Tensor
    slots: list[memoryview]
    copied: torch.cuda.Event | None  # when its last copy to the GPU ended

    @classmethod
    def of(cls, shape: tuple[int, int, int, int], device: torch.device) -> "Buffer":
        """An empty buffer, pinned where `device` is a GPU."""
        on_gpu = device.type == "cuda"
        pictures = torch.zeros(shape, dtype=torch.uint8, pin_memory=on_gpu)
        return cls(pictures, slots(pictures.numpy()), torch.cuda.Event() if on_gpu else None)


Fill = Callable[[NDArray[np.int64], Buffer], None]  # put the pictures of these rows into a buffer


class Ring:
    """Pictures of step after step, on the device.

    `rows_of(step)` tells which rows a step needs and `fill` puts their pictures into a buffer. Steps that follow one
    another are ready when they are asked for; any other step is filled on the spot, so what is given depends on the
    step alone. No buffer is filled again before its copy to the GPU has ended.
    """

    def __init__(
        self,
        fill: Fill,
        rows_of: Callable[[int], NDArray[np.int64]],
        shape: tuple[int, int, int, int],
        device: torch.device,
    ) -> None:
        self._fill = fill
        self._rows_of = rows_of
        self._device = device
        self._buffers = [Buffer.of(shape, device) for _ in range(BUFFERS)]
        self._filling: dict[int, Future[None]] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="feed")

    def take(self, step: int) -> Tensor:
        """uint8 [n, side, side, 3]; on the CPU it is the buffer itself, good until the next call."""
        wanted = range(step, step + BUFFERS)
        for missed in [known for known in self._filling if known not in wanted]:
            self._filling.pop(missed).cancel()
        for coming in wanted:
            if coming not in self._filling:
                buffer = self._buffers[coming % BUFFERS]
                self._filling[coming] = self._thread.submit(self._fill_one, self._rows_of(coming), buffer)
        self._filling.pop(step).result()
        return self._on_device(self._buffers[step % BUFFERS])

    def _fill_one(self, rows: NDArray[np.int64], buffer: Buffer) -> None:
        if buffer.copied is not None:
            buffer.copied.synchronize()
        self._fill(rows, buffer)

    def _on_device(self, buffer: Buffer) -> Tensor:
        if buffer.copied is None:
            return buffer.pictures
        pictures = buffer.pictures.to(self._device, non_blocking=True)
        buffer.copied.record(torch.cuda.current_stream(self._device))
        return pictures
