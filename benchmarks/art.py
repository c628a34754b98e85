"""Art: each recipe on real pictures, beside the plain form of its original trained for as long.

BAREN_PICTURES names a folder with landscape, ukiyoe, abstract, anime_faces and portraits. Each recipe is trained twice
on the same shards: ours as params.yaml (on a GPU params.full.yaml) and REAL have it, and plainly, with networks of
the same size and the article's settings, which are the recipe's defaults, in float32 and without averaging. Without a
GPU the two forms are trained side by side, each on half of the cores. Both are judged on held-out pictures, and so are,
beside a painter, the photo as it is and the photo recoloured. Painters also learn from squares of larger pictures, of
`side` px, and are then judged on those whole. Everything stays in .scratch/art/RECIPE, curves and grids as pages of the
report.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
import yaml

from pipelines.params import Params, RecipeParams
from tasks.rows import read_packed
from tasks.settings import Settings
from tasks.train.engine import Engine

ROOT = Path(__file__).parent.parent
WORK = ROOT / ".scratch/art"
FOLDERS = {
    "travelgan": ("landscape", "ukiyoe"), "cyclegan": ("landscape", "abstract"), "anime": ("anime_faces",) * 2,
    "progressive": ("abstract",) * 2, "portraits": ("portraits",) * 2,
}  # fmt: skip
# the article cropped to the face; a few hundred are too few to learn where a face may stand, and most show little more
# than a face, so that a wide margin would be filled with its mirror image
PREPARE: Mapping[str, Mapping[str, Any]] = {"portraits": {"crop": "faces", "faces": {"align": True, "margin": 0.1}}}
SIZES = ("side", "first", "filters", "widest", "levels", "blocks", "critic_layers", "latent", "noise", "features")
PLAIN = {"precision": "float32", "layout": "contiguous", "average_half_life": 0}
SHOWN = ("swd", "palette", "rkid", "ms_ssim", "duplicates", "copies", "content_luminance", "content_edges")
LAST = ("swd_last", "duplicates_last")  # of the state that training ended with; the others are of the best one's
BESIDE = {"_untrained": "untrained", "_untouched": "photo", "_recoloured": "recoloured", "_floor": "real"}
# What real pictures ask for: the demonstration's own prints are all of one rendering, and few motifs; sizes count
# without a GPU alone. Figures are sliced Wasserstein distances to held-out pictures, after equal times on one core.
REAL: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "travelgan": {
        "networks": {
            "filters": 24, "four_patches": False, "norm": "none",
            "ground": "grey",  # with its colours, orange skies stay: palette 3.6 instead of 2.3, after 240 s
            "unet": "folded",  # a third of a pooled one's time; a strided one came no nearer and lost edges
            "spectral": [],  # a critic of bounded slope asks for too little: 75 instead of 60, after 80 s
            # a third scale sees where prints have their figures, and paints them into skies: luminance 0.88 instead of
            # 1.00; with one alone skies stay clean, and strokes are further from prints: 78 instead of 65, after 200 s
            "critic": "patches", "scales": 2,
        },
        "train": {
            # with no norm little passes the article's first weights: 109 after 500 steps, with those 75 after 700
            "first_weights": "he",
            "batch": 8,  # more steps
            "loss": "hinge", "flip": True,
            # the generator outruns a critic of its own rate: 71 instead of 64, after 120 s
            "rate_generator": 4e-4, "rate_critic": 1e-3, "r1": 10.0,
            # without, skies grow black blots: luminance 0.86 instead of 1.00, after 120 s
            "colours": 10.0,
            # with 1 and 0, and three scales: 47, and luminance 0.73, after 300 s
            "travel": 1.5, "calm": 0.5,
            # 45 after 370 s; without, and with travel 3, 52 after 450 s, on the same faster core
            "gamma_jitter": 0.4,
            # with rates that fall, and three scales: luminance 0.88 instead of 1.00, after 300 s
            "average_half_life": 4000,
        },
    },
    "cyclegan": {"train": {"calm": 0.0}},  # these paintings have no skies, and no calm
    "progressive": {
        # narrower where pictures are large: more steps; replicated borders learn more slowly: 103 instead of 60, after
        # 240 s. The frame that zeros leave is loud after 20 minutes: without it, r1 2, strength 0.4 with cutout and
        # steady 1 look best, and come to 65 in 900 s, where zeros come to 45 in 1,440
        "networks": {"filters": 8, "widest": 128, "group": 8, "border": "zeros"},
        "train": {
            "batch": 8,  # more steps
            # each of a few hundred paintings is soon known: without r1 61 to 92 % repeat each other after minutes
            "loss": "bce", "penalty": 0.0, "r1": 10.0,
            "rate_generator": 0.003, "rate_critic": 0.003, "steady": 0.5, "average_half_life": 10000,
            "strength": 0.1,  # beside the penalty 0.6 holds back: 63 instead of 54, after 280 s
        },
    },
    "anime": {
        # transposed convolutions draw grain that they do not unlearn in minutes: 113, these 86, after 60 s
        "networks": {"enlarge": "resized"},
        # of three dozen faces the critic knows each: without, 44 % of what is painted repeats another, after 430 s
        "train": {"augment": ["translation", "saturation", "cutout"], "strength": 0.7},
    },
}  # fmt: skip
# Without a GPU also these: the demonstration's own are for its few minutes, and figures were measured with these
LONGER: Mapping[str, Mapping[str, int]] = {
    "progressive": {"fade": 1500}, "anime": {"batch": 32}, "portraits": {"batch": 16},
}  # fmt: skip
# And what those ask for that are learned from squares of larger pictures, whose skies fill squares
SQUARES: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    # with three levels, upright streaks as of running paint stand in every sky. After 20 minutes strokes are as near to
    # prints as prints are, down to a quarter of the size: 30, 22 and 25 (27, 26 and 27); where light and dark lie in a
    # picture stays the photograph's, 177 (65). Whole pictures judged at four scales come nearer there, 140 in 12
    # minutes, and figures of prints stand in their skies
    "travelgan": {"networks": {"levels": 1, "scales": 3}, "train": {"calm": 2.0}},
}
ROUND = 20  # steps, in which every fourth and every fifth, which do more, come as often as in a training
Block = dict[str, Any]


@dataclass(frozen=True)
class Judged:
    """What came of one training."""

    steps: int
    seconds: float
    metrics: Mapping[str, float]


def main(
    quick: bool = False, minutes: float | None = None, only: str = "", side: int | None = None
) -> dict[str, float]:
    """Figures of each recipe named in `only` (all of them), trained `minutes` in either form; `quick` takes one.

    `side` takes pictures of so many pixels, by painters alone.
    """
    pictures = os.environ.get("BAREN_PICTURES")
    if not pictures:
        print("BAREN_PICTURES names no folder of real pictures: nothing to train on")
        return {}
    blocks = yaml.safe_load((ROOT / ("params.full.yaml" if torch.cuda.is_available() else "params.yaml")).read_text())
    wanted = only.split(",") if only else [name for name, (one, other) in FOLDERS.items() if not side or one != other]
    figures: dict[str, float] = {}
    for name in wanted:
        folders = [Path(pictures) / folder for folder in FOLDERS.get(name, ())]
        if not folders or not all(folder.is_dir() for folder in folders):
            print(f"{name}: there is no folder {' or '.join(str(folder) for folder in folders)}; left out")
            continue
        whole, ours = (block_of(name, blocks["recipes"][name], squares) for squares in (False, side is not None))
        if side and (reason := _unfit(name, ours["networks"]["side"], side)):
            print(f"{name}: {reason}; left out")
            continue
        seconds = 60 * (minutes or (1 if quick else 20))
        work = WORK / (f"{name}{side}" if side else name)
        judged = _both(work, name, {"ours": ours, "plain": plain_of(whole)}, folders, seconds, side)
        figures |= _told(work, judged)
    return figures


def _unfit(name: str, learned: int, side: int) -> str:
    """Why a recipe cannot be shown pictures of `side` px; empty where it can."""
    if FOLDERS[name][0] == FOLDERS[name][1]:
        return f"it paints from noise, {learned} px a side, and is not judged on pictures of {side} px"
    if side < learned or side % learned:
        return f"it learns from squares of {learned} px; --side is {side}, take a multiple of {learned}"
    return ""


def block_of(name: str, block: Block, squares: bool = False) -> Block:
    """A recipe's block as params has it, but for what real pictures change, and squares of larger ones."""
    source, target = FOLDERS[name]
    real, full = REAL.get(name, {}), torch.cuda.is_available()
    of_squares = SQUARES.get(name, {}) if squares else {}
    networks = {key: value for key, value in real.get("networks", {}).items() if not (full and key in SIZES)}
    networks |= of_squares.get("networks", {})
    longer = {} if full else LONGER.get(name, {})
    one = {"population": {"seeds": 1, "keep": 1, "epoch": 1}, "threads": None}  # the time given is one training's
    return {
        **block, "from": source, "to": target, "networks": {**block["networks"], **networks},
        "train": {**block["train"], **longer, **real.get("train", {}), **of_squares.get("train", {}), **one},
        "evaluate": {**block["evaluate"], "answer": None},
    }  # fmt: skip


def plain_of(block: Block) -> Block:
    """The same recipe with networks of the same size, and all else as the article has it."""
    networks = {key: value for key, value in block["networks"].items() if key in SIZES}
    return {**block, "networks": networks, "train": {**PLAIN, "seed": block["train"]["seed"]}}


def from_squares(block: Block) -> Block:
    """The recipe learning from random squares, of the size its networks are for, of pictures that may be larger."""
    return {**block, "train": {**block["train"], "crop": block["networks"]["side"]}}


def _both(
    work: Path, name: str, blocks: Mapping[str, Block], folders: Sequence[Path], seconds: float, side: int | None
) -> dict[str, Judged]:
    """Train and judge both forms on the same shards; beside each other, unless they would share one GPU or core."""
    learned = blocks["ours"]["networks"]["side"]
    sets = {folder.name: set_of(folder, side or learned) for folder in folders}
    shutil.rmtree(work, ignore_errors=True)
    jobs: dict[str, tuple[Path, str, Block, Block, float]] = {}
    for form, block in blocks.items():
        cropped = from_squares(block)
        (work / form / "data").mkdir(parents=True)
        write_params(work / form, name, cropped, sets)
        jobs[form] = (work / form, name, cropped, sets, seconds)
    for picture_set in sets:
        for step in ("scrape", "prepare", "shard"):
            _door(work / "ours", step, picture_set)
    for folder in ("1-raw", "2-prepared", "3-shards"):
        (work / "plain/data" / folder).symlink_to(work / "ours/data" / folder)
    cores = sorted(os.sched_getaffinity(0))
    if torch.cuda.is_available() or len(cores) < len(jobs):
        return {form: _judged(*job) for form, job in jobs.items()}
    with ProcessPoolExecutor(len(jobs), get_context("spawn")) as pool:
        running = {
            form: pool.submit(_on, cores[place :: len(jobs)], *job) for place, (form, job) in enumerate(jobs.items())
        }
        return {form: future.result() for form, future in running.items()}


def _on(cores: Sequence[int], *work: Any) -> Judged:
    """`_judged` on these cores, it and all that it starts."""
    os.sched_setaffinity(0, cores)
    torch.set_num_threads(len(cores))
    return _judged(*work)


def _judged(here: Path, name: str, block: Block, sets: Block, seconds: float) -> Judged:
    """Train for about `seconds` and judge one form, each stage by the door that the DAG calls."""
    num = [sum(item.split == "train" for item in read_packed(here / f"data/3-shards/{one}/items")) for one in sets]
    recipe = Params.load(here / "params.yaml").recipe(name)
    batch = batch_of(recipe, min(num))
    steps_per_epoch = max(num) // batch
    a_step = _seconds_of_a_step(name, block, batch, here)
    epochs = max(1, round(seconds / (a_step * steps_per_epoch)))
    length: Block = {"batch": batch, "epochs": epochs, "preview_every": max(1, epochs // 8)}
    if "fade" in block["train"]:  # a short run fades in for a quarter of each level at most
        num_levels = (block["networks"]["side"] // block["networks"]["first"]).bit_length()
        length["fade"] = min(block["train"]["fade"], epochs * steps_per_epoch * batch // (4 * num_levels))
    write_params(here, name, {**block, "train": {**block["train"], **length}}, sets)
    began = time.monotonic()
    _door(here, "train", name)
    took = time.monotonic() - began
    _door(here, "evaluate", name)
    _door(here, "report")
    metrics: dict[str, float] = {}
    for file in ("metrics", "beside"):
        metrics |= json.loads((here / f"data/5-metrics/{name}/{file}.json").read_text())
    return Judged(epochs * steps_per_epoch, took, metrics)


def batch_of(recipe: RecipeParams, num: int) -> int:
    """The recipe's batch, or of `num` pictures half if they are few, in whole groups of the minibatch deviation."""
    batch, group = min(recipe.train.batch, num // 2), getattr(recipe.networks, "group", 1)
    return max(group, batch - batch % group)


def _seconds_of_a_step(name: str, block: Block, batch: int, here: Path) -> float:
    """The mean of ROUND steps, and over the levels of a recipe that grows."""
    side = block["networks"]["side"]
    first = block["networks"].get("first", side)
    sides = [first << level for level in range((side // first).bit_length())]
    found: list[float] = []
    for level in sides:
        at = {"side": level, "first": level} if "first" in block["networks"] else {}
        recipe = Params.load(here / "params.yaml").recipe(name)
        networks = _changed(recipe.networks, at)
        settings: Any = _changed(recipe.train, {"batch": batch, "fade": 0} if at else {"batch": batch})
        built, engine = recipe.module.build(networks, settings), Engine.of(settings)
        engine.place(built)
        shown = {key: torch.rand(batch, 3, level, level, device=engine.device) * 2 - 1 for key in ("from", "to")}
        times: list[float] = []
        for step in range(1 + ROUND):
            built.advance(0, 1000)
            began = _clock()
            for loss in built.step(step, shown, engine.run).values():
                loss.item()  # waits for a GPU
            times.append(_clock() - began)
        found.append(sum(times[1:]) / ROUND)
    return sum(found) / len(found)


def _clock() -> float:
    """Seconds, without a GPU those of this process alone: what else runs here must not shorten one form's training."""
    return time.perf_counter() if torch.cuda.is_available() else time.process_time() / torch.get_num_threads()


def _changed(settings: Settings, changes: Block) -> Any:
    return type(settings).model_validate({**settings.model_dump(), **changes})


def set_of(folder: Path, side: int) -> Block:
    """The block of the picture set in `folder`, in squares of `side` px cut as its article has it, a fifth held out."""
    return {
        "scrape": {"use": "folder", "limit": 10000, "contact": "", "query": {"path": str(folder)}},
        "prepare": {"side": side, **PREPARE.get(folder.name, {"crop": "fit"})},
        "shard": {"held_out": 0.2, "seed": 0},
    }


def write_params(here: Path, name: str, block: Block, sets: Block) -> None:
    """The params.yaml in `here` of one recipe and its picture sets."""
    content = {"pictures": sets, "recipes": {name: block}, "report": {}}
    (here / "params.yaml").write_text(yaml.safe_dump(content))


def _door(here: Path, *command: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-m", "pipelines", *command], cwd=here, env=environment, check=True)


def _told(work: Path, judged: Mapping[str, Judged]) -> dict[str, float]:
    """Print both forms and real pictures against real ones; gives the figures."""
    name = work.name
    ours, plain = judged["ours"], judged["plain"]
    beside = [suffix for suffix in BESIDE if f"swd{suffix}" in ours.metrics]
    heads = ["ours", "plain", *(BESIDE[suffix] for suffix in beside)]
    print(f"\n{name:<18} " + " ".join(f"{head:>10}" for head in heads))
    for what in (what for what in (*SHOWN, *LAST) if what in ours.metrics):
        row = [ours.metrics[what], plain.metrics[what], *(ours.metrics.get(what + suffix) for suffix in beside)]
        print(f"{what:<18} " + " ".join(f"{'':>10}" if value is None else f"{value:>10.3f}" for value in row))
    print(f"{'seconds':<18} {ours.seconds:>10.0f} {plain.seconds:>10.0f}")
    print(f"{'steps':<18} {ours.steps:>10} {plain.steps:>10}")
    for form in judged:
        print(f"look: {work / form}/data/7-report/index.html")
    shown = {
        f"art_{name}_{what}{suffix}": ours.metrics[what + suffix]
        for what in (*SHOWN, *LAST)
        for suffix in ("", *beside)
        if what + suffix in ours.metrics
    }
    of_plain = {f"art_{name}_plain_{what}": plain.metrics[what] for what in (*SHOWN, *LAST) if what in plain.metrics}
    gains = {
        f"art_{name}_{what}_gain": round(1 - ours.metrics[what] / plain.metrics[what], 4)
        for what in ("swd", "swd_last")
        if what in ours.metrics and what in plain.metrics
    }
    return shown | of_plain | gains
