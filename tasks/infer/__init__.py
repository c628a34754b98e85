"""Infer: whole photographs, of any size, painted by tiles without seams."""

import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.credits import NAME as CREDITS
from tasks.credits import write_credits
from tasks.errors import BarenError, PictureRefused
from tasks.files import SCRATCH, no_half_folder, sha256_file, write_json
from tasks.infer.settings import Infer
from tasks.limits import MOST_PIXELS, Limits
from tasks.progress import Progress
from tasks.rows import Origin

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from tasks.infer.press import Model, Order
    from tasks.infer.source import Pixels

__all__ = [
    "Infer", "Photo", "Trained", "draw", "file_names", "in_folder", "judge", "not_painted", "print_photo", "run",
    "told_of",
]  # fmt: skip

# A photograph to paint was chosen by a person: only what no decoder here can hold is refused for its size.
EVERY_SIZE = Limits(max_bytes=2**32, max_pixels=MOST_PIXELS, min_side=1, max_aspect=float("inf"))
MENDS = {  # what a person can do about a photograph refused for a reason
    "too many pixels": "make it smaller first: its print may be of any size all the same",
    "odd depth": "save it with 8 or 16 bits a sample",
}
PICTURES = (".jpg", ".jpeg", ".jfif", ".png", ".tif", ".tiff", ".webp", ".avif", ".bmp", ".jp2", ".gif", ".ppm")

Photo = tuple[str, Path, Origin]  # id, file, where it came from


@dataclass(frozen=True)
class Trained:
    """A network to paint with, [B, 3, H, W] in (-1, 1) to the same shape, or noise [B, network.noise] to that."""

    name: str  # "best", or "seed-3": prints beside those of the first lie in a folder called so
    network: "nn.Module"
    key: str  # a hash that stands for its weights
    score: "Callable[[Tensor], Tensor] | None" = None  # its critic's, of pictures [B, 3, H, W]; see tasks.infer.drawing


def run(
    *,
    painters: Sequence[Trained],
    photos: Sequence[Photo],
    out: Path,
    settings: Infer,
    progress: Progress,
    learned_from: Sequence[Origin] = (),
    examples: "Callable[[], Pixels] | None" = None,
    scratch: Path = SCRATCH / "infer",
) -> None:
    """Paint `photos` into the folder `out`: NAME.png, NAME.json, previews/NAME.jpg of each; proof.jpg, CREDITS.csv.

    Every photo is painted by each of `painters`: by the first into `out`, by others into `out`/PAINTER, and proof.jpg
    shows them side by side. `learned_from` (the origin of each picture they were trained on) is told on, so that a
    print can name its sources. The photographs of settings.album are painted too, after a word on those unlike
    `examples`, uint8 [N, side, side, 3]. One that cannot be opened is said and listed in refused.json; BarenError where
    none can. `out` takes its place whole, at the end; a run that is stopped or killed goes on from `scratch`.
    """
    from tasks.infer.press import Model
    from tasks.infer.preview import previewed
    from tasks.infer.proof import Proof

    album = in_folder(Path(settings.album), out) if settings.album else []
    photos = [*photos, *album]
    if not photos:
        raise BarenError("there is no photograph to paint; hold some out (shard.held_out) or name a folder of them")
    judged = judge([path for _, path, _ in album], examples(), progress) if album and examples else {}
    models = {painter.name: Model.of(painter.network, painter.key) for painter in painters}
    refused: list[dict[str, str]] = []
    made: list[Path] = []  # in `done`, where prints stay until all are there
    done, proof = scratch / out.name, Proof()
    names = file_names([photo[0] for photo in photos])
    for name, photo in zip(names, progress.track(photos, "paint", unit="photos"), strict=True):
        try:
            order = open_photo(photo, settings, progress)
        except PictureRefused as error:
            refused.append({"id": photo[0], "file": str(photo[1]), "reason": str(error)})
            progress.say(not_painted(photo[1], error))
            continue
        shown = [previewed(order.photo)]
        for place, (painter, model) in enumerate(models.items()):
            target = (done / painter if place else done) / f"{name}.png"
            about = {"painter": painter, "domain": judged.get(photo[1]), **told_of(learned_from)}
            order = replace(order, targets=(target,))
            shown.append(_printed(photo, order, model, settings, about, progress, scratch))
            made += order.files
        proof.add(shown, [photo[2].title or name, *(models if len(models) > 1 else [""])])
    if len(refused) == len(photos):
        raise BarenError(
            f"none of the {len(photos)} photographs could be painted; "
            f"the first, {refused[0]['file']}: {refused[0]['reason']}"
        )
    with no_half_folder(out) as folder:
        gather(made, done, folder)
        write_json(folder / "refused.json", refused)
        proof.write(folder / "proof.jpg")
        write_credits(folder, learned_from)
    shutil.rmtree(done)


def draw(
    *,
    network: "nn.Module",
    examples: "Pixels",
    out: Path,
    settings: Infer,
    progress: Progress,
    score: "Callable[[Tensor], Tensor] | None" = None,
    checkpoint: str = "",
    learned_from: Sequence[Origin] = (),
    scratch: Path = SCRATCH / "infer",
) -> None:
    """The prints of a recipe that paints from noise; see tasks.infer.drawing.run."""
    from tasks.infer.drawing import run as run_drawing

    run_drawing(
        network=network, examples=examples, out=out, settings=settings, progress=progress, scratch=scratch,
        device=device_to_paint_on(), score=score, checkpoint=checkpoint, learned_from=learned_from,
    )  # fmt: skip


def print_photo(
    photo: Photo,
    targets: tuple[Path, ...],
    model: "Model",
    settings: Infer,
    about: Mapping[str, Any],
    *,
    progress: Progress,
    devices: "Sequence[torch.device]" = (),
    scratch: Path = SCRATCH / "infer",
) -> "tuple[Pixels, Pixels]":
    """Make the print that `settings` ask for of one photo, in every format the names of `targets` end in.

    Beside them lie its report, which holds `about` too, and its preview; photo and print, made small, are returned.
    Raises PictureRefused, ParamsError, NoRoom; no target is ever half written.
    """
    from tasks.infer.preview import previewed

    order = replace(open_photo(photo, settings, progress), targets=targets)
    return previewed(order.photo), _printed(photo, order, model, settings, about, progress, scratch, devices)


def not_painted(path: Path, error: PictureRefused) -> str:
    """A sentence on a photograph that cannot be painted, and what to do."""
    return f"{path} is not painted ({error}); {MENDS.get(error.reason, 'save it anew, or name another')}"


def open_photo(photo: Photo, settings: Infer, progress: Progress) -> "Order":
    """The photo opened and laid out as `settings` ask; says what a person should know before the long work."""
    from tasks.infer.exif import exif_of
    from tasks.infer.paper import lay_out
    from tasks.infer.press import Order, wish_of
    from tasks.picture import open_deep

    path = photo[1]
    deep = open_deep(path, EVERY_SIZE)
    sheet = lay_out(deep.pixels.shape[0], deep.pixels.shape[1], wish_of(settings))
    if not sheet.pixel_for_pixel:
        progress.say(f"{path.name}: {sheet.told('the photo')} and is painted at {sheet.paint_ppi:.0f}")
    for warning in sheet.warnings():
        progress.say(f"{path.name}: {warning}")
    exif = exif_of(path) if settings.exif else b""
    return Order(path.stem, deep.pixels, sha256_file(path), exif, sheet, (), deep.alpha)


def _printed(
    photo: Photo,
    order: "Order",
    model: "Model",
    settings: Infer,
    about: Mapping[str, Any],
    progress: Progress,
    scratch: Path,
    devices: "Sequence[torch.device]" = (),
) -> "Pixels":
    from tasks.infer.press import make_print

    key, path, origin = photo
    told = {"id": key, "file": path.name, "sha256": order.photo_key, **asdict(origin)}
    about = {"photo": told, "checkpoint": model.key, **about}
    devices = devices or [device_to_paint_on()]
    return make_print(order, model, settings, about, devices=devices, scratch=scratch, progress=progress)


def gather(made: Sequence[Path], done: Path, folder: Path) -> None:
    """Put the files `made` in `done` at the same places in `folder` too.

    They stay in `done`, so that a run whose last small file fails has lost no print, and take no room twice.
    """
    for path in made:
        there = folder / path.relative_to(done)
        there.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, there)
        except OSError:  # another disk, or one without hard links
            shutil.copyfile(path, there)


def told_of(learned_from: Sequence[Origin]) -> dict[str, Any]:
    """What a print's report says of the pictures its model learned from; CREDITS.csv beside it names each."""
    licences = Counter(origin.licence for origin in learned_from)
    told = {"pictures": len(learned_from), "licences": dict(licences.most_common()), "credits": CREDITS}
    return {"learned_from": told}


def judge(paths: Sequence[Path], examples: "Pixels", progress: Progress) -> Mapping[Path, dict[str, float]]:
    """How far each photo is from the `examples` [N, side, side, 3] learned from; says so of those that are far.

    Distances are in units of the typical one among the examples. Of too few examples, or of a file that is no picture,
    nothing is said.
    """
    from tasks.infer.domain import NEAREST, Domain
    from tasks.picture import open_picture

    judged: dict[Path, dict[str, float]] = {}
    if len(examples) <= NEAREST or not paths:
        return judged
    domain = Domain(examples)
    for path in paths:
        try:
            found = domain.judge(open_picture(path, EVERY_SIZE))
        except PictureRefused:
            continue  # said where it is painted
        judged[path] = {"distance": round(found.distance, 3), "far_from": round(found.bound, 3)}
        if found.far:
            progress.say(
                f"{path.name} is unlike the pictures this recipe learned from: its distance is {found.distance:.2f}, "
                f"where theirs is 1 and {found.bound:.2f} is far; expect a strange painting"
            )
    return judged


def device_to_paint_on() -> "torch.device":
    """The first GPU, or the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def in_folder(folder: Path, out: Path | None = None) -> list[Photo]:
    """The photographs in `folder` and below, by name; BarenError where it is missing or holds none.

    Prints made earlier are none, and neither is what lies in `out`, a folder for prints inside of `folder`.
    """
    from tasks.infer.earlier import is_ours

    if not folder.is_dir():
        raise BarenError(f"{folder} is no folder; name one that holds photographs to paint")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES and path.is_file())
    beyond = out.resolve() if out and folder.resolve() in out.resolve().parents else None
    paths = [path for path in paths if beyond not in path.resolve().parents and not is_ours(path)]
    if not paths:
        raise BarenError(
            f"{folder} holds no picture ({', '.join(PICTURES)}) that is no print; put photographs there, or name others"
        )
    return [
        (f"album:{path.relative_to(folder)}", path, Origin(source="album", page="", url=path.name, title=path.stem))
        for path in paths
    ]


def file_names(keys: Sequence[str]) -> list[str]:
    """File names for picture ids: what is no letter, digit, dot or dash becomes a dash; made distinct by a number."""
    names: list[str] = []
    for key in keys:
        name = plain = re.sub(r"[^\w.-]+", "-", key).strip("-.") or "photo"
        number = 2
        while name in names:
            name, number = f"{plain}-{number}", number + 1
        names.append(name)
    return names
