"""What prepare tells of a set as a whole: histograms of its sizes and measures, its palette, its datasheet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.files import read_json

ABOUT = {  # what each measure says, for a reader who has not seen the code
    "short side": "pixels of the originals",
    "aspect": "width over height",
    "colour": "chroma in Lab",
    "darkest": "level of the dark end, of 255",
    "lightest": "level of the light end, of 255",
    "information": "bits a pixel",
    "sharpness": "energy of fine detail",
    "text": "share of the area that looks written",
    "score": "how sure the face detector is",
}


@dataclass(frozen=True)
class Histogram:
    """How the kept pictures are spread over one measure."""

    name: str
    about: str
    low: float
    high: float | None  # None: without end
    bars: tuple[float, ...]  # height of each, of the highest
    count: int


@dataclass(frozen=True)
class Tone:
    """One of the commonest colours, and its share of all pixels."""

    colour: str
    share: float


@dataclass(frozen=True)
class Described:
    """What stands in prepare's report.json beside its counts; empty where it has not run."""

    histograms: tuple[Histogram, ...] = ()
    palette: tuple[Tone, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()  # the datasheet's questions and answers


def described(path: Path) -> Described:
    """Read the report.json at `path`, which need not be there."""
    told: dict[str, Any] = read_json(path) if path.exists() else {}
    sizes = {"short side": told["sizes"]} if "sizes" in told else {}
    return Described(
        histograms=tuple(
            histogram
            for name, each in {**sizes, **told.get("measures", {})}.items()
            if (histogram := _read(name, each))
        ),
        palette=tuple(Tone(each["colour"], each["share"]) for each in told.get("palette", ())),
        facts=tuple(_facts(told.get("datasheet", {}), told.get("refused", {}))),
    )


def _read(name: str, told: Mapping[str, Any]) -> Histogram | None:
    """None where nothing was counted; empty bars at both ends are left out."""
    counts: list[int] = told["counts"]
    bounds: list[float | None] = [*told["bounds"], None][: len(counts) + 1]
    filled = [place for place, count in enumerate(counts) if count]
    if not filled:
        return None
    first, last = filled[0], filled[-1]
    low = bounds[first]
    assert low is not None  # only the last bound may be without end
    shown, highest = counts[first : last + 1], max(counts)
    bars = tuple(round(count / highest, 4) for count in shown)
    return Histogram(name, ABOUT.get(name, ""), low, bounds[last + 1], bars, sum(counts))


def _facts(sheet: Mapping[str, Any], refused: Mapping[str, int]) -> list[tuple[str, str]]:
    if not sheet:
        return []
    batches: Sequence[Mapping[str, Any]] = sheet.get("collected", ())
    dates: Mapping[str, str] = sheet.get("dates_kept") or {}
    facts = [
        ("sources", _counted(sheet.get("sources_kept", {}))),
        ("licences", _counted(sheet.get("licences_kept", {}))),
        ("authors", f"{sheet.get('authors_kept', 0):,}, and {sheet.get('without_author', 0):,} without a name"),
        ("originals", f"{sheet.get('groups_kept', 0):,}; crops and variants of one are held out together"),
        ("dates of the works", " to ".join(dict.fromkeys(str(date) for date in dates.values()))),
        ("collected", "; ".join(f"{batch['opened'][:10]}: {batch['candidates']:,}" for batch in batches)),
        ("left out", _counted(refused)),
    ]
    return [(name, value) for name, value in facts if value]


def _counted(counts: Mapping[str, int]) -> str:
    most_first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name or 'unknown'} {count:,}" for name, count in most_first)
