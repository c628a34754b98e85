"""Every candidate ends in the ledger, kept or refused by name, whatever the workers."""

import json
import os
import signal
from collections.abc import Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data
from test_picture import one_bit_png

from tasks.errors import BarenError, ParamsError, PictureRefused, Stopped
from tasks.files import sha256_file, write_json
from tasks.limits import Limits
from tasks.picture import cut, cut_all, open_picture
from tasks.prepare import decide, run
from tasks.prepare.crop import Box, centre, fit, tiles, whole
from tasks.prepare.settings import Prepare
from tasks.progress import Progress
from tasks.rows import Crop, Origin, Prepared, Scraped, read_prepared, read_scraped, write_rows
from tasks.workers import Renewable


class Here(Executor):
    """Runs everything in the caller, at once."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def scraped(number: int, **changes: Any) -> Scraped:
    name = f"folder:{number:04}"
    row = Scraped(
        id=name, batch=1, query="now", outcome="kept", reason="", file=f"pictures/{number:04}.png",
        origin=Origin(source="folder", page="", url=""), group=name, sha256=f"{number:064}",
    )  # fmt: skip
    return replace(row, **changes)


def raw_folder(folder: Path, sizes: Sequence[tuple[int, int]], more: Sequence[Scraped] = ()) -> Path:
    rng = np.random.default_rng(0)
    (folder / "pictures").mkdir(parents=True)
    rows = [scraped(number) for number in range(len(sizes))]
    for row, (width, height) in zip(rows, sizes, strict=True):
        Image.fromarray(rng.integers(0, 255, (height, width, 3), np.uint8)).save(folder / str(row.file))
    rows = [replace(row, sha256=sha256_file(folder / str(row.file))) for row in rows]
    write_rows(folder / "items", [*rows, *more])
    write_json(folder / "query.json", {"query": "now"})
    return folder


def prepared(
    raw: Path,
    out: Path,
    executor: Executor | None = None,
    curation: Path | None = None,
    cache: Path | None = None,
    **settings: Any,
) -> list[Prepared]:
    run(
        picture_set="photos", raw=raw, out=out, settings=Prepare(**{"side": 32, **settings}),
        executor=executor or Here(), progress=Progress(), curation=curation, cache=cache,
    )  # fmt: skip
    return list(read_prepared(out / "items"))


def test_the_centre_is_cut_without_resizing(tmp_path: Path) -> None:
    raw = raw_folder(tmp_path / "raw", [(50, 40)])
    (row,) = prepared(raw, tmp_path / "out")
    assert row.crop is not None
    assert row.file is not None
    picture = open_picture(raw / row.file)
    assert np.array_equal(cut(picture, row.crop), picture[4:36, 9:41])


def test_the_colour_under_a_transparent_picture_reaches_the_cut(tmp_path: Path) -> None:
    raw = raw_folder(tmp_path / "raw", [(50, 40)])
    image = Image.open(raw / "pictures/0000.png").convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 25, 40))
    image.save(raw / "pictures/0000.png")
    (row,) = prepared(raw, tmp_path / "out", limits=Limits(matte="#1e5078"))
    assert row.crop is not None
    (square,) = cut_all(raw / "pictures/0000.png", [row.crop])
    assert np.array_equal(square[:, :16], np.broadcast_to([30, 80, 120], (32, 16, 3)))


def test_every_candidate_is_counted_once(tmp_path: Path) -> None:
    more = [
        scraped(90, outcome="refused", reason="placeholder", file=None),
        scraped(91, outcome="failed", reason="timeout", file=None),
        scraped(92, query="before"),
        scraped(93),  # its file is not there
    ]
    rows = prepared(raw_folder(tmp_path / "raw", [(50, 40), (20, 40), (32, 32)], more), tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["candidates"] == 6 == report["kept"] + sum(report["refused"].values())
    assert report["refused"] == {"missing file": 1, "placeholder": 1, "timeout": 1, "too small": 1}
    assert [row.id for row in rows] == [f"folder:{n:04}" for n in (0, 1, 2, 90, 91, 93)]


def test_the_last_word_on_a_picture_counts(tmp_path: Path) -> None:
    more = [scraped(7, outcome="failed", reason="timeout", file=None), scraped(7, batch=2, file="pictures/0001.png")]
    rows = prepared(raw_folder(tmp_path / "raw", [(50, 40)] * 2, more), tmp_path / "out", duplicates=-1)
    assert [(row.id, row.outcome) for row in rows][2:] == [("folder:0007", "kept")]


def test_a_picture_that_two_queries_found_is_in_both(tmp_path: Path) -> None:
    raw = raw_folder(tmp_path / "raw", [(50, 40)] * 2)
    first = [scraped(number) for number in range(2)]
    write_rows(raw / "items", [*first, replace(first[0], batch=2, query="then")])
    assert [row.id for row in prepared(raw, tmp_path / "out")] == ["folder:0000", "folder:0001"]
    write_json(raw / "query.json", {"query": "then"})
    assert [row.id for row in prepared(raw, tmp_path / "out")] == ["folder:0000"]


def test_the_ledger_is_the_same_for_any_workers(tmp_path: Path) -> None:
    raw = raw_folder(tmp_path / "raw", [(30 + n % 7, 34) for n in range(90)])
    prepared(raw, tmp_path / "alone")
    for name, pool in {"threads": ThreadPoolExecutor(5), "processes": ProcessPoolExecutor(2)}.items():
        with pool:
            prepared(raw, tmp_path / name, pool)
        for file in ("items/00001.jsonl", "report.json"):
            assert (tmp_path / name / file).read_bytes() == (tmp_path / "alone" / file).read_bytes()


def test_odd_files_are_kept_right_or_refused_by_name_and_the_run_goes_on(tmp_path: Path) -> None:
    """What other tools turn white, blow up, leave lying on its side or die of, among pictures that are sound."""
    photograph = Image.fromarray(data.coffee())
    moving: dict[str, Any] = {"save_all": True, "append_images": [photograph.transpose(Image.Transpose.ROTATE_180)]}
    turned = Image.Exif()
    turned[0x0112] = 6
    deep = np.asarray(photograph.convert("L"), np.uint16) * 256
    clear = photograph.copy()
    clear.putalpha(Image.new("L", clear.size, 128))
    made = {
        "turned.jpg": (photograph, {"exif": turned}), "deep.png": (Image.fromarray(deep), {}),
        "clear.png": (clear, {}), "inks.jpg": (photograph.convert("CMYK"), {}), "moving.gif": (photograph, moving),
        "moving.webp": (photograph, moving), "new.avif": (photograph, {}), "half.jpg": (photograph, {}),
        "sliver.png": (photograph.resize((3, 2000)), {}), "icon.png": (photograph.resize((16, 16)), {}),
    }  # fmt: skip
    raw = raw_folder(tmp_path / "raw", [(50, 40)])
    for name, (image, options) in made.items():
        image.save(raw / name, **options)
    (raw / "half.jpg").write_bytes((raw / "half.jpg").read_bytes()[:20_000])
    (raw / "page.jpg").write_text("<!DOCTYPE html><html>not found</html>")
    (raw / "empty.jpg").write_bytes(b"")
    (raw / "bomb.png").write_bytes(one_bit_png(30_000, 30_000))
    names = [*made, "page.jpg", "empty.jpg", "bomb.png"]
    write_rows(raw / "items", (scraped(n, file=name) for n, name in enumerate(names)))
    rows = prepared(raw, tmp_path / "out", duplicates=-1, worth={"min_colour": 0})
    told = {str(row.file): row.reason for row in rows}
    assert told == dict.fromkeys(names[:7], "") | {
        "half.jpg": "truncated", "sliver.png": "too small", "icon.png": "too small", "page.jpg": "no picture",
        "empty.jpg": "no picture", "bomb.png": "too many pixels",
    }  # fmt: skip
    assert open_picture(raw / "turned.jpg").shape == (600, 400, 3)
    assert np.abs(open_picture(raw / "deep.png")[..., 0].astype(int) - np.asarray(photograph.convert("L"))).max() == 0


def broken_decoder() -> None:
    """A worker whose decoder crashes on one picture."""
    sound = decide.open_picture

    def opened(path: Path, limits: Limits) -> np.ndarray:
        if path.name == "0001.png":
            os.kill(os.getpid(), signal.SIGKILL)
        return sound(path, limits)

    decide.open_picture = opened


def test_a_picture_that_kills_its_decoder_is_refused_and_the_others_are_kept(tmp_path: Path) -> None:
    raw = raw_folder(tmp_path / "raw", [(50, 40)] * 4)
    with Renewable(lambda: ProcessPoolExecutor(2, get_context("forkserver"), broken_decoder)) as executor:
        rows = prepared(raw, tmp_path / "out", executor)
    assert [row.reason for row in rows] == ["", "decoder crash", "", ""]


def test_nothing_to_learn_from_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BarenError, match=r"pictures\.photos holds no picture"):
        prepared(raw_folder(tmp_path / "none", [], [scraped(0, query="then")]), tmp_path / "out")
    with pytest.raises(BarenError, match=r"every one of its 2 pictures is refused \(2 too small\)"):
        prepared(raw_folder(tmp_path / "small", [(20, 20), (20, 30)]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_stop_leaves_nothing_half_written(tmp_path: Path) -> None:
    raw, progress = raw_folder(tmp_path / "raw", [(50, 40)] * 4), Progress()
    progress.stop_requested = 15
    with pytest.raises(Stopped):
        run(
            picture_set="photos", raw=raw, out=tmp_path / "out", settings=Prepare(side=32), executor=Here(),
            progress=progress,
        )  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_settings_name_what_is_wrong() -> None:
    assert Prepare.read({"side": 64, "limits": {"max_aspect": 3}}, "pictures.photos.prepare").limits == Limits(
        max_aspect=3
    )
    with pytest.raises(ParamsError, match=r"pictures\.photos\.prepare\.limits\.max_pixels is -1"):
        Prepare.read({"limits": {"max_pixels": -1}}, "pictures.photos.prepare")
    with pytest.raises(ParamsError, match=r"pictures\.photos\.prepare\.sides is no setting"):
        Prepare.read({"sides": 64}, "pictures.photos.prepare")


def test_real_pictures_are_prepared(real_pictures: Path, tmp_path: Path) -> None:
    files = sorted(path for path in (real_pictures / "ukiyoe").iterdir() if path.suffix in (".jpg", ".png"))[:24]
    rows = [scraped(number, file=path.name) for number, path in enumerate(files)]
    raw = tmp_path / "raw"
    raw.mkdir()
    for path in files:
        (raw / path.name).symlink_to(path)
    write_rows(raw / "items", rows)
    write_json(raw / "query.json", {"query": "now"})
    decided = prepared(raw, tmp_path / "out", side=128)  # these are scans of 640 px: inside their mounts few hold 256
    assert sum(row.outcome == "kept" for row in decided) >= 20
    assert {row.reason for row in decided} <= {"", "too small", "odd aspect"}  # one is a pillar, out of its cloth
    for row in decided:
        if row.crop is not None and row.file is not None:
            assert cut(open_picture(raw / row.file), row.crop).shape == (128, 128, 3)


def test_crops_of_every_kind() -> None:
    box = Box(10, 20, 10 + 100, 20 + 70)
    assert centre(box, 32) == Crop(44, 39, 32, 32, 32)
    assert fit(box, 32) == Crop(25, 20, 70, 70, 32)
    assert whole(box, 32) == Crop(10, 20, 100, 70, 32)
    assert [(crop.left, crop.top) for crop in tiles(box, 32, 16)] == [
        (12, 23), (44, 23), (76, 23), (12, 55), (44, 55), (76, 55),
    ]  # fmt: skip
    assert [crop.left for crop in tiles(box, 32, 2)] == [44, 44], "the middle ones"
    for kind in (centre, fit, whole):
        with pytest.raises(PictureRefused, match="too small"):
            kind(box, 71)


def test_every_kind_of_crop_is_prepared_and_cut(tmp_path: Path) -> None:
    raw = raw_folder(tmp_path / "raw", [(150, 90), (96, 120)])
    for kind, crops in {"centre": 2, "tiles": 16, "fit": 2, "whole": 2}.items():
        rows = prepared(raw, tmp_path / kind, crop=kind, max_crops=8)
        assert sum(row.outcome == "kept" for row in rows) == crops
        assert len({row.id for row in rows}) == crops
        for row in rows:
            assert row.crop is not None
            assert [square.shape for square in cut_all(raw / str(row.file), [row.crop])] == [(32, 32, 3)]
    report = json.loads((tmp_path / "tiles" / "report.json").read_text())
    assert (report["kept"], report["crops"]) == (2, 16)


def test_a_persons_word_overrides(tmp_path: Path) -> None:
    raw = raw_folder(tmp_path / "raw", [(50, 40)] * 3 + [(20, 20)])
    Image.new("RGB", (60, 60), (190, 120, 120)).save(raw / "pictures" / "0001.png")
    without = prepared(raw, tmp_path / "out")
    assert [row.reason for row in without] == ["", "low information", "", "too small"]
    (tmp_path / "words.csv").write_text(
        "id,verdict,reason\nfolder:0000,reject,dull\nfolder:0001,keep,\nfolder:0003,keep,\n"
    )
    told = prepared(raw, tmp_path / "out", curation=tmp_path / "words.csv")
    assert [(row.reason, row.detail) for row in told[:3]] == [("rejected by hand", "dull"), ("", ""), ("", "")]
    assert told[3].reason == "too small"


def test_only_named_licences_are_kept(tmp_path: Path) -> None:
    free = scraped(8, file="pictures/0000.png", origin=Origin(source="folder", page="", url="", licence="CC0"))
    rows = prepared(raw_folder(tmp_path / "raw", [(50, 40)], [free]), tmp_path / "out", licences=("CC0",))
    assert [(row.reason, row.detail) for row in rows] == [("licence", "unknown"), ("", "")]


def test_a_copy_is_refused_and_names_what_it_copies(tmp_path: Path) -> None:
    raw = raw_folder(tmp_path / "raw", [(50, 40)])
    (first,) = read_scraped(raw / "items")
    write_rows(raw / "items", [first, replace(first, id="folder:0005", group="folder:0005")])
    rows = prepared(raw, tmp_path / "out")
    assert [(row.reason, row.detail, row.group) for row in rows] == [
        ("", "", "folder:0000"), ("duplicate", "of folder:0000", "folder:0000"),
    ]  # fmt: skip
