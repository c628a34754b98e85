"""The report shows what every stage did, does without what is not there, and asks no other place for anything."""

import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks import report
from tasks.errors import ParamsError, Stopped
from tasks.files import write_json, write_text
from tasks.measures.kinds import apart
from tasks.progress import Progress
from tasks.report.album import spread
from tasks.report.curves import POINTS, draw, read_curves
from tasks.report.described import described
from tasks.report.metrics import table
from tasks.report.page import number
from tasks.report.settings import Report
from tasks.rows import Crop, Origin, Packed, Prepared, Scraped, write_rows

QUIET = Progress(out=io.StringIO())
SETTINGS = Report(sheet=6, refused=3, grids=3)
NASTY = 'Fuji <script>alert("x")</script>'


def picture(path: Path, width: int = 80, height: int = 60, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def origin(number: int) -> Origin:
    return Origin(
        source="folder", page=f"https://example.org/{number}", url=f"https://example.org/{number}.png", title=NASTY,
        author=f"author {number % 3}", licence="CC0",
    )  # fmt: skip


def raw(data: Path, name: str = "prints") -> list[Scraped]:
    """Ten pictures fetched, one refused by its site, and one row of a query of long ago."""
    folder = data / "1-raw" / name
    rows: list[Scraped] = []
    for i in range(10):
        picture(folder / "pictures" / f"{i}.png", seed=i)
        rows.append(
            Scraped(
                id=f"folder:{i}", batch=1, query="now", outcome="kept", reason="", origin=origin(i), group=f"{i}",
                file=f"pictures/{i}.png", sha256="0" * 64, width=80, height=60, format="png",
            )
        )  # fmt: skip
    gone = Scraped(
        id="folder:gone", batch=1, query="now", outcome="refused", reason="gone", origin=origin(1), group="gone"
    )
    old = Scraped(
        id="folder:old", batch=1, query="then", outcome="refused", reason="long ago", origin=origin(2), group="old"
    )
    write_rows(folder / "items", [*rows, gone, old])
    write_json(folder / "query.json", {"query": "now"})
    return [*rows, gone]


def prepared(data: Path, rows: list[Scraped], name: str = "prints") -> list[Prepared]:
    """The first eight kept, the ninth and tenth refused, what was never fetched likewise."""
    ledger = [
        Prepared(
            id=row.id, picture=row.id, batch=1, outcome="kept" if i < 8 else "refused",
            reason="" if i < 8 else row.reason or "too dark", origin=row.origin, group=row.group, sha256=row.sha256,
            file=row.file, crop=Crop(0, 0, 60, 60, 64) if i < 8 else None,
        )
        for i, row in enumerate(rows)
    ]  # fmt: skip
    write_rows(data / "2-prepared" / name / "items", ledger)
    return ledger


def packed(data: Path, ledger: list[Prepared], name: str = "prints") -> None:
    rows = [
        Packed(
            id=row.id, picture=row.picture, batch=1, split="held_out" if i < 2 else "train", origin=row.origin,
            group=row.group, sha256=row.sha256, file=row.file, crop=row.crop,
        )
        for i, row in enumerate(ledger) if row.file and row.crop
    ]  # fmt: skip
    write_rows(data / "3-shards" / name / "items", rows)


def recipe(data: Path, name: str = "travelgan") -> None:
    model = data / "4-models" / name
    for grid in ("reals", "untrained", "step-000010", "step-000020", "step-000030", "step-000040"):
        picture(model / "samples" / f"{grid}.png")
    write_text(model / "losses.csv", "step,epoch,critic,generator\n10,1,0.5,1\n20,2,0.4,nan\n30,3,0.3,0.8\n")
    write_json(model / "best" / "checkpoint.json", {"step": 1230})
    write_json(model / "run.json", {"seed": 7, "versions": {"torch": "2"}})
    metrics = {"answer_swd": 83.0, "answer_swd_untouched": 158.0, "answer_swd_untrained": 61.0, "odd_figure": 3.0}
    own, beside = apart(metrics)
    write_json(data / "5-metrics" / name / "metrics.json", own)
    write_json(data / "5-metrics" / name / "beside.json", beside)
    picture(data / "5-metrics" / name / "pictures.png")
    write_text(data / "5-metrics" / name / "MODEL_CARD.md", "# card")
    picture(data / "6-prints" / name / "folder-0.png", 300, 200)
    write_json(data / "6-prints" / name / "folder-0.json", {"photo": {"id": "folder:0", "title": NASTY}})
    picture(data / "6-prints" / name / "stray.png", 300, 200)
    picture(data / "6-prints" / name / "seed-3" / "folder-0.png", 300, 200)
    picture(data / "6-prints" / name / "proof.jpg", 600, 200)


class Links(HTMLParser):
    """Collects every address that a page names, and checks that its tags nest."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for key, value in attrs if key in ("src", "href", "srcset", "action", "data")]
        if tag not in ("meta", "img", "input", "link", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def written(data: Path) -> str:
    out = data / "7-report"
    report.run(data=data, out=out, settings=SETTINGS, progress=QUIET)
    page = (out / "index.html").read_text()
    links = Links()
    links.feed(page)
    assert links.open == []
    for address in links.addresses:
        if address.startswith("#"):
            assert f'id="{address[1:]}"' in page
        else:
            assert (out / address).is_file(), address
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()} - {"index.html"}
    assert files == {address for address in links.addresses if not address.startswith("#")}
    assert not re.search(r"@import|url\(|https?://", page)
    assert "<script>alert" not in page
    return page


def test_the_whole_line_is_on_the_page(tmp_path: Path) -> None:
    packed(tmp_path, prepared(tmp_path, raw(tmp_path)))
    recipe(tmp_path)
    page = written(tmp_path)

    flow = re.findall(r"<li><b>([\d,]+)</b> ([a-z ]+)</li>", page)
    assert flow == [("11", "found"), ("10", "fetched"), ("8", "kept"), ("6", "to learn from"), ("2", "held out")]
    assert re.findall(r"<p><b>(\d+)</b> ([a-z ]+)</p>", page) == [("2", "too dark"), ("1", "gone")]
    assert "long ago" not in page
    assert "6 of 8" in page  # the contact sheet shows part of the set, and says so
    assert "from folder" in page
    assert "CC0" in page
    assert "author 0, author 1, author 2" in page

    assert page.count('class="pair"') == 2
    assert page.count("photo | painted") == 1  # the stray print has no photo to stand beside
    assert page.count('alt="each kept seed"') == 1
    assert "step 1,230" in page
    moments = re.findall(r"<figcaption>(reals|untrained|step \d+)</figcaption>", page)
    assert moments == ["reals", "untrained", "step 10", "step 30", "step 40"]
    assert page.count('<path class="smooth"') == 2
    assert ">model card</a>" in page


def test_a_missing_part_is_left_out(tmp_path: Path) -> None:
    assert "Nothing has been made yet" in written(tmp_path)
    rows = raw(tmp_path)
    page = written(tmp_path)
    assert "found" in page
    assert "to learn from" not in page
    prepared(tmp_path, rows)
    assert "too dark" in written(tmp_path)
    picture(tmp_path / "4-models" / "young" / "samples" / "untrained.png")
    page = written(tmp_path)
    assert "While it learned" in page
    assert "Prints" not in page
    picture(tmp_path / "6-prints" / "orphan" / "a.png")
    assert 'id="recipe-orphan"' in written(tmp_path)


def test_an_original_that_is_gone_or_damaged_leaves_a_gap_and_no_failure(tmp_path: Path) -> None:
    packed(tmp_path, prepared(tmp_path, raw(tmp_path)))
    (tmp_path / "1-raw" / "prints" / "pictures" / "0.png").unlink()
    (tmp_path / "1-raw" / "prints" / "pictures" / "9.png").write_bytes(b"no picture")
    assert 'id="set-prints"' in written(tmp_path)


def test_a_print_too_large_to_be_opened_is_shown_by_its_preview(tmp_path: Path) -> None:
    path = tmp_path / "6-prints" / "travelgan" / "wall.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"as good as 288 megapixels")
    picture(path.parent / "previews" / "wall.jpg", 300, 200)
    assert "wall" in written(tmp_path)
    assert 'id="recipe-travelgan"' in written(tmp_path)


def test_the_page_follows_the_order_it_is_given_then_names(tmp_path: Path) -> None:
    for name in ("anime", "travelgan", "cyclegan", "portraits"):
        recipe(tmp_path, name)
    order = ["travelgan", "not trained yet", "portraits"]
    report.run(data=tmp_path, out=tmp_path / "7-report", settings=SETTINGS, progress=QUIET, recipes=order)
    page = (tmp_path / "7-report/index.html").read_text()
    assert re.findall('<section id="recipe-(.*?)"', page) == ["travelgan", "portraits", "anime", "cyclegan"]


def test_the_page_is_the_same_when_nothing_changed(tmp_path: Path) -> None:
    packed(tmp_path, prepared(tmp_path, raw(tmp_path)))
    recipe(tmp_path)
    assert written(tmp_path) == written(tmp_path)


def test_a_stop_leaves_the_old_page(tmp_path: Path) -> None:
    raw(tmp_path)
    before = written(tmp_path)
    prepared(tmp_path, raw(tmp_path))
    progress = Progress(out=io.StringIO())
    progress.stop_requested = 2
    with pytest.raises(Stopped):
        report.run(data=tmp_path, out=tmp_path / "7-report", settings=SETTINGS, progress=progress)
    assert (tmp_path / "7-report" / "index.html").read_text() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1-raw", "2-prepared", "7-report"]


def test_better_and_worse_are_marked_by_the_direction_of_the_measure() -> None:
    rows = table(
        {"swd": 50.0, "swd_untrained": 300.0, "swd_floor": 20.0, "answer_match": 0.9, "answer_match_untrained": 0.95}
    )
    assert [row.name for row in rows] == ["answer_match", "swd"]
    last, untrained, _, _, floor = rows[1].beside
    assert last is None
    assert untrained is not None
    assert untrained.beaten is True
    assert floor is not None
    assert floor.beaten is None
    worse = rows[0].beside[1]
    assert worse is not None
    assert worse.beaten is False


def test_an_unknown_measure_is_shown_as_it_is() -> None:
    assert [(row.name, row.kind) for row in table({"odd_untrained": 1.0, "odd": 2.0, "lone_floor": 3.0})] == [
        ("lone_floor", None), ("odd", None),
    ]  # fmt: skip


def test_curves_keep_their_ends_and_leave_out_what_is_no_number(tmp_path: Path) -> None:
    assert read_curves(tmp_path / "none.csv") == ()
    write_text(tmp_path / "empty.csv", "step,epoch,loss\n")
    assert read_curves(tmp_path / "empty.csv") == ()
    steps = [float(step) for step in range(3000)]
    curve = draw("loss", steps, [float("nan")] + [1 / (step + 1) for step in steps[1:]])
    assert curve is not None
    assert curve.last == pytest.approx(1 / 3000)
    assert curve.high == 0.5
    assert curve.raw.count("L") <= 1.2 * POINTS
    assert draw("loss", [0.0, 1.0], [float("nan"), 1.0]) is None
    flat = draw("loss", [0.0, 1.0], [2.0, 2.0])
    assert flat is not None
    assert flat.raw == "M0.0 110.0L320.0 110.0"


def test_spread_keeps_first_and_last() -> None:
    assert spread(range(100), 3) == [0, 50, 99]
    assert spread(range(2), 3) == [0, 1]
    assert spread(range(9), 1) == [8]


def test_numbers_are_short() -> None:
    assert [number(value) for value in (0, 0.08314, 7.82, 158.2, 12000.0, 0.0000123, -3.14159)] == [
        "0", "0.0831", "7.82", "158", "12,000", "1.2e-05", "-3.14",
    ]  # fmt: skip


def test_settings_refuse_what_cannot_be() -> None:
    with pytest.raises(ParamsError, match=r"report\.sheet"):
        Report.read({"sheet": 0}, "report")


def test_what_prepare_measured_is_drawn(tmp_path: Path) -> None:
    report = {
        "sizes": {"bounds": [0, 64, 128], "counts": [0, 3, 6]},
        "measures": {
            "sharpness": {"bounds": [0.0, 0.5, 1.0, 1.5], "counts": [0, 4, 0]},
            "text": {"bounds": [0], "counts": []},
        },
        "palette": [{"colour": "#102030", "share": 0.25}],
        "datasheet": {
            "licences_kept": {"CC0": 2, "": 7},
            "collected": [{"batch": 1, "opened": "2026-01-02T03:04", "candidates": 9}],
        },
        "refused": {"blurred": 1, "dark": 2},
    }
    write_json(tmp_path / "report.json", report)
    found = described(tmp_path / "report.json")
    assert [(each.name, each.low, each.high, each.bars) for each in found.histograms] == [
        ("short side", 64, None, (0.5, 1.0)),
        ("sharpness", 0.5, 1.0, (1.0,)),
    ]
    assert found.palette[0].colour == "#102030"
    facts = dict(found.facts)
    assert (facts["licences"], facts["left out"]) == ("unknown 7, CC0 2", "dark 2, blurred 1")
    assert facts["collected"] == "2026-01-02: 9"
    assert described(tmp_path / "none.json").histograms == ()
