"""The report of a prepared set adds up, and tells where its pictures come from."""

import json
from pathlib import Path

import numpy as np
from test_prepare import prepared, raw_folder, scraped

from tasks.files import write_json_lines
from tasks.prepare.datasheet import colours, describe
from tasks.rows import Origin


def test_the_datasheet_tells_sources_licences_and_dates(tmp_path: Path) -> None:
    other = Origin(source="flickr", page="", url="", author="Ann", date="1999", licence="CC BY 4.0")
    more = [
        scraped(1, batch=2, origin=other, file="pictures/0000.png", width=50, height=40),
        scraped(2, batch=2, outcome="refused", reason="placeholder", file=None),
    ]
    raw = raw_folder(tmp_path / "raw", [(50, 40)], more)
    write_json_lines(raw / "batches.jsonl", [{"batch": 1, "opened": "2026-01-01T00:00:00Z"}])
    prepared(raw, tmp_path / "out", duplicates=-1)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["datasheet"] == {
        "sources": {"flickr": 1, "folder": 2},
        "sources_kept": {"flickr": 1, "folder": 1},
        "licences_kept": {"CC BY 4.0": 1, "unknown": 1},
        "authors_kept": 1,
        "without_author": 1,
        "groups_kept": 2,
        "dates_kept": {"first": "1999", "last": "1999"},
        "collected": [
            {"batch": 1, "opened": "2026-01-01T00:00:00Z", "candidates": 1},
            {"batch": 2, "opened": "", "candidates": 2},
        ],
    }
    assert sum(report["sizes"]["counts"]) == 1, "one row says how large its original is"
    for measure in report["measures"].values():
        assert sum(measure["counts"]) == report["kept"] == 2
    shares = [colour["share"] for colour in report["palette"]]
    assert shares == sorted(shares, reverse=True)


def test_the_palette_names_what_is_seen(tmp_path: Path) -> None:
    picture = np.zeros((80, 80, 3), np.uint8)
    picture[:60] = (250, 10, 10)
    palette = describe(tmp_path, [], [], [colours(picture)])["palette"]
    assert [colour["colour"] for colour in palette[:2]] == ["#f01010", "#101010"]
    assert [colour["share"] for colour in palette[:2]] == [0.75, 0.25]
