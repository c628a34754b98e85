"""A person's word on single pictures: curation/SET.csv, with an id, "keep" or "reject", and why.

"keep" overrides every judgement of taste (worth, licence, copies), not what cannot be done: a file that does not open,
a picture smaller than the square.
"""

import csv
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from tasks.errors import ParamsError
from tasks.files import write_text

COLUMNS = ("id", "verdict", "reason")
Word = Literal["keep", "reject"]


@dataclass(frozen=True)
class Verdict:
    """What a person decided on one picture, and why."""

    decision: Word
    reason: str


def begin_curation(path: Path) -> None:
    """Create the file at `path`, with its header only, where it is missing."""
    if not path.exists():
        write_text(path, ",".join(COLUMNS) + "\n")


def read_curation(path: Path, known: Set[str]) -> Mapping[str, Verdict]:
    """The verdicts in the file at `path` by picture id; a missing file is created with its header only.

    `known` are the ids that were ever scraped for the set. Raises ParamsError, with the line, for an unknown or
    repeated id, another word than keep or reject, or other columns.
    """
    begin_curation(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file)
            header = next(lines, [])
            if tuple(header) != COLUMNS:
                raise ParamsError(
                    f"{path} begins with {','.join(header)!r}; its first line must be {','.join(COLUMNS)}"
                )
            verdicts: dict[str, Verdict] = {}
            for line in lines:
                if any(line):
                    name, verdict = _read(line, f"{path}, line {lines.line_num}", known, verdicts)
                    verdicts[name] = verdict
            return verdicts
    except (UnicodeDecodeError, csv.Error) as error:
        raise ParamsError(f"{path} is no CSV in UTF-8 ({error}); save it as one") from error


def _read(line: list[str], where: str, known: Set[str], before: Mapping[str, Verdict]) -> tuple[str, Verdict]:
    if len(line) != len(COLUMNS):
        raise ParamsError(f"{where} has {len(line)} columns; it needs {', '.join(COLUMNS)} (the reason may be empty)")
    name, decision, reason = (value.strip() for value in line)
    if decision not in get_args(Word):
        raise ParamsError(f"{where} says {decision!r} of {name}; it must say keep or reject")
    if name in before:
        raise ParamsError(f"{where} names {name} a second time; leave one line for it")
    if name not in known:
        raise ParamsError(f"{where} names {name!r}, which was never scraped for this set; correct or remove the line")
    return name, Verdict("keep" if decision == "keep" else "reject", reason)
