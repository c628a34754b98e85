"""What evaluate leaves behind: figures, a grid to look at, and the model card."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from tasks.evaluate.card import About, write_card
from tasks.evaluate.grid import write_grid
from tasks.files import no_half_folder, write_json
from tasks.measures.kinds import apart

LOSSES = "losses.csv"


def write_results(
    out: Path, metrics: Mapping[str, float], rows: Mapping[str, Tensor], shown: int, about: About | None
) -> None:
    """Write metrics.json (the recipe's own figures, few enough to compare by eye), beside.json and pictures.png.

    `rows` are uint8 [N, side, side, 3], of which the grid shows `shown`; with `about` MODEL_CARD.md and CREDITS.csv
    are written too, and the model's losses.csv is laid beside them.
    """
    own, beside = apart(metrics)
    with no_half_folder(out) as folder:
        for name, figures in (("metrics.json", own), ("beside.json", beside)):
            write_json(folder / name, {measure: round(value, 6) for measure, value in figures.items()})
        write_grid(folder / "pictures.png", {name: row[:shown] for name, row in rows.items()})
        if about is not None:
            write_card(folder, about, metrics)
            shutil.copyfile(about.model / LOSSES, folder / LOSSES)
