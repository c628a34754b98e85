"""What a rebuild leaves to see in Prefect: refusals, contact sheets, samples, metrics, links to page and prints."""

import base64
import io
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image
from prefect.artifacts import create_image_artifact, create_link_artifact, create_table_artifact
from prefect.settings import PREFECT_API_URL

from flows.dag import step_of
from flows.pages import link
from flows.server import answers
from tasks.errors import BarenError, PictureRefused
from tasks.files import read_json
from tasks.picture import cut, open_picture
from tasks.rows import ITEMS, Prepared, read_prepared

NUM_SHOWN = 24  # pictures of a contact sheet
COLUMNS, SIDE = 8, 72  # pixels of one of them
LONGEST = 720  # pixels of a sample grid; Prefect keeps an image artifact as text in its database
DATA = Path("data")


def leave_artifacts(stages: Iterable[str], say: Callable[[str], None]) -> None:
    """Leave what each of `stages` made where Prefect's pages show it; what cannot be is said, and no failure."""
    if not answers(PREFECT_API_URL.value() or "", timeout=10.0):
        say("no artifacts: the Prefect server does not answer")
        return
    for stage in stages:
        try:
            _BY_STEP.get(step_of(stage), _nothing)(stage.partition("@")[2])
        except (BarenError, OSError) as error:
            say(f"no artifact of {stage}: {error}")


def _of_prepare(name: str) -> None:
    folder = DATA / "2-prepared" / name
    report: dict[str, Any] = read_json(folder / "report.json")
    refused: dict[str, int] = report["refused"]
    create_table_artifact(
        key=key("refusals", name),
        table=[{"reason": reason, "pictures": count} for reason, count in refused.items()],
        description=f"{name}: {report['kept']} of {report['candidates']} pictures kept",
    )
    rows = [row for row in read_prepared(folder / ITEMS) if row.outcome == "kept"]
    if sheet := _contact_sheet(name, rows[:: max(1, len(rows) // NUM_SHOWN)][:NUM_SHOWN]):
        _show(key("contact-sheet", name), sheet, f"{name}: what is kept")


def _of_train(name: str) -> None:
    steps = sorted((DATA / "4-models" / name / "samples").glob("step-*.png"))
    if steps:
        show_small(key("samples", name), steps[-1], f"{name}: {steps[-1].stem}")


def _of_evaluate(name: str) -> None:
    metrics: dict[str, Any] = read_json(DATA / "5-metrics" / name / "metrics.json")
    create_table_artifact(
        key=key("metrics", name),
        table=[{"metric": metric, "value": value} for metric, value in metrics.items()],
        description=f"{name}, on held-out pictures",
    )


def _of_infer(name: str) -> None:
    folder = (DATA / "6-prints" / name).absolute()
    create_link_artifact(
        key=key("prints", name), link=link(folder), link_text=f"{folder}", description=f"the prints of {name}"
    )
    show_small(key("proof", name), folder / "proof.jpg", f"{name}: the prints")


def _of_report(_name: str) -> None:
    page = (DATA / "7-report" / "index.html").absolute()
    create_link_artifact(key="report", link=link(page), link_text=f"{page}", description="one page that shows it all")


def _nothing(_name: str) -> None:
    """A step whose work is shown by the steps after it."""


_BY_STEP: dict[str, Callable[[str], None]] = {
    "prepare": _of_prepare,
    "train": _of_train,
    "evaluate": _of_evaluate,
    "infer": _of_infer,
    "report": _of_report,
}


def _contact_sheet(name: str, rows: list[Prepared]) -> Image.Image | None:
    squares: list[Image.Image] = []
    for row in rows:
        if row.file is None or row.crop is None:
            continue
        try:
            pixels = cut(open_picture(DATA / "1-raw" / name / row.file), replace(row.crop, side=SIDE))
        except PictureRefused:
            continue
        squares.append(Image.fromarray(pixels))
    if not squares:
        return None
    sheet = Image.new("RGB", (COLUMNS * SIDE, -(-len(squares) // COLUMNS) * SIDE), "white")
    for place, square in enumerate(squares):
        sheet.paste(square, (place % COLUMNS * SIDE, place // COLUMNS * SIDE))
    return sheet


def show_small(key: str, path: Path, description: str) -> None:
    """Show the picture at `path` on Prefect's page, made small."""
    with Image.open(path) as image:
        image.thumbnail((LONGEST, LONGEST))
        _show(key, image.convert("RGB"), description)


def _show(key: str, image: Image.Image, description: str) -> None:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    encoded = base64.b64encode(buffer.getvalue()).decode()
    create_image_artifact(image_url=f"data:image/jpeg;base64,{encoded}", key=key, description=description)


def key(*words: str) -> str:
    """Prefect's keys are of small letters, digits and dashes."""
    return "-".join(words).lower().replace("_", "-")
