"""python -m pipelines sample RECIPE -n 64 --best-of 512: pictures from noise, strips, an animation.

Into prints/RECIPE-samples come best.png (the highest scores), varied.png (good ones that differ) and those one by one,
strips.png, walk.webp, samples.json with every score, and CREDITS.csv, which names what the model learned from.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from pipelines.places import require_ours, require_own
from tasks.errors import ParamsError
from tasks.progress import Progress


def main(argv: Sequence[str]) -> int:
    """Draw what is asked; returns the exit code. Raises BarenError with what a person can mend."""
    chosen = _parser().parse_args(argv)
    progress = Progress()
    progress.listen()
    out: Path = chosen.out or Path("prints") / f"{chosen.recipe}-samples"
    require_own(out)

    from pipelines.params import Params
    from pipelines.stages import EXAMPLES, learned_from, open_painter, pictures_of
    from tasks.infer import device_to_paint_on
    from tasks.infer.sampling import FILES, Sampling, run

    require_ours(out, FILES)
    sampling = Sampling(chosen.n, chosen.best_of, chosen.seed, chosen.mean, chosen.deviation, chosen.steps, chosen.ways)
    sampling.check()
    recipe = Params.load().recipe(chosen.recipe)
    if recipe.module.KIND != "noise":
        raise ParamsError(f"{recipe.name} paints photographs, not from noise; run python -m pipelines paint PHOTO")
    best = open_painter(recipe)
    run(
        network=best.network,
        examples=pictures_of(recipe, "to", "train", EXAMPLES, progress),
        out=out.resolve(),  # of a link, the folder it leads to is replaced
        sampling=sampling,
        progress=progress,
        device=device_to_paint_on(),
        score=best.score,
        checkpoint=best.key,
        learned_from=learned_from(recipe, progress),
    )
    progress.say(f"{chosen.n} of {chosen.best_of} samples -> {out}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines sample", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", metavar="RECIPE", help="of params.yaml, from noise; it must have been trained")
    parser.add_argument("-n", type=int, default=64, help="pictures kept (64)")
    parser.add_argument("--best-of", type=int, default=512, help="pictures drawn, of which those are kept (512)")
    parser.add_argument("--seed", type=int, default=0, help="of the noise (0)")
    parser.add_argument("--mean", type=float, default=0.0, help="of the noise (0)")
    parser.add_argument("--deviation", type=float, default=1.0, help="of the noise (1); less: more alike, fewer faults")
    parser.add_argument(
        "--steps", type=int, default=8, help="pictures from one to the next, in strips and animation (8)"
    )
    parser.add_argument("--ways", type=int, default=6, help="strips, and pictures that the animation passes (6)")
    parser.add_argument("--out", type=Path, help="folder of the samples (prints/RECIPE-samples)")
    return parser
