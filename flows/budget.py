"""How often a site may be asked: a budget of requests an hour each, kept by the Prefect server for all who collect."""

from collections.abc import Callable, Mapping
from threading import Event
from typing import Any

from prefect.client.orchestration import get_client
from prefect.concurrency.sync import rate_limit

HOURLY = {  # requests an hour that we allow ourselves, well below what a site allows where it says so
    "flickr": 3000,  # its terms: 3600 by one key
    "google_images": 100,
    "ukiyoe": 600,
    "wikiart": 400,
}
LOOK = 5.0  # seconds between two looks at whether we were asked to stop


def set_budgets(hourly: Mapping[str, int] = HOURLY) -> None:
    """Make the server know every site's budget; slots come back evenly over the hour."""
    with get_client(sync_client=True) as client:
        for site, requests in hourly.items():
            client.upsert_global_concurrency_limit_by_name(_limit(site), requests, requests / 3600)


def spend(
    scrape: Mapping[str, Any],
    kept: int,
    say: Callable[[str], None],
    stopping: Event,
    hourly: Mapping[str, int] = HOURLY,
) -> None:
    """Wait until the site's budget has room for what a scrape is expected to ask: a request a picture it still wants.

    `scrape` is the set's block of params.yaml. Sources on this machine have no budget. Returns early where `stopping`.
    """
    site = str(scrape["use"])
    if site not in hourly or scrape.get("site") == "museum":
        return
    requests = min(hourly[site], max(1, int(scrape["limit"]) - kept))
    told = False
    while not stopping.is_set():
        try:
            rate_limit(_limit(site), occupy=requests, timeout_seconds=LOOK, strict=True)
            return
        except TimeoutError:
            if not told:
                say(f"waiting for {requests} of the {hourly[site]} requests an hour that {site} is asked")
                told = True


def _limit(site: str) -> str:
    return f"requests to {site}".replace("_", "-")
