"""Train: our steps beside the plain float32 step of each original, same networks, same machine, taken in turns.

A plain step is what the originals do: float32, contiguous memory, one optimizer pass a tensor, and a critic that
collects gradients in the generator's step only to throw them away. Timed in CPU seconds of one thread, since a busy
machine stretches the clock; the ratio is of the fastest of several turns.
"""

import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from benchmarks import train_loop
from benchmarks.originals import Contest, cyclegan256, dcgan64, progressive64
from pipelines import travelgan
from tasks.train.engine import Engine

Figures = dict[str, float | bool]


def main(quick: bool = False) -> Figures:
    """All figures; `quick` takes fewer turns."""
    torch.set_num_threads(1)
    turns = 3 if quick else 8
    figures: Figures = {"bf16_units": bf16_units()}
    print(f"{'step':<24} {'plain ms':>10} {'ours ms':>10} {'ratio':>7} {'pictures per CPU s':>19}")
    for make in (dcgan64, travelgan256, cyclegan256, progressive64):
        contest = make()
        plain, ours = fastest(contest, turns if make in (dcgan64, travelgan256) else 2)  # seconds a step
        figures[f"{contest.name}_ratio"] = round(plain / ours, 3)
        print(f"{contest.name:<24} {1e3 * plain:>10.0f} {1e3 * ours:>10.0f} {plain / ours:>7.2f} "
              f"{contest.pictures / ours:>19.1f}")  # fmt: skip
    for name, share in train_loop.shares(epochs=2 if quick else 6).items():
        figures[name] = round(share, 4)
        print(f"{name}, 64 px: {share:.2%}")
    if torch.cuda.is_available():
        from benchmarks import train_gpu

        figures |= train_gpu.rates()
    return figures


def bf16_units() -> bool:
    """Whether this processor multiplies bfloat16 by itself."""
    info = Path("/proc/cpuinfo")
    flags = info.read_text() if info.exists() else ""
    return "amx_bf16" in flags or "avx512_bf16" in flags


def fastest(contest: Contest, turns: int) -> tuple[float, float]:
    """CPU seconds of the fastest plain step and of our fastest, taken in turns after one of each to warm up."""
    best = {"plain": float("inf"), "ours": float("inf")}
    for turn in range(turns + 1):
        for name, step in (("plain", contest.plain), ("ours", contest.ours)):
            began = time.process_time()
            step(turn)
            if turn:
                best[name] = min(best[name], time.process_time() - began)
    return best["plain"], best["ours"]


def travelgan256() -> Contest:
    """TraVeLGAN at 256 px, batch 4: the article's networks and losses."""
    pictures = shown(4, 256)
    settings = travelgan.Train(batch=4, precision="bfloat16", device="cpu")
    recipes = [travelgan.build(travelgan.Networks(norm="batch"), settings) for _ in range(2)]
    engine = Engine.of(settings)
    engine.place(recipes[1])
    for optimizer in recipes[0].optimizers.values():
        optimizer.param_groups[0].update(foreach=False)

    def plain(step: int) -> object:
        return wasteful_travelgan_step(recipes[0], pictures)

    def ours(step: int) -> object:
        return recipes[1].step(step, pictures, engine.run)

    return Contest("travelgan", 4, plain, ours)


def wasteful_travelgan_step(recipe: travelgan.TravelGan, pictures: Mapping[str, Tensor]) -> None:
    """The step as it is written down first: two backward passes through generator and a critic that is not frozen."""
    photos, prints = pictures["from"], pictures["to"]
    painted = travelgan.rejoined(recipe.generator(travelgan.quartered(photos)))
    recipe.optimizers["critic"].zero_grad()
    travelgan.critic_loss("wgan", recipe.critic(prints), recipe.critic(painted.detach())).backward()
    recipe.optimizers["critic"].step()
    recipe.optimizers["generator"].zero_grad()
    adversarial = travelgan.generator_loss("wgan", recipe.critic(painted))
    of_photos, of_paintings = recipe.encoder(photos), recipe.encoder(painted)
    travel = travelgan.margin_loss(of_photos, 10.0) + travelgan.travel_loss(of_photos, of_paintings)
    ((adversarial + travel) / 2).backward()
    recipe.optimizers["generator"].step()


def shown(num: int, side: int) -> dict[str, Tensor]:
    """Random pictures for both sides, float32 [num,3,side,side] in (-1,1)."""
    return {key: torch.rand(num, 3, side, side) * 2 - 1 for key in ("from", "to")}
