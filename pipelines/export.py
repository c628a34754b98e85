"""python -m pipelines export RECIPE: the trained painter as an ONNX file, for programs that know nothing of PyTorch.

RECIPE.onnx maps "noise" to "pictures", or "pictures" to "painted", all in (-1, 1); beside it stand RECIPE.json, which
says which weights it holds, and CREDITS.csv, which names what they were learned from.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from pipelines.places import require_ours, require_own
from tasks.progress import Progress


def main(argv: Sequence[str]) -> int:
    """Export what is asked; returns the exit code. Raises BarenError with what a person can mend."""
    chosen = _parser().parse_args(argv)
    progress = Progress()
    out: Path = chosen.out or Path("prints") / f"{chosen.recipe}-onnx"
    require_own(out)

    from pipelines.params import Params
    from pipelines.stages import learned_from, open_painter
    from tasks.credits import NAME as CREDITS
    from tasks.credits import write_credits
    from tasks.files import no_half_folder, write_json
    from tasks.infer.export import export

    recipe = Params.load().recipe(chosen.recipe)
    require_ours(out, (f"{recipe.name}.onnx", f"{recipe.name}.json", CREDITS))
    painter = open_painter(recipe)
    credited = learned_from(recipe, progress)
    told = {"recipe": recipe.name, "checkpoint": painter.key}
    with no_half_folder(out.resolve()) as folder:
        export(painter.network, folder / f"{recipe.name}.onnx")
        write_json(folder / f"{recipe.name}.json", {**told, "networks": recipe.networks.model_dump(mode="json")})
        write_credits(folder, credited)
    progress.say(f"{recipe.name} -> {out / recipe.name}.onnx")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", metavar="RECIPE", help="of params.yaml; it must have been trained")
    parser.add_argument("--out", type=Path, help="folder of the file (prints/RECIPE-onnx)")
    return parser
