"""How often a site may be asked: a budget of requests an hour each, kept by the Prefect server for all who collect."""

from collections.abc import Callable, Iterable, Mapping
from threading import Event
from typing import Any

from tasks.scrape.registry import find

HOURLY = {  # requests an hour that we allow ourselves, well below what a site allows where it says so
    "commons": 3000,  # its policy: two pictures at once, at most
    "flickr": 3000,  # its terms: 3600 by one key
    "google_images": 100,
    "met": 1500,  # two requests a work
}
ELSEWHERE = 600  # of any other site
LOOK = 5.0  # seconds between two looks at whether we were asked to stop


def hourly(scrape: Mapping[str, Any]) -> int:
    """How many requests an hour the source of a scrape is given; 0 where it asks nobody beyond this machine.

    `scrape` is the set's block of params.yaml.
    """
    source = str(scrape["use"])
    if scrape.get("site") == "museum":
        return 0
    if source in HOURLY:
        return HOURLY[source]
    manners = find(source).manners
    return min(ELSEWHERE, manners.per_hour or ELSEWHERE) if manners.on_the_web else 0


def set_budgets(scrapes: Iterable[Mapping[str, Any]]) -> None:
    """Make the server know the budget of each site that `scrapes` ask; slots come back evenly over the hour."""
    from prefect.client.orchestration import get_client

    # Several sets may ask one site, and some of them its museum, which has no budget.
    budgets = {str(scrape["use"]): requests for scrape in scrapes if (requests := hourly(scrape))}
    with get_client(sync_client=True) as client:
        for site, requests in budgets.items():
            client.upsert_global_concurrency_limit_by_name(_limit(site), requests, requests / 3600)


def spend(scrape: Mapping[str, Any], kept: int, say: Callable[[str], None], stopping: Event) -> None:
    """Wait until the site's budget has room for what a scrape is expected to ask: a request a picture it still wants.

    `scrape` is the set's block of params.yaml. Sources on this machine have no budget. Returns early where `stopping`.
    """
    from prefect.concurrency.sync import rate_limit

    site, budget = str(scrape["use"]), hourly(scrape)
    if not budget:
        return
    requests = min(budget, max(1, int(scrape["limit"]) - kept))
    told = False
    while not stopping.is_set():
        try:
            rate_limit(_limit(site), occupy=requests, timeout_seconds=LOOK, strict=True)
            return
        except TimeoutError:
            if not told:
                say(f"waiting for {requests} of the {budget} requests an hour that {site} is asked")
                told = True


def _limit(site: str) -> str:
    return f"requests to {site}".replace("_", "-")
