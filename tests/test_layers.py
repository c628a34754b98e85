"""Layers computed in another way give PyTorch's own numbers, and stay in their memory layout and precision."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tasks.train.layers import InstanceNorm, ReflectConv


def pictures(num: int, width: int = 3, layout: torch.memory_format = torch.channels_last) -> Tensor:
    drawn = torch.randn(num, width, 12, 10, generator=torch.Generator().manual_seed(num))
    return drawn.to(memory_format=layout).requires_grad_()


def through(layer: nn.Module, shown: Tensor) -> tuple[Tensor, ...]:
    """What comes out, and the gradients of what went in and of the weights."""
    out = layer(shown)
    loss = (out * torch.linspace(-1, 1, out.numel()).reshape(out.shape)).sum()
    return (out, *torch.autograd.grad(loss, (shown, *layer.parameters())))


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("num", [1, 2])
def test_they_give_the_numbers_of_pytorchs_own(num: int, layout: Any) -> None:
    ours = ReflectConv(3, 4, 7)
    theirs = nn.Conv2d(3, 4, 7, 1, 3, padding_mode="reflect")
    theirs.load_state_dict(ours.state_dict())
    shown = pictures(num, layout=layout)
    for one, other in ((ours, theirs), (InstanceNorm(3), nn.InstanceNorm2d(3))):
        for got, wanted in zip(through(one, shown), through(other, shown), strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


def test_they_stay_in_their_layout_and_precision() -> None:
    seen: list[Tensor] = []
    network = nn.Sequential(ReflectConv(3, 4, 3), InstanceNorm(4), ReflectConv(4, 4, 3)).to(
        memory_format=torch.channels_last
    )  # pyright: ignore[reportCallIssue]
    for layer in network:
        layer.register_forward_hook(lambda _layer, _inputs, output: seen.append(output))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        network(pictures(2))
    assert {one.dtype for one in seen} == {torch.bfloat16}
    assert all(one.is_contiguous(memory_format=torch.channels_last) for one in seen)
