"""The ledger: one row for every candidate of the present query, and a report whose counts add up."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tasks.errors import BarenError
from tasks.files import no_half_folder, read_json, write_json
from tasks.rows import ITEMS, Prepared, Scraped, in_ledger_order, read_scraped, write_rows


def candidates(raw: Path) -> tuple[list[Scraped], set[str]]:
    """The rows that the present query found, in ledger order, and the ids of all that was ever scraped for the set.

    Of an id that the query tried more than once, the last word counts; another query may have found it too.
    """
    query = read_json(raw / "query.json")["query"]
    rows = list(read_scraped(raw / ITEMS))
    latest = {row.id: row for row in rows if row.query == query}
    return in_ledger_order(latest.values()), {row.id for row in rows}


def report_of(picture_set: str, rows: Sequence[Prepared], num_candidates: int) -> dict[str, Any]:
    """The counts: candidates = kept pictures + refused pictures, the refused by reason; crops are counted beside."""
    kept = {row.picture for row in rows if row.outcome == "kept"}
    reasons = refusals(rows)
    assert len(kept) + sum(reasons.values()) == num_candidates, "a picture disappeared, or was counted twice"
    return {
        "picture_set": picture_set,
        "candidates": num_candidates,
        "kept": len(kept),
        "crops": sum(row.outcome == "kept" for row in rows),
        "refused": dict(sorted(reasons.items())),
    }


def refusals(rows: Iterable[Prepared]) -> Counter[str]:
    """How many pictures were refused, by reason."""
    return Counter(row.reason for row in rows if row.outcome == "refused")


def require_some(picture_set: str, rows: Sequence[Prepared]) -> None:
    """Raise BarenError, with the counts by reason, where nothing is left to learn from."""
    if not rows:
        raise BarenError(
            f"pictures.{picture_set} holds no picture of its present query; widen the query or raise its limit, "
            "and scrape again"
        )
    if all(row.outcome == "refused" for row in rows):
        counts = ", ".join(f"{count} {reason}" for reason, count in refusals(rows).most_common())
        raise BarenError(
            f"pictures.{picture_set}: every one of its {len(rows)} pictures is refused ({counts}); "
            f"loosen pictures.{picture_set}.prepare or scrape other pictures"
        )


def write(out: Path, rows: Sequence[Prepared], report: dict[str, Any]) -> None:
    """data/2-prepared/SET: its rows and report.json; all or none."""
    with no_half_folder(out) as folder:
        write_rows(folder / ITEMS, rows)
        write_json(folder / "report.json", report)
