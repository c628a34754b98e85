"""Checkpoints: a folder that is whole or not there, and from which training goes on to the bit.

weights.safetensors   every network, and every average under "average.", float32
state.pt              optimizers, the recipe's state, the loop's sums; loaded with weights_only, nothing unpickles
checkpoint.json       version, recipe, side, networks' settings, step, score, fingerprints of the feeds, hashes of
                      the two files above
"""

import io
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from tasks.errors import CheckpointError, ParamsError
from tasks.files import no_half_folder, read_json, require_room, sha256_file, write_json
from tasks.train.recipe import Recipe

VERSION = 3
WEIGHTS, STATE, ABOUT = "weights.safetensors", "state.pt", "checkpoint.json"


@dataclass(frozen=True)
class Point:
    """Where in its run a checkpoint stands."""

    step: int  # steps done
    score: float | None  # the distance it was judged by when it was the best; lower is better
    loop: dict[str, Any]  # what the loop itself goes on from


def save(folder: Path, recipe: Recipe, point: Point, feeds: Mapping[str, str]) -> None:
    """Write the checkpoint in place of the one in `folder`; raises NoRoom, and leaves that one, on a full disk.

    `feeds` are the fingerprints of what it learned from: whoever starts from it on the same goes on exactly.
    """
    state = {
        "optimizers": {name: optimizer.state_dict() for name, optimizer in recipe.optimizers.items()},
        "recipe": recipe.state(),
        "loop": point.loop,
    }
    weights = {name: tensor.detach().contiguous() for name, tensor in _tensors(recipe).items()}
    num_bytes = 3 * sum(tensor.nbytes for tensor in weights.values())  # Adam keeps two numbers for each weight
    require_room(folder.parent, num_bytes, "saving a checkpoint")
    with no_half_folder(folder) as temporary:
        # as bytes: where a disk fills meanwhile, neither library's own writing says so
        (temporary / WEIGHTS).write_bytes(safetensors.torch.save(weights))
        torch.save(state, held := io.BytesIO())
        (temporary / STATE).write_bytes(held.getbuffer())
        about = {"version": VERSION, "recipe": recipe.name, "side": recipe.side, "step": point.step}
        about["networks"] = recipe.shapes.model_dump(mode="json")
        hashes = {name: sha256_file(temporary / name) for name in (WEIGHTS, STATE)}
        write_json(temporary / ABOUT, {**about, "score": point.score, "feeds": dict(feeds), "sha256": hashes})


def keep_older(folder: Path, older: Path, keep: int, step: int) -> None:
    """Before that of `step` is saved, link the checkpoint in `folder` into `older`, which holds the `keep` latest."""
    before = read_json(folder / ABOUT)["step"] if (folder / ABOUT).exists() else step
    if keep > 0 and before < step:
        with no_half_folder(older / f"step-{before:08}") as temporary:
            shutil.copytree(folder, temporary, copy_function=os.link, dirs_exist_ok=True)
        for old in sorted(older.glob("step-*"))[:-keep]:
            shutil.rmtree(old)


def load(folder: Path, recipe: Recipe, device: torch.device) -> Point:
    """Put a checkpoint into `recipe`; raises CheckpointError where it is damaged or made by something else."""
    about = _about(folder, recipe)
    state = _read(folder, STATE, device)
    recipe.load_state(state["recipe"])
    _load_weights(folder, recipe)
    for name, optimizer in recipe.optimizers.items():
        optimizer.load_state_dict(state["optimizers"][name])
    return Point(about["step"], about["score"], state["loop"])


def origin_of(folder: Path, recipe: Recipe) -> tuple[int, dict[str, str]]:
    """The checkpoint's step, and the fingerprints of what it learned from; raises CheckpointError as `load` does."""
    about = _about(folder, recipe)
    return about["step"], about["feeds"]


def load_painter(folder: Path, recipe: Recipe, back: bool = False) -> nn.Module:
    """The painter of a checkpoint, on the CPU, or the one that paints the other way; raises CheckpointError as `load`.

    Raises ParamsError where `back` is wanted of a recipe that paints one way only.
    """
    painter = getattr(recipe, "painter_back", None) if back else recipe.painter
    if painter is None:
        raise ParamsError(f"recipes.{recipe.name}.infer.back is true, and this recipe paints one way; set it to false")
    _about(folder, recipe)
    device = torch.device("cpu")
    recipe.load_state(_read(folder, STATE, device)["recipe"])
    _load_weights(folder, recipe)
    return painter()


def _tensors(recipe: Recipe) -> dict[str, Tensor]:
    networks = {**recipe.networks, **{f"average.{name}": average for name, average in recipe.averages.items()}}
    return {f"{name}.{key}": value for name, network in networks.items() for key, value in network.state_dict().items()}


def _about(folder: Path, recipe: Recipe) -> dict[str, Any]:
    if not (folder / ABOUT).exists():
        raise CheckpointError(f"{folder} holds no checkpoint; train first (dvc repro), or fetch it (dvc pull)")
    about: dict[str, Any] = read_json(folder / ABOUT)
    if about["version"] != VERSION:
        raise CheckpointError(f"{folder} is a checkpoint of version {about['version']}, this is {VERSION}; train anew")
    if about["recipe"] != recipe.name:
        raise CheckpointError(f"{folder} is a checkpoint of {about['recipe']}, not of {recipe.name}; name one of that")
    if about["side"] not in (recipe.side, *getattr(recipe, "grows_from", ())):
        raise CheckpointError(
            f"{folder} was trained at {about['side']} px and the params say {recipe.side} px; "
            "set the side back, or train anew"
        )
    _require_painting_alike(folder, recipe, about.get("networks"))
    for name, digest in about["sha256"].items():
        if not (folder / name).exists() or sha256_file(folder / name) != digest:
            raise CheckpointError(f"{folder / name} is damaged; restore it (dvc checkout) or remove the folder")
    return about


def _require_painting_alike(folder: Path, recipe: Recipe, saved: Mapping[str, Any] | None) -> None:
    """Refuse settings of networks that make something else of the same weights.

    An old checkpoint says nothing of them, and of one that came later it says nothing too: its default then.
    """
    if saved is None:
        return
    defaults = type(recipe.shapes).model_construct().model_dump(mode="json")
    for key, now in recipe.shapes.model_dump(mode="json").items():
        was = saved.get(key, defaults[key])
        if was != now and key not in ("side", *recipe.paints_alike):
            raise CheckpointError(
                f"{folder} was trained with recipes.{recipe.name}.networks.{key} {was!r} and the params say {now!r}; "
                "set it back, or train anew"
            )


def _read(folder: Path, name: str, device: torch.device) -> dict[str, Any]:
    return torch.load(folder / name, map_location=device, weights_only=True)


def _load_weights(folder: Path, recipe: Recipe) -> None:
    """Copy the weights in; layers keep their place and layout in memory."""
    # by way of the CPU: a "cuda" there would be the first GPU, whichever is ours
    saved, wanted = load_file(folder / WEIGHTS), _tensors(recipe)
    for name in sorted(saved.keys() | wanted.keys()):
        shapes = [tuple(tensors[name].shape) if name in tensors else "none" for tensors in (saved, wanted)]
        if shapes[0] != shapes[1]:
            raise CheckpointError(
                f"{folder} holds {name} of shape {shapes[0]} where the params make {shapes[1]}; "
                f"set recipes.{recipe.name}.networks back, or train anew"
            )
    with torch.no_grad():
        for name, tensor in wanted.items():
            tensor.copy_(saved[name])
