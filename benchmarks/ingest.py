"""Ingest: from a URL to a square beside img2dataset; copies, faces, borders and the ledger, each against its own bound.

Faces, anime faces and borders need the folder of real pictures that BAREN_PICTURES names; without it they are null.
"""

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from benchmarks import ingest_ledger, ingest_rate
from tasks.picture import Pixels, open_picture
from tasks.prepare.borders import sound_part
from tasks.prepare.crop import Box, fit
from tasks.prepare.faces import find_faces
from tasks.prepare.likeness import near_pairs
from tasks.prepare.settings import Faces

Figures = dict[str, float | int | None]
HERE = Path(__file__).parent
TOLERANCE = 0.01  # of a picture's side: how exact labels made by eye are
# How many faces each photograph shows, counted by eye; those that are not named show one.
FACES_SHOWN = {"faces_0002_obama-and-biden.jpg": 3, "faces_0008_two-people.jpg": 2}
NO_ANIME_FACE = {"anime_illustrations_0009_suika.jpg", "anime_illustrations_0017_stand2.jpg"}  # they show logos


def main(quick: bool = False) -> Figures:
    """All figures; `quick` takes fewer pictures for the rate."""
    cv2.setNumThreads(1)
    pictures = Path(os.environ["BAREN_PICTURES"]) if os.environ.get("BAREN_PICTURES") else None
    figures: Figures = {}
    parts: list[Callable[[], Figures]] = [
        _near_duplicates,
        _ledger,
        lambda: ingest_rate.figures(500 if quick else 2000),
    ]
    if pictures is not None:
        parts += [lambda: _faces(pictures), lambda: _anime(pictures), lambda: _borders(pictures)]
    for part in parts:
        found = part()
        for name, value in found.items():
            print(f"{name:32} {value:12.4g}" if value is not None else f"{name:32} {'not measured':>12}", flush=True)
        figures |= found
    return figures


def _near_duplicates() -> Figures:
    """CPU seconds to find all pairs within 4 bits of 200,000 hashes: spread evenly, and half of them in clusters."""
    rng = np.random.default_rng(0)
    even = rng.integers(0, 2**64, 180_000, dtype=np.uint64)
    centres = rng.integers(0, 2**64, 1_000, dtype=np.uint64)[rng.integers(0, 1_000, 100_000)]
    turned = (rng.random((100_000, 64)) < 0.06) @ (np.uint64(1) << np.arange(64, dtype=np.uint64))
    clustered = np.concatenate([even[:80_000], centres ^ turned.astype(np.uint64)])
    figures: Figures = {}
    for name, hashes in {"neardup_200k_cpu_s": even, "neardup_clustered_cpu_s": clustered}.items():
        planted = rng.integers(0, len(hashes), 20_000)
        everything = np.concatenate([hashes, _flipped(hashes[planted], rng)])
        began = time.process_time()
        unique, place = np.unique(everything, return_inverse=True)
        pairs = near_pairs(unique, 4)
        figures[name] = time.process_time() - began
        one, other = place[planted], place[len(hashes) :]
        wanted = np.minimum(one, other) * len(unique) + np.maximum(one, other)
        found = np.isin(wanted, pairs[:, 0] * len(unique) + pairs[:, 1]) | (one == other)
        figures[name.replace("cpu_s", "missed")] = int((~found).sum())
    return figures


def _flipped(hashes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each hash with 0 to 4 of its bits turned over."""
    order = rng.random((len(hashes), 64)).argsort(1)
    few = np.arange(64)[None] < rng.integers(0, 5, len(hashes))[:, None]
    masks = (np.uint64(1) << order.astype(np.uint64)) * few.astype(np.uint64)
    return hashes ^ np.bitwise_or.reduce(masks, 1)


def _ledger() -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw"
        raw.mkdir()
        ingest_ledger.make(raw, 100_000)
        told = subprocess.run(
            [sys.executable, "-m", "benchmarks.ingest_ledger", raw, Path(folder) / "out"],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        return json.loads(told.stdout)


def _faces(pictures: Path) -> Figures:
    """Faces found and CPU spent, ours and face_recognition's default, on photographs and on variants of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import face_recognition  # which makes its detector here
    find_faces(np.zeros((160, 160, 3), np.uint8), Faces())  # and ours is made here, all rungs of the ladder
    found, default, ours_s, default_s = 0, 0, 0.0, 0.0
    for picture, shown, settings in _with_faces(pictures):
        began = time.process_time()
        mine = len(find_faces(picture, settings))
        between = time.process_time()
        theirs = len(face_recognition.face_locations(picture))
        ours_s, default_s = ours_s + between - began, default_s + time.process_time() - between
        found, default = found + min(mine, shown), default + min(theirs, shown)
    return {"faces_found": found, "faces_found_default": default, "face_cpu_ratio": default_s / ours_s}


def _with_faces(pictures: Path) -> Iterator[tuple[Pixels, int, Faces]]:
    """Each photograph, with the number of faces it shows; then, of those that show one, variants at 480 pixels."""
    for path in sorted((pictures / "faces").glob("*.*")):
        picture = open_picture(path)
        shown = FACES_SHOWN.get(path.name, 1)
        yield picture, shown, Faces(which="all")
        if shown == 1:
            scale = 480 / max(picture.shape[:2])
            small = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
            yield from ((variant, 1, Faces()) for variant in _variants(small))


def _variants(small: Pixels) -> Iterator[Pixels]:
    yield np.asarray(cv2.stylization(small), np.uint8)
    yield cv2.cvtColor(cv2.pencilSketch(small, shade_factor=0.05)[0], cv2.COLOR_GRAY2RGB)
    yield (small // 64 * 85).astype(np.uint8)
    yield np.asarray(cv2.medianBlur(small, 9), np.uint8)
    height, width = small.shape[:2]
    for degrees in (15, 30, 45):
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
        yield np.asarray(cv2.warpAffine(small, turn, (width, height)), np.uint8)
    for side in (160, 96):
        yield np.asarray(cv2.resize(small, None, fx=side / 480, fy=side / 480, interpolation=cv2.INTER_AREA), np.uint8)


def _anime(pictures: Path) -> Figures:
    """The share of illustrations that show a face in which the anime cascade finds one."""
    settings = Faces(find="cascade", cascade=str(pictures / "cascades" / "lbpcascade_animeface.xml"))
    paths = [path for path in (pictures / "anime_illustrations").glob("*.*") if path.name not in NO_ANIME_FACE]
    return {"anime_recall": float(np.mean([bool(find_faces(open_picture(path), settings)) for path in paths]))}


def _borders(pictures: Path) -> Figures:
    """On prints that the weights were not fitted on: clean squares, pictures cut too much, and milliseconds of CPU.

    The 60 of part "report" are those of the smallest SHA-256 of their names, outside those of part "tune"; they were
    labelled by eye before anything was run on them.
    """
    with (HERE / "borders.csv").open(newline="") as file:
        labels = [row for row in csv.DictReader(file) if row["part"] == "report"]
    pictures_shown = [open_picture(pictures / "ukiyoe" / label["file"]) for label in labels]
    truths = [labelled_box(label, picture) for label, picture in zip(labels, pictures_shown, strict=True)]
    began = time.process_time()
    found = [sound_part(picture) for picture in pictures_shown]
    spent = time.process_time() - began
    whole = [Box(0, 0, picture.shape[1], picture.shape[0]) for picture in pictures_shown]
    return border_figures(found, truths, pictures_shown) | {
        "border_clean_untrimmed": border_figures(whole, truths, pictures_shown)["border_clean"],
        "border_cpu_ms": spent / len(labels) * 1e3,
    }


def labelled_box(label: dict[str, str], picture: Pixels) -> Box:
    """The part of a picture that a row of borders.csv names in percent."""
    height, width = picture.shape[:2]
    left, right = (round(float(label[side]) * width / 100) for side in ("left", "right"))
    top, bottom = (round(float(label[side]) * height / 100) for side in ("top", "bottom"))
    return Box(left, top, right, bottom)


def border_figures(found: list[Box], truths: list[Box], pictures: list[Pixels]) -> Figures:
    """The share of pictures whose middle square is clean, and of those that lose more than a tenth of the print."""
    clean, overcut = 0, 0
    for box, truth, picture in zip(found, truths, pictures, strict=True):
        clean += _square_lies_in(box, truth, picture.shape[1], picture.shape[0])
        across = max(0, min(box.right, truth.right) - max(box.left, truth.left))
        down = max(0, min(box.bottom, truth.bottom) - max(box.top, truth.top))
        overcut += across * down < 0.9 * truth.width * truth.height
    return {"border_clean": clean / len(found), "border_overcut": overcut / len(found)}


def _square_lies_in(box: Box, truth: Box, width: int, height: int) -> bool:
    """Whether the largest middle square of `box` shows nothing that lies outside the print."""
    square = fit(box, 1)
    across, down = TOLERANCE * width, TOLERANCE * height
    return (
        square.left >= truth.left - across
        and square.top >= truth.top - down
        and square.left + square.width <= truth.right + across
        and square.top + square.height <= truth.bottom + down
    )


if __name__ == "__main__":
    print(json.dumps(main(quick="--quick" in sys.argv), sort_keys=True))
