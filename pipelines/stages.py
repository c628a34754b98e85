"""What each stage is: which folders and settings it hands to its step; heavy modules are imported where used."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.executor import make_executor
from pipelines.params import Params, RecipeParams
from pipelines.places import DATA
from pipelines.start import find as find_start
from pipelines.start import left_behind, paint_on, recorded
from tasks.errors import BarenError
from tasks.files import SCRATCH, fingerprint, read_json, scratch_folder, sha256_file, write_text
from tasks.progress import Progress
from tasks.rows import ITEMS, Origin, Packed, Split, read_packed, read_scraped

if TYPE_CHECKING:
    from tasks.infer import Trained

CURATION = Path("curation")
CHECKED = SCRATCH / "checked"  # the hash of the params.yaml that was found sound
NO_MATTER = ("start", "stop_after", "save_every")  # settings of train that a run goes on under when they change
EXAMPLES = 1000  # pictures learned from that a photo to be painted is compared with


def run(step: str, name: str, params: Params, progress: Progress) -> None:
    """Run step `step` on the picture set or recipe `name`."""
    match step:
        case "scrape":
            _check_once(params)  # the first stage speaks for all: a mistake is told before the web is asked
            _scrape(params, name, progress)
        case "prepare":
            _prepare(params, name, progress)
        case "shard":
            _shard(params, name, progress)
        case "train":
            _train(params.recipe(name), progress)
        case "evaluate":
            _evaluate(params.recipe(name), progress)
        case "infer":
            _infer(params.recipe(name), progress)
        case "report":
            _report(params, progress)
        case _:
            _check(params)  # who asks may have changed a recipe, of which params.yaml says nothing
            progress.say(
                f"params.yaml is sound: {len(params.picture_sets)} picture sets, {len(params.recipes)} recipes"
            )


def _check_once(params: Params) -> None:
    """Check all of params.yaml, unless these very settings were found right before: it takes seconds, most of torch."""
    if not CHECKED.exists() or CHECKED.read_text(encoding="utf-8") != sha256_file(Path("params.yaml")):
        _check(params)


def _check(params: Params) -> None:
    params.check()
    write_text(CHECKED, sha256_file(Path("params.yaml")))


def _scrape(params: Params, name: str, progress: Progress) -> None:
    from tasks import scrape
    from tasks.prepare.curation import begin_curation

    out = DATA / "1-raw" / name
    if not out.exists() and _recorded(f"scrape@{name}"):
        raise BarenError(
            f"dvc.lock records the pictures of {out}, which is not here; "
            "fetch them (dvc pull, or dvc checkout if the cache has them), or delete dvc.lock to collect them anew"
        )
    begin_curation(CURATION / f"{name}.csv")  # DVC prepares nothing while a file it depends on is missing
    scrape.run(picture_set=name, settings=params.picture_set(name).scrape, out=out, progress=progress)


def _prepare(params: Params, name: str, progress: Progress) -> None:
    from tasks import prepare

    with make_executor() as executor:
        prepare.run(
            picture_set=name,
            raw=DATA / "1-raw" / name,
            out=DATA / "2-prepared" / name,
            settings=params.picture_set(name).prepare,
            executor=executor,
            progress=progress,
            curation=CURATION / f"{name}.csv",
            cache=SCRATCH / f"prepare-{name}",
        )


def _shard(params: Params, name: str, progress: Progress) -> None:
    from tasks import shard

    with make_executor() as executor:
        shard.run(
            picture_set=name,
            raw=DATA / "1-raw" / name,
            prepared=DATA / "2-prepared" / name,
            out=DATA / "3-shards" / name,
            settings=params.picture_set(name).shard,
            executor=executor,
            progress=progress,
        )


def _train(recipe: RecipeParams, progress: Progress) -> None:
    from tasks import train
    from tasks.shard.feed import Feed
    from tasks.shard.read import ShardSet
    from tasks.train.allocation import keep_freed_memory
    from tasks.train.precision import Precision
    from tasks.train.ranks import Ranks

    keep_freed_memory()
    settings = recipe.train
    out = DATA / "4-models" / recipe.name
    if settings.start is None and (begin := os.environ.get("BAREN_START")):  # a scheduled training's last weights
        if settings.population.seeds == 1:
            settings = settings.model_copy(update={"start": begin})
        else:  # of one weight's descendants there is nothing to choose
            progress.say(f"{recipe.name} begins anew: {settings.population.seeds} seeds are trained, to keep the best")
    built = recipe.module.build(recipe.networks, recipe.train)
    device = Precision.of(settings).device
    ranks = Ranks.joined(device)
    if ranks.writes:
        paint_on(out)
    shared = ranks if settings.population.seeds == 1 else Ranks()  # each process trains seeds of its own
    sets = {key: ShardSet(_shards(recipe, key), progress=progress) for key in built.reads}
    feeds = {
        key: Feed(
            shard_set,
            split="train",
            batch=settings.batch,
            seed=settings.seed,
            device=device,
            crop=settings.crop,
            flip=settings.flip,
            progress=progress,
            rank=shared.number,
            world=shared.world,
        )
        for key, shard_set in sets.items()
    }
    record = {
        "recipe": recipe.name,
        "networks": recipe.networks.model_dump(mode="json"),
        "train": settings.model_dump(mode="json"),
        "pictures": {
            key: {
                "set": shard_set.name,
                "fingerprint": shard_set.fingerprint,
                "licences": Counter(shard_set.items[int(row)].origin.licence for row in shard_set.rows("train")),
            }
            for key, shard_set in sets.items()
        },
    }
    start = None if settings.start is None else find_start(settings.start, recipe.name)
    scratch = _scratch_of(recipe, record, start)
    if start is None and ranks.writes and not any(scratch.iterdir()):
        for sentence in left_behind(recipe.name, record, scratch):
            progress.say(sentence)
    train.run(
        recipe=built,
        feeds=feeds,
        settings=settings,
        out=out,
        scratch=scratch,
        start=start,
        anew=recipe.train.start is None,  # a schedule trains whether or not there is anything new
        progress=progress,
        record=record,
        ranks=ranks,
    )
    ranks.leave()


def _scratch_of(recipe: RecipeParams, record: Mapping[str, Any], start: Path | None) -> Path:
    """Where this run of the recipe lives until it is done: a folder for what it is trained on, as what, from where."""
    block = {**record["train"], **dict.fromkeys(NO_MATTER)}
    begins = None if start is None else read_json(start / "checkpoint.json")["sha256"]
    return scratch_folder("train", recipe.name, fingerprint({**record, "train": block, "begins": begins}))


def _evaluate(recipe: RecipeParams, progress: Progress) -> None:
    from tasks import train
    from tasks.evaluate.card import About

    model = DATA / "4-models" / recipe.name
    painters = {
        which: train.load_painter(model / which, recipe.module.build(recipe.networks, recipe.train))
        for which in ("best", "last")
    }
    painters["untrained"] = recipe.module.build(recipe.networks, recipe.train).painter()
    keys = ("to",) if recipe.module.KIND == "noise" else ("from", "to")
    about = About(recipe.name, model, {_shards(recipe, key).name: _learned(recipe, key, progress) for key in keys})
    measure = _measure_noise if recipe.module.KIND == "noise" else _measure_translation
    measure(recipe, painters, about, progress)


def _measure_translation(recipe: RecipeParams, painters: Mapping[str, Any], about: Any, progress: Progress) -> None:
    import numpy as np

    from tasks.evaluate import translation
    from tasks.infer.probe import probe
    from tasks.woodblock import render

    photos = pictures_of(recipe, "from", "held_out", recipe.evaluate.pictures, progress)
    prints = pictures_of(recipe, "to", "held_out", recipe.evaluate.pictures, progress)
    known = pictures_of(recipe, "to", "train", recipe.evaluate.known, progress)
    if recipe.train.crop:  # pictures may be larger: of two sides, or of one that the painter does not give back
        side = min(photos.shape[1], prints.shape[1])
        side -= side % probe(painters["best"]).stride
        photos, prints, known = (middle(pictures, side) for pictures in (photos, prints, known))
    translation.run(
        paint=painters["best"],
        last=painters["last"],
        untrained=painters["untrained"],
        photos=photos,
        prints=prints,
        answers=np.stack([render(photo) for photo in photos]) if recipe.evaluate.answer == "woodblock" else None,
        known=known,
        about=about,
        out=DATA / "5-metrics" / recipe.name,
        settings=recipe.evaluate,
        progress=progress,
    )


def _measure_noise(recipe: RecipeParams, painters: Mapping[str, Any], about: Any, progress: Progress) -> None:
    import torch

    from tasks.evaluate import noise

    def sampler(painter: Any) -> noise.Sampler:
        """Such a painter knows the length of its noise: painter.noise."""
        return lambda num, seed: painter(torch.randn(num, painter.noise, generator=torch.Generator().manual_seed(seed)))

    noise.run(
        sample=sampler(painters["best"]),
        last=sampler(painters["last"]),
        untrained=sampler(painters["untrained"]),
        reals=pictures_of(recipe, "to", "held_out", recipe.evaluate.pictures, progress),
        known=pictures_of(recipe, "to", "train", recipe.evaluate.known, progress),
        about=about,
        out=DATA / "5-metrics" / recipe.name,
        settings=recipe.evaluate,
        progress=progress,
    )


def pictures_of(recipe: RecipeParams, key: str, split: Split, most: int, progress: Progress) -> Any:
    """The first `most` pictures of a split, uint8 [N, side, side, 3]; raises BarenError where there is none.

    What paints from noise makes pictures of its own side: where it learns from squares of larger ones, their middle.
    """
    from tasks.shard.read import ShardSet

    with ShardSet(_shards(recipe, key), progress=progress) as shard_set:
        rows = shard_set.rows(split)
        if not len(rows):
            where = "more" if split == "held_out" else "less"
            raise BarenError(
                f"{shard_set.name} has no picture of the split {split}; hold {where} of it out "
                f"(pictures.{shard_set.name}.shard.held_out in params.yaml)"
            )
        pictures = shard_set.read(rows[:most])
    return middle(pictures, recipe.train.crop) if recipe.module.KIND == "noise" and recipe.train.crop else pictures


def middle(pictures: Any, side: int) -> Any:
    """The square of `side` px in the middle of each of `pictures`: uint8 [N, H, H, 3] -> [N, side, side, 3]."""
    start = (pictures.shape[1] - side) // 2
    return pictures[:, start : start + side, start : start + side]


def _learned(recipe: RecipeParams, key: str, progress: Progress) -> list[Packed]:
    """The rows that a recipe is trained on."""
    from tasks.shard.read import ShardSet

    with ShardSet(_shards(recipe, key), progress=progress) as shard_set:
        return [shard_set.items[int(row)] for row in shard_set.rows("train")]


def _infer(recipe: RecipeParams, progress: Progress) -> None:
    from tasks import infer

    out = DATA / "6-prints" / recipe.name
    if recipe.module.KIND == "noise":
        best = open_painter(recipe)
        infer.draw(
            network=best.network,
            examples=pictures_of(recipe, "to", "train", EXAMPLES, progress),
            out=out,
            settings=recipe.infer,
            progress=progress,
            score=best.score,
            checkpoint=best.key,
            learned_from=learned_from(recipe, progress),
        )
        return
    shards = _shards(recipe, _painted_from(recipe))
    items = list(read_packed(shards / ITEMS))
    infer.run(
        painters=[open_painter(recipe, which) for which in kept_seeds(DATA / "4-models" / recipe.name) or ["best"]],
        photos=whole_photographs(DATA / "1-raw" / shards.name, items, recipe.infer.photos),
        out=out,
        settings=recipe.infer,
        progress=progress,
        learned_from=learned_from(recipe, progress),
        examples=lambda: learned_photos(recipe, progress),
    )


def open_painter(recipe: RecipeParams, which: str = "best") -> "Trained":
    """A trained model of `recipe` to paint with: best, last, or seed-N where several seeds were kept."""
    from tasks.infer import Trained
    from tasks.train import load_painter

    model = DATA / "4-models" / recipe.name
    folder = model / which / "best" if which.startswith("seed-") else model / which
    built: Any = recipe.module.build(recipe.networks, recipe.train)
    network = load_painter(folder, built, recipe.infer.back)  # which also opens what the score is taken with
    return Trained(which, network, sha256_file(folder / "weights.safetensors"), getattr(built, "judge", None))


def kept_seeds(model: Path) -> list[str]:
    """The seeds that were trained to the end, as "seed-3", the one chosen first; none where there was no choice."""
    table = model / "population.json"
    rows = [row for row in read_json(table) if row["kept"] and row["best"] is not None] if table.exists() else []
    return [f"seed-{row['seed']}" for row in sorted(rows, key=lambda row: (not row["chosen"], row["best"]))]


def learned_from(recipe: RecipeParams, progress: Progress) -> list[Origin]:
    """The origin of every picture that `recipe` learned from, for the credits of its prints."""
    keys = ("to",) if recipe.module.KIND == "noise" else ("from", "to")
    return [row.origin for key in keys for row in _learned(recipe, key, progress)]


def learned_photos(recipe: RecipeParams, progress: Progress) -> Any:
    """Some of the photographs that `recipe` learned to paint, uint8 [N, side, side, 3]."""
    return pictures_of(recipe, _painted_from(recipe), "train", EXAMPLES, progress)


def _painted_from(recipe: RecipeParams) -> str:
    return "to" if recipe.infer.back else "from"


def whole_photographs(raw: Path, items: Sequence[Packed], num: int) -> list[tuple[str, Path, Origin]]:
    """Up to `num` held-out photographs, (id, file, origin), uncropped: the largest of each group in turn."""
    sizes = {row.id: row.width * row.height for row in read_scraped(raw / ITEMS)}
    held_out = {item.picture: item for item in items if item.split == "held_out"}
    taken: dict[str, int] = {}  # how many of its group come before a picture
    ranked: list[tuple[int, int, str]] = []
    for picture in sorted(held_out, key=lambda id: (-sizes[id], id)):
        group = held_out[picture].group
        ranked.append((taken.get(group, 0), -sizes[picture], picture))
        taken[group] = taken.get(group, 0) + 1
    return [(id, raw / held_out[id].file, held_out[id].origin) for _, _, id in sorted(ranked)[:num]]


def _report(params: Params, progress: Progress) -> None:
    from tasks import report

    report.run(
        data=DATA, out=DATA / "7-report", settings=params.report, progress=progress,
        recipes=params.recipes, sets=params.picture_sets,
    )  # fmt: skip


def _shards(recipe: RecipeParams, key: str) -> Path:
    return DATA / "3-shards" / (recipe.learns_from if key == "from" else recipe.learns_to)


def _recorded(stage: str) -> bool:
    """Whether dvc.lock knows data of this stage."""
    outs = (recorded("workspace") or {}).get(stage, {}).get("outs") or []
    return any(out.get("nfiles", 0) > 0 for out in outs)
