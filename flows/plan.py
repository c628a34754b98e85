"""What a rebuild would do, and why: the stale stages, and about how many requests, seconds and bytes they will take."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from flows import lock
from flows.budget import hourly
from flows.dag import Dag, ask, step_of
from flows.history import usual_seconds
from flows.room import kept_pictures, wanted
from flows.settings import load_blocks

FOLLOWED = 6  # stages named as what one follows: the report follows all


@dataclass(frozen=True)
class Planned:
    """One stage that is stale."""

    stage: str
    reasons: tuple[str, ...]  # DVC's; none of its own where it only follows one that is stale
    follows: tuple[str, ...]
    seconds: float | None  # as it usually took; None where it never ran through a flow
    num_bytes: int
    requests: int
    site: str  # that is asked, and has a budget; "" for none
    budget: int  # of requests an hour


def planned(dag: Dag) -> list[Planned]:
    """The stale stages, each after all it waits for."""
    stale, usual, recorded = dag.stale(), usual_seconds(), lock.entries()
    found: list[Planned] = []
    for stage in dag.waits_for:
        if stage in stale:
            follows = tuple(name for name in dag.waits_for[stage] if name in stale)
            reasons = dag.changed.get(stage, ()) if stage in recorded else ("never run here",)
            room = wanted(stage, recorded)
            found.append(Planned(stage, reasons, follows, usual.get(stage), room, *_requests(stage)))
    return found


def told() -> str:
    """The plan for a person."""
    stages = planned(ask())
    if not stages:
        return "nothing is stale: a rebuild would do nothing (collecting would still ask the web for new pictures)"
    return "\n".join([*_lines(stages), "", *_sums(stages)])


def _lines(stages: list[Planned]) -> Iterator[str]:
    for one in stages:
        took = [] if one.seconds is None else [f"about {duration(one.seconds)}"]
        took += [f"{one.requests:,} requests to {one.site}"] if one.site else []
        yield f"{one.stage}: {', '.join(took)}" if took else one.stage
        yield from (f"    {reason}" for reason in one.reasons)
        if one.follows:
            named, more = one.follows[:FOLLOWED], len(one.follows) - FOLLOWED
            yield f"    follows {', '.join(named)}" + (f" and {more} more" if more > 0 else "")


def _sums(stages: list[Planned]) -> Iterator[str]:
    known = [one.seconds for one in stages if one.seconds is not None]
    untimed = len(stages) - len(known)
    times = [f"about {duration(sum(known))} one after another"] if known else []
    times += [f"{untimed} that no flow has timed yet"] if untimed else []
    room = sum(one.num_bytes for one in stages) / 1e9
    yield f"{len(stages)} stages: {' and '.join(times)}; at most {room:.1f} GB of disk"
    for site in sorted({one.site for one in stages if one.site}):
        requests = sum(one.requests for one in stages if one.site == site)
        budget = max(one.budget for one in stages if one.site == site)
        yield f"{site}: {requests:,} requests at {budget:,} an hour, so {math.ceil(requests / budget)} hours or more"


def _requests(stage: str) -> tuple[int, str, int]:
    """What a scrape will ask, a request a picture it still wants; of whom; and how many an hour."""
    if step_of(stage) != "scrape":
        return 0, "", 0
    name = stage.partition("@")[2]
    scrape = load_blocks("pictures")[name]["scrape"]
    budget = hourly(scrape)
    missing = max(1, int(scrape["limit"]) - kept_pictures(name)[0])
    return (missing, str(scrape["use"]), budget) if budget else (0, "", 0)


def duration(seconds: float) -> str:
    """ "40 s", "12 min", "3.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
