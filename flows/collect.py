"""Collecting: the web is asked again for new pictures, then what became stale is rebuilt, all but most trainings."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.context import get_run_context
from prefect.events import emit_event
from prefect.states import Completed

from flows import lock
from flows.budget import set_budgets, spend
from flows.dag import Dag, ask, step_of
from flows.harvest import SILENCE, Harvest, asked_since, harvest, last_batch, remember, silent
from flows.names import require_picture_sets
from flows.rebuild import checkout, conclude, in_one_sentence, walk
from flows.room import kept_pictures
from flows.settings import Operations, load_blocks
from flows.steps import Workbench
from flows.train import judged, painting, ready, recipes_of, replace_models, reportable

NIGHTLY = {"prepare", "shard"}  # follow collecting at once; training waits until there is more to learn from
NEVER = "9999"  # later than any moment


@flow(name="collect", persist_result=False)
def collect(picture_sets: list[str] | None = None) -> State[Any]:
    """Collect new pictures for all sets or some, then bring their shards and the report up to date.

    A recipe is trained only where a set of its has grown by the share operations.grown since it was trained.
    Nothing new is a success. A source that fell silent raises an alert: an error in the log and an event
    `baren.source.silent`, on which a Prefect automation can notify somebody. Where a source fails the others go on, and
    what completed is kept; the run ends as failed.
    """
    return in_one_sentence(lambda: _collect(picture_sets))


def _collect(picture_sets: list[str] | None) -> State[Any]:
    logger = get_run_logger()
    with checkout("collecting") as bench:
        blocks = _chosen(picture_sets)
        night = _moment(datetime.now(UTC))
        if blocks.keys() <= asked_since(_due(), night):
            return Completed(message="nothing to do: a later run has collected since this one was due")
        since = {name: last_batch(name) for name in blocks}
        collected = _ask_the_web(blocks, bench)
        harvests = [harvest(night, name, block, since[name]) for name, block in blocks.items()]
        remember(harvests)
        _tell(harvests)
        for quiet in silent(load_blocks("pictures")):
            logger.error("%s brought nothing new to %s for %d nights", quiet.source, quiet.picture_set, SILENCE)
            emit_event(
                "baren.source.silent",
                resource={"prefect.resource.id": f"baren.source.{quiet.source}"},
                payload={"picture_set": quiet.picture_set, "nights": SILENCE},
            )
        dag = ask()
        states = [collected, walk(dag.only(_nightly(dag)), bench)]
        if grown := _grown(ready(recipes_of(dag), ask())):
            states += [replace_models(grown, bench), walk(painting(grown), bench)]
        new = sum(harvest.new for harvest in harvests)
        told = states[1:] if collected.is_completed() else [*states[1:], collected]
        message = "; ".join([f"{new} new pictures" if new else "nothing new", *(f"{state.message}" for state in told)])
        return conclude("Collect", states, message)


def _due() -> str:
    """When this run was to begin, if a schedule began it; what follows a reboot or a long training may be late."""
    run: Any = get_run_context().flow_run  # type: ignore[union-attr]
    return _moment(run.expected_start_time) if run.auto_scheduled and run.expected_start_time else NEVER


def _moment(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _chosen(picture_sets: list[str] | None) -> dict[str, Mapping[str, Any]]:
    """The scrape block of each picture set that is collected."""
    require_picture_sets(picture_sets or ())
    pictures = load_blocks("pictures")
    return {name: pictures[name]["scrape"] for name in picture_sets or pictures}


def _nightly(dag: Dag) -> set[str]:
    """The stages that follow collecting at once; not those of a set whose source left its folder half new, or empty."""
    sets = {stage for stage in dag.waits_for if step_of(stage) in NIGHTLY and dag.may_run(stage, {"scrape"})}
    return sets | ({"report"} if reportable(dag, sets) else set())


def _grown(recipes: list[str]) -> list[str]:
    """The recipes of which a set has grown so much that their training does not wait for the week's.

    It grows from what the last training read, even if that failed or its model was put away: the same pictures would
    end alike.
    """
    recorded, enough = lock.entries(), Operations.load().grown
    return [recipe for recipe in recipes if lock.growth(recipe, recorded, judged(recipe)) >= enough]


def _ask_the_web(blocks: Mapping[str, Mapping[str, Any]], bench: Workbench) -> State[Any]:
    set_budgets(blocks.values())
    forced = frozenset(f"scrape@{name}" for name in blocks)

    def within_budget(stage: str, say: Any) -> None:
        name = stage.partition("@")[2]
        spend(blocks[name], kept_pictures(name)[0], say, bench.stopping)

    return walk(ask().only(set(forced)), bench, forced, before=within_budget)


def _tell(harvests: list[Harvest]) -> None:
    create_table_artifact(
        key="harvest",
        table=[
            {
                "source": harvest.source,
                "picture set": harvest.picture_set,
                "new": harvest.new,
                "refused": harvest.refused,
                "failed": harvest.failed,
            }
            for harvest in harvests
        ],
        description="what this night brought",
    )
