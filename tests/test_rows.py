"""Rows lie a file a batch, so that a night costs the rows it brings; read back they are whole and in order."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import BarenError
from tasks.rows import Origin, Scraped, in_ledger_order, read_scraped, row_files, sha256_rows, write_rows


def scraped(batch: int, key: int) -> Scraped:
    origin = Origin("folder", "page", "url", tags=("a",))
    return Scraped(f"folder:{batch}-{key:03}", batch, "query", "failed", "timeout", origin, f"{key}")


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 99)), min_size=1, unique=True))
def test_what_is_written_is_read_back_in_order(
    tmp_path_factory: pytest.TempPathFactory, keys: list[tuple[int, int]]
) -> None:
    items = tmp_path_factory.mktemp("set") / "items"
    rows = in_ledger_order(scraped(*key) for key in keys)
    write_rows(items, rows)
    assert list(read_scraped(items)) == rows
    assert [path.name for path in row_files(items)] == [f"{batch:05}.jsonl" for batch in sorted({n for n, _ in keys})]


def test_a_batch_that_is_added_leaves_the_files_before_it_as_they_are(tmp_path: Path) -> None:
    write_rows(tmp_path, [scraped(1, key) for key in range(3)])
    before, digest = (tmp_path / "00001.jsonl").stat(), sha256_rows(tmp_path)
    write_rows(tmp_path, [scraped(2, 0)])
    assert (tmp_path / "00001.jsonl").stat() == before
    assert sha256_rows(tmp_path) != digest
    assert [row.batch for row in read_scraped(tmp_path)] == [1, 1, 1, 2]
    assert [row.batch for row in read_scraped(tmp_path / "00002.jsonl")] == [2]


def test_a_set_without_rows_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BarenError, match=r"items holds no rows; run the stage that makes it \(dvc repro\)"):
        list(read_scraped(tmp_path / "items"))
