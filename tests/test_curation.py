"""A person's word overrides the judgement, and a word that makes no sense is one sentence."""

from pathlib import Path

import pytest

from tasks.errors import ParamsError
from tasks.prepare.curation import Verdict, read_curation

KNOWN = {"flickr:1", "flickr:2", "flickr:3"}


def test_verdicts_are_read(tmp_path: Path) -> None:
    path = tmp_path / "set.csv"
    path.write_text('id,verdict,reason\nflickr:1,keep,\n\nflickr:2,reject,"a hand, no face"\n')
    assert read_curation(path, KNOWN) == {
        "flickr:1": Verdict("keep", ""),
        "flickr:2": Verdict("reject", "a hand, no face"),
    }


def test_a_spreadsheet_may_have_saved_it(tmp_path: Path) -> None:
    path = tmp_path / "set.csv"
    path.write_bytes("id,verdict,reason\r\nflickr:1,keep,ja\r\n".encode("utf-8-sig"))
    assert read_curation(path, KNOWN) == {"flickr:1": Verdict("keep", "ja")}


def test_a_missing_file_is_created_with_its_header(tmp_path: Path) -> None:
    path = tmp_path / "curation" / "set.csv"
    assert read_curation(path, KNOWN) == {}
    assert path.read_text() == "id,verdict,reason\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("id,reason\n", r"first line must be id,verdict,reason"),
        ("", r"first line must be id,verdict,reason"),
        ("id,verdict,reason\nflickr:1,maybe,\n", r"line 2 says 'maybe' of flickr:1; it must say keep or reject"),
        ("id,verdict,reason\nflickr:9,keep,\n", r"line 2 names 'flickr:9', which was never scraped"),
        ("id,verdict,reason\nflickr:1,keep,\nflickr:1,reject,\n", r"line 3 names flickr:1 a second time"),
        ("id,verdict,reason\nflickr:1,keep\n", r"line 2 has 2 columns"),
    ],
)
def test_a_line_that_makes_no_sense_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "set.csv"
    path.write_text(text)
    with pytest.raises(ParamsError, match=sentence):
        read_curation(path, KNOWN)


def test_what_is_no_text_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "set.csv"
    path.write_bytes(b"id,verdict,reason\nflickr:1,keep,\xff\xfe\n")
    with pytest.raises(ParamsError, match="no CSV in UTF-8"):
        read_curation(path, KNOWN)
