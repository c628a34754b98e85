"""What a run shows of itself: losses.csv, sample grids, and TensorBoard; live under the run's folder.

run.json              how to repeat the run; written before the first step
losses.csv            step, epoch, then one column a loss: the mean since the row before
scores.csv            step, epoch, the measures of tasks.train.judge and tasks.train.watch: one row a preview
samples/*.png         reals, untrained, then one grid a preview
board/                TensorBoard
"""

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.utils.tensorboard.writer import SummaryWriter

from tasks.files import no_half_file, write_text

Row = dict[str, float]


class Board:
    """Collects rows and pictures of a run; `resume_at` forgets what an interrupted run wrote after its checkpoint."""

    def __init__(self, folder: Path, resume_at: int = 0) -> None:
        self._folder = folder
        self._tables = {
            name: [row for row in read_table(folder / name) if row["step"] <= resume_at]
            for name in ("losses.csv", "scores.csv")
        }
        self._writer = SummaryWriter(str(folder / "board"), purge_step=resume_at or None)
        for grid in (folder / "samples").glob("step-*.png"):
            if int(grid.stem.removeprefix("step-")) > resume_at:
                grid.unlink()

    def losses(self, step: int, epoch: float, losses: Mapping[str, float], speeds: Mapping[str, float]) -> None:
        """One row of mean losses; speeds go to TensorBoard alone, since no two runs have the same."""
        self._row("losses.csv", step, {"epoch": epoch, **losses})
        for name, value in losses.items():
            self._writer.add_scalar(f"losses/{name}", value, step)
        for name, value in speeds.items():
            self._writer.add_scalar(f"speed/{name}", value, step)

    def scores(self, step: int, epoch: float, scores: Mapping[str, float]) -> None:
        """One row on how the painted pictures stand to the real ones."""
        self._row("scores.csv", step, {"epoch": epoch, **scores})
        for name, value in scores.items():
            self._writer.add_scalar(f"scores/{name}", value, step)

    def grid(self, name: str, rows: Mapping[str, Tensor], step: int) -> None:
        """A picture of pictures, samples/NAME.png: one row for each of `rows`, [B,3,H,W] in (-1,1)."""
        pixels = as_grid(list(rows.values()))
        with no_half_file(self._folder / "samples" / f"{name}.png") as path:
            Image.fromarray(pixels.numpy()).save(path, format="PNG", compress_level=1)  # a third of the time
        self._writer.add_image("samples/" + ", ".join(rows), pixels, step, dataformats="HWC")

    def write(self) -> None:
        """Bring the tables and TensorBoard's file up to date on the disk."""
        for name, rows in self._tables.items():
            if rows:
                write_text(self._folder / name, _csv(rows))
        self._writer.flush()

    def close(self) -> None:
        """Write what is left."""
        self.write()
        self._writer.close()

    def _row(self, table: str, step: int, values: Mapping[str, float]) -> None:
        self._tables[table].append({"step": step, **values})


class NoBoard(Board):
    """Of a process that leaves all writing to another."""

    def __init__(self) -> None: ...

    def losses(self, step: int, epoch: float, losses: Mapping[str, float], speeds: Mapping[str, float]) -> None: ...

    def scores(self, step: int, epoch: float, scores: Mapping[str, float]) -> None: ...

    def grid(self, name: str, rows: Mapping[str, Tensor], step: int) -> None: ...

    def write(self) -> None: ...

    def close(self) -> None: ...


def as_grid(rows: list[Tensor], gap: int = 2) -> Tensor:
    """uint8 [H,W,3]: each of `rows`, [B,3,h,w] in (-1,1), becomes one row of pictures with white gaps between.

    A row wider than a wall (16 pictures) goes on in the next line.
    """
    lines = [line for row in rows for line in row.split(16)]
    side, columns = rows[0].shape[-1] + gap, max(len(line) for line in lines)
    canvas = torch.full((len(lines) * side + gap, columns * side + gap, 3), 255, dtype=torch.uint8)
    for i, line in enumerate(lines):
        for j, picture in enumerate(line.detach().float().cpu()):
            pixels = ((picture.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0)
            top, left = gap + i * side, gap + j * side
            canvas[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return canvas


def _csv(rows: list[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[-1]), restval="nan", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read_table(path: Path) -> list[Row]:
    """The rows of losses.csv or scores.csv; none where there is no such file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    return [{**row, "step": int(row["step"])} for row in rows if not math.isnan(row["step"])]
