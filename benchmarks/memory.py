"""Memory: how large a batch of each recipe of params.full.yaml a GPU of 8, 24 and 141 GB holds, in float32.

No GPU is needed: two steps are taken with tensors that have shapes and no content, and the bytes alive at the peak are
counted: weights, gradients, optimizers, averages, activations. Beside that a GPU is allowed 1 GB for its context and a
tenth for workspaces and gaps. bfloat16 halves most activations, so what fits here fits there with room to spare.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pipelines.params import Params, RecipeParams

CARDS = {"8gb": 8e9, "24gb": 24e9, "141gb": 141e9}  # bytes
CONTEXT, SLACK = 1e9, 1.1
MOST = 1024  # pictures; a larger batch is of no use
FEW, MORE = 4, 8  # pictures in the two steps from whose peaks the cost of one more follows


def main(quick: bool = False) -> dict[str, float]:
    """The largest batch of 1, 2, 4 ... that fits, for each recipe and card."""
    params = Params.load(Path(__file__).parent.parent / "params.full.yaml")
    print(f"{'recipe':<14} {'fixed GB':>9} {'MB a picture':>13} {'peak GB as in params':>21}   " + "  ".join(CARDS))
    figures: dict[str, float] = {}
    for name in params.recipes:
        recipe = params.recipe(name)
        few, more = peak(recipe, FEW), peak(recipe, MORE)
        each = (more - few) / (MORE - FEW)
        fixed, batch = few - FEW * each, recipe.train.model_dump()["batch"]
        fits = {card: largest(fixed, each, room) for card, room in CARDS.items()}
        batches = "  ".join(f"{num:>{len(card)}}" for card, num in fits.items())
        print(f"{name:<14} {fixed / 1e9:>9.2f} {each / 1e6:>13.1f} {(fixed + batch * each) / 1e9:>21.2f}   {batches}")
        figures |= {f"{name}_batch_{card}": num for card, num in fits.items()}
        figures[f"{name}_mb_a_picture"] = round(each / 1e6, 1)
    return figures


def largest(fixed: float, each: float, room: float) -> int:
    """The largest power of two of pictures that fits into `room` bytes; 0 for none."""
    most = int(((room - CONTEXT) / SLACK - fixed) / each)
    return min(MOST, 1 << (most.bit_length() - 1)) if most > 0 else 0


def peak(recipe: RecipeParams, batch: int) -> int:
    """Bytes alive at the peak of two steps at the recipe's full side, with `batch` pictures of each set."""
    shapes = recipe.networks.model_dump()
    changes = {"first": shapes["side"]} if "first" in shapes else {}  # the last level takes most
    learning = {"batch": batch, "precision": "float32"} | ({"fade": 0} if "first" in shapes else {})
    if "spectral" in shapes:
        changes["spectral"] = ()  # which adds no more than a copy of the weights
        learning["loss"] = "hinge"  # wgan asks for it, and takes as much
    networks = type(recipe.networks).model_validate({**shapes, **changes})
    settings = type(recipe.train).model_validate({**recipe.train.model_dump(), **learning})
    with torch.device("meta"), Alive() as alive:
        built = recipe.module.build(networks, settings)
        shown = {key: torch.rand(batch, 3, built.side, built.side) for key in ("from", "to")}
        for step in range(2):  # the first one makes the optimizers' state
            built.step(step, shown, _run)
    return alive.peak


class Alive(TorchDispatchMode):
    """Counts the bytes of all tensors made inside that are still there."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute, and remember what was made."""
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                reference = StorageWeakRef(storage)
                self._alive[reference.cdata] = (reference, storage.nbytes())
        self._alive = {at: known for at, known in self._alive.items() if not known[0].expired()}
        self.peak = max(self.peak, sum(num_bytes for _, num_bytes in self._alive.values()))
        return made


def _run(network: nn.Module, *inputs: Any, twice: bool = False) -> Any:
    return network(*inputs)
