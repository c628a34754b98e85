"""Where and how exactly numbers are computed: device, bfloat16 inside the networks, memory layout, and chance."""

import random
import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tasks.errors import ParamsError
from tasks.train.recipe import Recipe
from tasks.train.settings import Train

CPU = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Precision:
    """How the networks of one run compute."""

    device: torch.device
    dtype: torch.dtype  # inside the networks; weights, losses, penalties and averages are float32
    layout: torch.memory_format

    @classmethod
    def of(cls, settings: Train) -> "Precision":
        """What `settings` name, or what the device is good at; raises ParamsError for a GPU that is not there."""
        if settings.device == "cuda" and not torch.cuda.is_available():
            raise ParamsError("train.device is 'cuda' and PyTorch sees no GPU here; set it to auto or cpu")
        gpu = settings.device == "cuda" or (settings.device == "auto" and torch.cuda.is_available())
        device = torch.device("cuda" if gpu else "cpu")
        layout = torch.contiguous_format if settings.layout == "contiguous" else torch.channels_last
        half = settings.precision == "bfloat16" or (settings.precision == "auto" and multiplies_bfloat16(device))
        return cls(device, torch.bfloat16 if half else torch.float32, layout)

    def warning(self) -> str:
        """What a person should know, or nothing."""
        if self.dtype != torch.bfloat16 or multiplies_bfloat16(self.device):
            return ""
        return (
            f"this {self.device.type} has no instructions for bfloat16, which takes several times as long as float32 "
            "here; a run keeps what it began with, begin anew with train.precision auto or float32"
        )

    def autocast(self) -> AbstractContextManager[Any]:
        """Inside, matrix products and convolutions take `dtype`."""
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32)

    def place(self, recipe: Recipe) -> None:
        """Move all of a recipe's networks and optimizers here, in this layout; weights are changed in one pass."""
        for network in (*recipe.networks.values(), *recipe.averages.values()):
            network.to(device=self.device, memory_format=self.layout)  # pyright: ignore[reportCallIssue]
        for optimizer in recipe.optimizers.values():
            for group in optimizer.param_groups:
                if "fused" in group:
                    group.update(fused=True, foreach=False)
            for weight, state in optimizer.state.items():
                state.update({name: _beside(weight, value) for name, value in state.items()})


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether `device` has instructions for bfloat16, without which it is several times slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(re.search(r"\b(avx512_bf16|amx_bf16)\b", CPU.read_text()))


def _beside(weight: torch.Tensor, value: Any) -> Any:
    """An optimizer's number where its weight is, and a moment in the weight's layout: fused passes pair raw memory."""
    if not isinstance(value, torch.Tensor):
        return value
    if value.shape != weight.shape:
        return value.to(weight.device)
    if value.device == weight.device and value.stride() == weight.stride():
        return value
    return torch.empty_like(weight, dtype=value.dtype, requires_grad=False).copy_(value)


def seed_chance(seed: int, step: int) -> None:
    """Make all chance of a step a function of (seed, step), so that a resumed run meets the same one."""
    drawn = int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0])
    random.seed(drawn)
    np.random.seed(drawn % 2**32)
    # not torch.manual_seed: without a GPU it keeps a trace of each call for the day there is one
    torch.default_generator.manual_seed(drawn)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(drawn)
