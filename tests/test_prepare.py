"""Every candidate ends in the ledger, kept or refused by name, whatever the workers."""

import json
from collections.abc import Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tasks.errors import BarenError, ParamsError, Stopped
from tasks.files import write_json, write_json_lines
from tasks.limits import Limits
from tasks.picture import cut, open_picture
from tasks.prepare import run
from tasks.prepare.settings import Prepare
from tasks.progress import Progress
from tasks.rows import Origin, Prepared, Scraped, as_json, read_prepared


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
    write_json_lines(folder / "items.jsonl", (as_json(row) for row in [*rows, *more]))
    write_json(folder / "query.json", {"query": "now"})
    return folder


def prepared(raw: Path, out: Path, executor: Executor | None = None, **settings: Any) -> list[Prepared]:
    run(
        picture_set="photos", raw=raw, out=out, settings=Prepare(**{"side": 32, **settings}),
        executor=executor or Here(), progress=Progress(),
    )  # fmt: skip
    return list(read_prepared(out / "ledger.jsonl"))


def test_the_centre_is_cut_without_resizing(tmp_path: Path) -> None:
    raw = raw_folder(tmp_path / "raw", [(50, 40)])
    (row,) = prepared(raw, tmp_path / "out")
    assert row.crop is not None
    assert row.file is not None
    picture = open_picture(raw / row.file)
    assert np.array_equal(cut(picture, row.crop), picture[4:36, 9:41])


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
    more = [scraped(7, outcome="failed", reason="timeout", file=None), scraped(7, batch=2, file="pictures/0000.png")]
    rows = prepared(raw_folder(tmp_path / "raw", [(50, 40)], more), tmp_path / "out")
    assert [(row.id, row.outcome) for row in rows] == [("folder:0000", "kept"), ("folder:0007", "kept")]


def test_the_ledger_is_the_same_for_any_workers(tmp_path: Path) -> None:
    raw = raw_folder(tmp_path / "raw", [(30 + n % 7, 34) for n in range(90)])
    prepared(raw, tmp_path / "alone")
    for name, pool in {"threads": ThreadPoolExecutor(5), "processes": ProcessPoolExecutor(2)}.items():
        with pool:
            prepared(raw, tmp_path / name, pool)
        for file in ("ledger.jsonl", "report.json"):
            assert (tmp_path / name / file).read_bytes() == (tmp_path / "alone" / file).read_bytes()


def test_nothing_to_learn_from_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BarenError, match=r"pictures\.photos holds no picture"):
        prepared(raw_folder(tmp_path / "none", []), tmp_path / "out")
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
    write_json_lines(raw / "items.jsonl", (as_json(row) for row in rows))
    write_json(raw / "query.json", {"query": "now"})
    decided = prepared(raw, tmp_path / "out", side=256)
    assert sum(row.outcome == "kept" for row in decided) >= 20
    for row in decided:
        if row.crop is not None and row.file is not None:
            assert cut(open_picture(raw / row.file), row.crop).shape == (256, 256, 3)
