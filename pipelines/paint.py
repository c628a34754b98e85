"""python -m pipelines paint PHOTO ... --recipe RECIPE: prints of one's own photographs, of any size, on demand.

PHOTO is a picture, a folder of them, an address of the web, or a text file with one of these a line. Each becomes
NAME.png (or .tif, .jpg, .dzi with a page to look at it) and NAME.json, which says how it was made; previews/NAME.jpg
shows it small, proof.jpg all of a run beside their photographs, and CREDITS.csv names what the model learned from.
"""

import argparse
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.places import DATA, require_own
from tasks.errors import BarenError, ParamsError, PictureRefused
from tasks.files import sha256_file
from tasks.progress import Progress

if TYPE_CHECKING:
    from pipelines.params import RecipeParams
    from tasks.infer import Photo

FORMATS = ("png", "tif", "jpg", "dzi")


def main(argv: Sequence[str]) -> int:
    """Paint what is asked; returns the exit code. Raises BarenError with what a person can mend."""
    chosen = _parser().parse_args(argv)
    progress = Progress()
    progress.listen()
    chosen.format = _formats(chosen.format)
    out: Path = chosen.out or Path("prints") / chosen.recipe
    require_own(out)

    from pipelines.params import Params
    from pipelines.photographs import named
    from tasks.credits import read_credits

    read_credits(out)  # which will be added to: what is wrong with them is told before the work

    params = Params.load()
    recipe = params.recipe(chosen.recipe)
    contact = chosen.contact or params.picture_set(recipe.learns_from).scrape.contact
    photos, missing = named(chosen.photos, contact, progress, out=out)
    _paint(recipe, photos, missing, out, chosen, progress)
    return 0


def _paint(
    recipe: "RecipeParams", photos: "list[Photo]", missing: list[str], out: Path, chosen: argparse.Namespace,
    progress: Progress,
) -> None:  # fmt: skip
    from pipelines.stages import kept_seeds, learned_from, learned_photos, open_painter
    from tasks.credits import add_credits
    from tasks.infer import file_names, judge, not_painted, print_photo, told_of
    from tasks.infer.earlier import own_name
    from tasks.infer.press import Model
    from tasks.infer.proof import Proof, proof_in

    if recipe.module.KIND == "noise":
        raise ParamsError(
            f"{recipe.name} paints from noise, not from photographs; run python -m pipelines sample {recipe.name}"
        )
    settings = recipe.infer.read(recipe.infer.model_dump() | _wishes(chosen), "infer", "the command line")
    models = ["best", "last", *kept_seeds(DATA / "4-models" / recipe.name)]
    if chosen.model not in models:
        raise ParamsError(f"--model {chosen.model} is none of {recipe.name}'s, which are {', '.join(models)}")
    painter = open_painter(recipe, chosen.model)
    model = Model.of(painter.network, painter.key)
    credited = learned_from(recipe, progress)
    devices = [_device(name) for name in chosen.device or ()]
    judged = judge([path for _, path, _ in photos], learned_photos(recipe, progress), progress)
    about = {"recipe": recipe.name, "painter": painter.name, "git": _revision(), **told_of(credited)}
    refused = [*missing]
    originals = {path.resolve() for _, path, _ in photos}  # wherever they lie, they stay as they are
    proof, sheet = Proof(), proof_in(out, originals)
    for name, photo in zip(file_names([path.stem for _, path, _ in photos]), photos, strict=True):
        name = own_name(out, name, chosen.format, sha256_file(photo[1]), {*originals, sheet.resolve()})
        targets = tuple(out / f"{name}.{kind}" for kind in chosen.format)
        told = about | {"domain": judged.get(photo[1])}
        try:
            shown = print_photo(photo, targets, model, settings, told, progress=progress, devices=devices)
        except PictureRefused as error:
            refused.append(not_painted(photo[1], error))
            if len(photos) > 1:  # of one alone it is said at the end
                progress.say(refused[-1])
            continue
        proof.add(shown, [photo[1].name, painter.name])
        for target in targets:  # a pyramid is looked at on its page
            progress.say(f"{photo[1]} -> {target.with_suffix('.html') if target.suffix == '.dzi' else target}")
    wanted = len(photos) + len(missing)
    if len(refused) == wanted:
        raise BarenError(refused[0] if wanted == 1 else f"none of {wanted} was painted; {refused[0]}")
    proof.write(sheet)
    progress.say(f"contact sheet -> {sheet}")
    add_credits(out, credited)


def _wishes(chosen: argparse.Namespace) -> dict[str, Any]:
    """The settings given on the command line, which go before those of params.yaml."""
    names = (
        "size", "dpi", "fit", "bleed", "margin", "marks", "paint_ppi", "profile", "exif", "statistics", "tile",
        "batch", "depth",
    )  # fmt: skip
    return {name: value for name in names if (value := getattr(chosen, name)) is not None}


def _device(name: str) -> Any:
    import torch

    try:
        device = torch.device(name)
        assert device.type in ("cpu", "cuda")  # "meta" has no numbers, and others were never tried
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ParamsError(f"--device {name} is not to be had here; choose cpu, or cuda:0, cuda:1 ...") from error
    return device


def _revision() -> str:
    """The project's commit, or "" outside git."""
    asked = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return asked.stdout.strip() if asked.returncode == 0 else ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines paint", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", nargs="+", metavar="PHOTO")
    parser.add_argument("--recipe", required=True, help="of params.yaml; it must have been trained")
    parser.add_argument(
        "--model", default="best", metavar="WHICH", help="best, last, or seed-N of several that were kept"
    )
    parser.add_argument("--out", type=Path, help="folder of the prints (prints/RECIPE)")
    parser.add_argument("--format", default="png", help="png, tif, jpg, dzi; several with commas")
    parser.add_argument("--contact", default="", help="your address or page, told to a site a photograph comes from")
    paper = parser.add_argument_group("paper (what is not given is as infer says in params.yaml)")
    paper.add_argument("--print", dest="size", metavar="SIZE", help="188x110cm, 12x15in, 4500x3600px, or A0 to A4")
    paper.add_argument("--dpi", type=float, help="dots an inch of the file")
    paper.add_argument("--fit", choices=("crop", "pad", "stretch"), help="how another shape comes onto the paper")
    paper.add_argument("--bleed", metavar="LENGTH", help="picture beyond the trim, 3mm")
    paper.add_argument("--margin", metavar="LENGTH", help="white inside the trim, 2cm")
    paper.add_argument("--marks", action="store_true", default=None, help="crop marks beyond the bleed")
    paper.add_argument(
        "--profile", metavar="FILE", help="an RGB profile (.icc) that the print shop asks for; else sRGB"
    )
    paper.add_argument(
        "--strip", dest="exif", action="store_false", default=None, help="leave out what the camera wrote: place, time"
    )
    paper.add_argument("--depth", type=int, choices=(8, 16), help="bits a sample of png and tif")
    paper.add_argument("--paint-ppi", type=float, help="painted pixels an inch; fewer make broader strokes")
    work = parser.add_argument_group("work")
    work.add_argument("--statistics", choices=("auto", "thumbnail", "dense", "exact"), help="of norms; see norms.py")
    work.add_argument("--tile", type=int, help="px a side at most")
    work.add_argument("--batch", type=int, help="tiles at once; 0 for as many as are good")
    work.add_argument("--device", action="append", help="cpu, cuda:0 ...; several times for several GPUs")
    return parser


def _formats(text: str) -> tuple[str, ...]:
    kinds = tuple(dict.fromkeys(kind.strip().lstrip(".").lower() for kind in text.split(",")))  # each once
    for kind in kinds:
        if kind not in FORMATS:
            raise ParamsError(f"--format {kind} is none that prints are written in; choose of {', '.join(FORMATS)}")
    return kinds
