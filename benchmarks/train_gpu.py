"""Pictures a second on a GPU, in the fastest batch and way of computing, and beside the plain step of one picture.

A row that the machine cannot do (memory, a compiler) is left out with the reason, and costs no other.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from benchmarks.originals import plain_cyclegan_step
from pipelines import cyclegan, progressive, travelgan
from tasks.train.engine import Compute, Engine
from tasks.train.limit import Pace
from tasks.train.recipe import Recipe
from tasks.train.settings import Train

Step = Callable[[int], object]
WARM, SECONDS = 5, 2.0  # steps before the clock starts, and seconds that count
WAYS: tuple[Compute, ...] = ("compiled", "graphs")
BF16 = {"precision": "bfloat16", "device": "cuda"}


def rates() -> dict[str, float]:
    """gpu_*_per_s, gpu_cyclegan256_ratio and gpu_limit_share, as far as this GPU can tell them."""
    torch.backends.cudnn.benchmark = True
    print(f"on {torch.cuda.get_device_name()}")
    figures: dict[str, float] = {}
    for name, make, batches in (
        ("dcgan64", _dcgan, (64, 256, 1024, 2048)),
        ("travelgan256", _travelgan, (16, 32, 64)),
        ("cyclegan256", _cyclegan, (1, 4, 8, 16)),
    ):
        best = _best(name, make, batches)
        if best > 0:
            figures[f"gpu_{name}_per_s"] = round(best, 1)
    plain = _measured("plain CycleGAN, float32, batch 1", _plain_cyclegan, 1, "eager")
    if plain and (ours := figures.get("gpu_cyclegan256_per_s")):
        figures["gpu_cyclegan256_ratio"] = round(ours / plain, 2)
        figures["gpu_limit_share"] = round(_limit_share(ours), 4)
    return figures


def _best(name: str, make: Callable[[int, Compute], Step], batches: tuple[int, ...]) -> float:
    """The most pictures a second: by batch first, then compiled at the best batch."""
    eager = {batch: _measured(name, make, batch, "eager") for batch in batches}
    batch = max(eager, key=lambda batch: eager[batch])
    return max(eager[batch], *(_measured(name, make, batch, way) for way in WAYS)) if eager[batch] else 0.0


def _measured(name: str, make: Callable[[int, Compute], Step], batch: int, way: Compute) -> float:
    """Pictures a second; 0, and the reason printed, where it cannot be done."""
    try:
        step = make(batch, way)
        for number in range(WARM):
            step(number)
        torch.cuda.synchronize()
        steps, began = 0, time.perf_counter()
        while time.perf_counter() - began < SECONDS:
            step(WARM + steps)
            steps += 1
            torch.cuda.synchronize()
        rate = batch * steps / (time.perf_counter() - began)
        print(f"{name:<34} batch {batch:>5} {way:<9} {rate:>12,.1f} pictures a second", flush=True)
        return rate
    except Exception as error:
        print(f"{name:<34} batch {batch:>5} {way:<9} {type(error).__name__}: {str(error).splitlines()[:1]}", flush=True)
        return 0.0
    finally:
        torch.compiler.reset()
        torch.cuda.empty_cache()


def _engine(settings: Train, recipe: Recipe | None = None) -> Engine:
    engine = Engine.of(settings)
    engine.settle(engine.choice)
    if recipe is not None:
        engine.place(recipe)
    return engine


def _recipe_step(recipe: Recipe, settings: Train, side: int) -> Step:
    engine, pictures = _engine(settings, recipe), _shown(settings.batch, side)
    return lambda step: recipe.step(step, pictures, engine.run)


def _travelgan(batch: int, way: Compute) -> Step:
    settings = travelgan.Train.model_validate({**BF16, "batch": batch, "compute": way})
    return _recipe_step(travelgan.build(travelgan.Networks(), settings), settings, 256)


def _cyclegan_recipe(batch: int, way: Compute, precision: str) -> cyclegan.CycleGan:
    block = {**BF16, "batch": batch, "compute": way, "precision": precision, "loss": "lsgan", "layout": "channels_last"}
    return cyclegan.build(cyclegan.Networks(), cyclegan.Train.model_validate(block))


def _cyclegan(batch: int, way: Compute) -> Step:
    recipe = _cyclegan_recipe(batch, way, "bfloat16")
    return _recipe_step(recipe, recipe.train, 256)


def _plain_cyclegan(batch: int, _way: Compute) -> Step:
    recipe, pictures = _cyclegan_recipe(batch, "eager", "float32"), _shown(batch, 256)
    for network in recipe.networks.values():
        network.cuda()
    return lambda _step: plain_cyclegan_step(recipe, pictures)


def _limit_share(per_second: float) -> float:
    """Arithmetic of that many pictures, beside bfloat16 matrix products as they run here."""
    recipe = _cyclegan_recipe(1, "eager", "bfloat16")
    engine = _engine(recipe.train, recipe)
    return Pace(recipe, _shown(1, 256), engine, recipe.train).share(per_second)


def _dcgan(batch: int, way: Compute) -> Step:
    """The plain form of `progressive` at one size: the networks of the DCGAN paper, its losses and its step."""
    settings = progressive.Train.model_validate({**BF16, "loss": "bce", "batch": batch, "compute": way})
    return _recipe_step(progressive.build(progressive.Networks(side=64, first=64), settings), settings, 64)


def _shown(num: int, side: int) -> Mapping[str, Any]:
    """Random pictures on the GPU, float32 [num,3,side,side] in (-1,1), channels_last."""
    return {
        key: (torch.rand(num, 3, side, side, device="cuda") * 2 - 1).contiguous(memory_format=torch.channels_last)
        for key in ("from", "to")
    }
