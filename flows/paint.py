"""Painting on demand: photographs become prints in one run, linked and shown there; nothing of the DAG is touched."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_link_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.artifacts import key, show_small
from flows.guard import let_go, on_a_leash
from flows.pages import link
from flows.rebuild import in_one_sentence

GRACE = 20.0  # seconds to put the rows aside that are painted: the same words go on from there
PRINTED = re.compile(r"^(.*) -> (.+)$")  # how `python -m pipelines paint` tells where a print is
SHEET = "contact sheet"  # what it calls the sheet that shows them all
SAID = "baren: "  # how it begins the sentence it ends with where it cannot


@flow(name="paint", persist_result=False)
def paint(words: list[str]) -> State[Any]:
    """Make prints; `words` are those of `python -m pipelines paint`: photographs, --recipe and what is wished."""
    return in_one_sentence(lambda: _paint(words))


def _paint(words: list[str]) -> State[Any]:
    logger = get_run_logger()
    command = [sys.executable, "-m", "pipelines", "paint", *words]
    process = on_a_leash(command, GRACE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    prints: list[Path] = []
    sheet: Path | None = None
    last = ""
    try:
        for line in process.stdout:
            if not line.strip():
                continue
            last = line.strip()
            logger.info("%s", last)
            if found := PRINTED.search(last):
                path = Path(found[2]).absolute()
                if found[1] == SHEET:
                    sheet = path
                else:
                    prints.append(path)
    finally:
        let_go(process)
        code = process.wait()
    for path in prints:
        create_link_artifact(key=key("print", _plain(path.stem)), link=link(path), link_text=f"the print {path}")
    if sheet:
        show_small(key("proof", _plain(sheet.parent.name)), sheet, f"the prints beside their photographs: {sheet}")
    if code:
        return Failed(message=last.removeprefix(SAID) or f"painting ended with {code}")
    return Completed(message=f"painted {', '.join(str(path) for path in prints)}")


def _plain(name: str) -> str:
    """A file's name in the letters that an artifact's key may have."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "photo"
