"""Which way of computing is fastest for these networks on this device: measured on a few steps before the first.

What a probe chooses is written into the run before its first step and kept when it is resumed.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch

from tasks.progress import Progress
from tasks.train.engine import Choice, Engine
from tasks.train.precision import seed_chance
from tasks.train.recipe import Pictures, Recipe
from tasks.train.settings import Train

WARM, STEPS = 3, 6  # steps of each way: first those in which it settles (compiles, records), then those that count
GAIN = 0.95  # share of the plain way's time that another must stay below, to be worth it
NEAR = 0.05  # by how much a way's first losses may differ from the plain way's


def choose(
    engine: Engine, recipe: Recipe, pictures: Pictures, settings: Train, num_steps: int, progress: Progress
) -> None:
    """Settle `engine` on what `settings` name; what they leave open, on the fastest way for `recipe` on `pictures`.

    `num_steps` are those of the run, which recipes with a schedule ask for. Where the plain way has no memory for the
    batch, it is taken untimed: the run then goes on with smaller parts.
    """
    ways = list(_ways(engine.choice, settings))
    if len(ways) == 1:
        engine.settle(ways[0])
        return
    progress.say(f"{recipe.name}: probing {len(ways)} ways to compute its networks on {engine.device.type}")
    plain_losses: Mapping[str, float] = {}
    times: dict[Choice, float] = {}
    for way in ways:
        try:
            losses, seconds = _timed(way, engine, recipe, pictures, settings, num_steps)
        except torch.OutOfMemoryError:
            if not plain_losses:
                engine.settle(ways[0])
                return
            progress.say(f"{_told(way)}: not possible here, memory ran out")
        except Exception as error:  # whatever a compiler or a driver stumbles over: then this way is not taken
            if not plain_losses:
                raise
            progress.say(f"{_told(way)}: not possible here ({type(error).__name__})")
        else:
            plain_losses = plain_losses or losses
            near = all(abs(losses[name] - loss) <= NEAR * (1 + abs(loss)) for name, loss in plain_losses.items())
            sound = near or way == ways[0]  # which is taken though its losses are no numbers: the loop tells that
            progress.say(f"{_told(way)}: {1e3 * seconds:,.1f} ms a step{'' if sound else ', but other losses'}")
            if sound:
                times[way] = seconds
    plain = ways[0]
    fastest = min(times, key=lambda way: times[way])
    fastest = fastest if times[fastest] < GAIN * times[plain] else plain
    engine.settle(ways[engine.ranks.agreed(ways.index(fastest))])
    progress.say(f"{recipe.name}: taking {_told(engine.choice)}, for this run and whenever it is resumed")


def _ways(named: Choice, settings: Train) -> Iterator[Choice]:
    """What `settings` allow, the plain way first; compiling is tried on a GPU alone, and not with parts of a batch."""
    open_to_compile = settings.compute == "auto" and named.device == "cuda" and named.micro_batch is None
    for layout in ("channels_last", "contiguous") if settings.layout == "auto" else (named.layout,):
        yield replace(named, layout=layout)
    for compute in ("compiled", "graphs") if open_to_compile else ():
        yield replace(named, compute=compute)


def _timed(
    way: Choice, engine: Engine, recipe: Recipe, pictures: Pictures, settings: Train, num_steps: int
) -> tuple[Mapping[str, float], float]:
    """The first step's losses, and seconds of a step, of an untrained copy computed in this way."""
    trial = Engine(engine.precision, way, engine.ranks)
    trial.settle(way)
    copy = recipe.sibling(settings.seed)
    copy.advance(0, num_steps)
    trial.place(copy)
    losses: Mapping[str, float] = {}
    began = 0.0
    for step in range(WARM + STEPS):
        if step == WARM:
            began = _now(engine.device)
        seed_chance(settings.seed, step)
        of_step = copy.step(step, pictures, trial.run)
        losses = losses or {name: float(loss) for name, loss in of_step.items()}
    return losses, (_now(engine.device) - began) / STEPS


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _told(way: Choice) -> str:
    return f"{way.compute}, {way.layout}"
