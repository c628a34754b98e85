"""Infer: whole photographs, of any size, painted by tiles without seams."""

import csv
import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import BarenError, PictureRefused
from tasks.files import no_half_folder, require_room, write_json
from tasks.infer.settings import Infer
from tasks.limits import MOST_PIXELS, Limits
from tasks.progress import Progress
from tasks.rows import Origin

if TYPE_CHECKING:
    from torch import nn

    from tasks.infer.paint import Pixels
    from tasks.infer.tiles import Plan

__all__ = ["Infer", "run"]

# A photograph to paint was chosen by a person: only what no decoder here can hold is refused for its size.
EVERY_SIZE = Limits(max_bytes=2**32, max_pixels=MOST_PIXELS, min_side=1, max_aspect=float("inf"))

Photo = tuple[str, Path, Origin]  # id, file, where it came from


def run(
    *,
    network: "nn.Module",
    photos: Sequence[Photo],
    out: Path,
    settings: Infer,
    progress: Progress,
    checkpoint: str = "",
    learned_from: Sequence[Origin] = (),
) -> None:
    """Paint `photos` with `network` into the folder `out`: NAME.png and its report NAME.json, and CREDITS.csv.

    `network` maps [B, 3, H, W] in (-1, 1) to the same shape and is in eval mode. `checkpoint` (a hash) and
    `learned_from` (the origin of each picture it was trained on) are told on, so that a print can name its sources.
    A photograph that cannot be opened is said and listed in refused.json; BarenError where none can. `out` takes its
    place whole, at the end.
    """
    from tasks.infer.probe import probe

    if not photos:
        raise BarenError("there is no photograph to paint; hold some out (shard.held_out) or name a folder of them")
    network = network.eval()
    reach = probe(network)
    refused: list[dict[str, str]] = []
    names = _names([photo[0] for photo in photos])
    with no_half_folder(out) as folder:
        for name, (key, path, origin) in zip(names, progress.track(photos, "paint", unit="photos"), strict=True):
            try:
                report = _paint_one(network, reach, path, folder / f"{name}.png", settings, progress)
            except PictureRefused as error:
                refused.append({"id": key, "file": str(path), "reason": str(error)})
                progress.say(f"{path} is not painted ({error})")
                continue
            report |= {"photo": {"id": key, "file": path.name, **dataclasses.asdict(origin)}, "checkpoint": checkpoint}
            write_json(folder / f"{name}.json", report | {"learned_from": {"pictures": len(learned_from)}})
        if len(refused) == len(photos):
            raise BarenError(f"none of the {len(photos)} photographs could be painted; the first: {refused[0]}")
        write_json(folder / "refused.json", refused)
        _write_credits(folder / "CREDITS.csv", learned_from)


def _paint_one(
    network: "nn.Module", reach: Any, path: Path, target: Path, settings: Infer, progress: Progress
) -> dict[str, Any]:
    from tasks.infer.norms import needs_statistics, with_statistics_of
    from tasks.infer.paint import paint
    from tasks.infer.sinks import Png
    from tasks.infer.tiles import plan_tiles
    from tasks.picture import open_picture

    photo = open_picture(path, EVERY_SIZE)
    height, width = photo.shape[:2]
    require_room(target.parent, height * width * 3, f"the print of {path.name}")
    plan = plan_tiles(height, width, reach=reach, tile=settings.tile)
    statistics = "frozen"
    if settings.statistics == "thumbnail" or needs_statistics(network):
        statistics = "thumbnail"
        network = with_statistics_of(network, _thumbnail(photo, plan.stride, settings.thumbnail))
    with Png(target, height, width, dpi=settings.dpi) as sink:
        bands = paint(network, photo, plan, batch=settings.batch)
        for rows in _checked(bands, progress):
            sink.write(rows)
    return {"plan": _told(plan), "statistics": statistics, "dpi": settings.dpi}


def _checked(bands: "Iterator[Pixels]", progress: Progress) -> "Iterator[Pixels]":
    for band in bands:
        progress.check()
        yield band


def _thumbnail(photo: "Pixels", stride: int, side: int) -> Any:
    """The photo [1, 3, h, w] in (-1, 1), at most about `side` px long, both sides multiples of the stride."""
    import numpy as np
    import torch
    from PIL import Image

    from tasks.infer.paint import reflected, to_values
    from tasks.infer.tiles import padded

    image = Image.fromarray(photo)
    image.thumbnail((side, side), Image.Resampling.BOX)
    small = np.asarray(image)
    height, width = small.shape[:2]
    small = small[reflected(0, padded(height, stride), height)][:, reflected(0, padded(width, stride), width)]
    return to_values(torch.from_numpy(small)[None])


def _told(plan: "Plan") -> dict[str, Any]:
    return {
        "height": plan.height,
        "width": plan.width,
        "tile": [plan.tile_height, plan.tile_width],
        "tiles": [len(plan.rows), len(plan.columns)],
        "halo": plan.halo,
        "stride": plan.stride,
        "compute": round(plan.compute, 4),
    }


def _names(keys: Sequence[str]) -> list[str]:
    """File names for picture ids: what is no letter, digit, dot or dash becomes a dash; made distinct by a number."""
    names: list[str] = []
    for key in keys:
        name = plain = re.sub(r"[^\w.-]+", "-", key).strip("-.") or "photo"
        number = 2
        while name in names:
            name, number = f"{plain}-{number}", number + 1
        names.append(name)
    return names


def _write_credits(path: Path, origins: Sequence[Origin]) -> None:
    """One line for each work the model learned from."""
    fields = ("title", "author", "date", "licence", "licence_url", "source", "page", "url")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(fields)
        writer.writerows([getattr(origin, field) for field in fields] for origin in origins)
