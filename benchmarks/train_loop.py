"""What the loop and its feed cost beside a recipe's own steps: a real run on a real set, with all it writes."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import shards_readers as readers
from pipelines import travelgan
from tasks.shard.feed import Feed
from tasks.train.loop import Training
from tasks.train.ranks import Ranks

SIDE, BATCH, PICTURES = 64, 16, 2000


def shares(epochs: int) -> dict[str, float]:
    """feed_wait_share and loop_overhead_share, of CPU time: TraVeLGAN at 64 px, 2,000 pictures."""
    settings = travelgan.Train(epochs=epochs, batch=BATCH, flip=True, loss="hinge", precision="bfloat16", device="cpu")
    shapes = travelgan.Networks(side=SIDE, filters=24, levels=3, latent=128)
    recipe = travelgan.build(shapes, settings)
    with tempfile.TemporaryDirectory(prefix="train-bench-") as folder:
        packed = readers.pack(Path(folder) / "set", readers.rows(PICTURES, SIDE), readers.photographs(SIDE))
        feeds = {
            key: Feed(packed, batch=BATCH, seed=seed, flip=True, residency="host", progress=readers.Quiet())
            for seed, key in enumerate(("from", "to"))
        }
        run = Path(folder) / "run"
        run.mkdir()
        training = Training(recipe, feeds, settings, run, readers.Quiet(), Ranks())
        training.begin({}, None)
        stepping, feeding = _clocked(recipe, "step"), [_clocked(feed, "batch") for feed in feeds.values()]
        began = time.process_time()
        training.go_on()
        whole = time.process_time() - began
    fed, inside = sum(clock.seconds for clock in feeding), stepping.seconds
    return {"feed_wait_share": fed / whole, "loop_overhead_share": (whole - fed - inside) / whole}


class _Clock:
    """CPU seconds spent in one method of one object."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call, self.seconds = call, 0.0

    def __call__(self, *arguments: Any) -> Any:
        began = time.process_time()
        try:
            return self._call(*arguments)
        finally:
            self.seconds += time.process_time() - began


def _clocked(thing: Any, method: str) -> _Clock:
    clock = _Clock(getattr(thing, method))
    setattr(thing, method, clock)
    return clock
