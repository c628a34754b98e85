"""Training on its own schedule: what is stale is trained anew; a worse model does not replace the one that paints."""

import shutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows import lock
from flows.artifacts import key
from flows.dag import SET_STEPS, Dag, ask, step_of
from flows.dvc import dvc
from flows.judge import judge
from flows.names import require_recipes
from flows.rebuild import checkout, conclude, in_one_sentence, keep, walk
from flows.settings import Operations
from flows.steps import HABITS, Workbench
from tasks.errors import BarenError
from tasks.files import SCRATCH, no_half_folder, read_json, sha256_file, write_json

MODELS, METRICS = Path("data/4-models"), Path("data/5-metrics")
PAINTING = SCRATCH / "painting"  # models that paint on while others are trained: DVC removes a model before its stage


@flow(name="train", persist_result=False)
def train(recipes: list[str] | None = None) -> State[Any]:
    """Train the recipes that are stale, all or some, then paint and report with whichever model is the better one.

    Where a source or another stage fails, the recipes that do not need it are trained all the same, and what completed
    is kept; the run ends as failed.
    """
    return in_one_sentence(lambda: _train(recipes))


def _train(recipes: list[str] | None) -> State[Any]:
    with checkout("training") as bench:
        chosen = recipes_of(ask(), recipes)
        trained = replace_models(chosen, bench)
        painted = walk(painting(ready(chosen, ask())), bench)
        return conclude(f"Train {', '.join(chosen)}", [trained, painted], f"{trained.message}; {painted.message}")


def recipes_of(dag: Dag, recipes: Collection[str] | None = None) -> list[str]:
    """The recipes that the DAG trains, or those of them that are asked for; raises ParamsError for one unknown."""
    known = [stage.partition("@")[2] for stage in dag.waits_for if step_of(stage) == "train"]
    require_recipes(recipes or ())
    return list(recipes or known)


def ready(recipes: Iterable[str], dag: Dag) -> list[str]:
    """Those of `recipes` whose picture sets are up to date: the others wait for what failed."""
    return [recipe for recipe in recipes if dag.may_run(f"train@{recipe}", SET_STEPS)]


def painting(recipes: Iterable[str]) -> Dag:
    """What follows a choice of models: the measures and prints of `recipes`, and the report if it can be written."""
    dag = ask()
    stages = {f"{step}@{recipe}" for recipe in recipes if (MODELS / recipe).exists() for step in ("evaluate", "infer")}
    return dag.only(stages | ({"report"} if reportable(dag) else set()))


def reportable(dag: Dag, first: Collection[str] = ()) -> bool:
    """Whether there is all that the report tells of: it waits for the first model of every recipe.

    And nothing half made, but what is made anew by the stages `first`.
    """
    return dag.half_made() <= set(first) and all((MODELS / recipe).exists() for recipe in recipes_of(dag))


def replace_models(recipes: Iterable[str], bench: Workbench) -> State[Any]:
    """Train those of `recipes` that are stale; afterwards each has the better of its two models.

    Both are measured on the held-out pictures of today. A worse one is kept as a version and put away; where a training
    fails the old model is put back. An old model that the present settings cannot open is replaced unmeasured. What a
    recipe learns from is brought up to date before; one for which that fails keeps its model, and the state says so.
    """
    operations, recipes = Operations.load(), list(recipes)
    put_back(recipe for recipe in recipes if not (MODELS / recipe).exists())  # a killed training left it so
    dag = ask()
    trainings = {f"train@{recipe}" for recipe in recipes}
    before = walk(dag.only(dag.needed_by(trainings) - trainings), bench)
    dag = ask()
    able = ready(recipes, dag)
    trained = _replace_stale(able, dag, operations, bench)
    if before.is_completed():
        return trained
    waiting = [f"{recipe}: not trained, its pictures are not up to date" for recipe in recipes if recipe not in able]
    return Failed(message="; ".join([*([f"{trained.message}"] if able else []), *waiting, f"{before.message}"]))


def _replace_stale(recipes: list[str], dag: Dag, operations: Operations, bench: Workbench) -> State[Any]:
    """The same for `recipes` whose pictures are up to date in `dag`."""
    ended = [f"{recipe}: {_settle(recipe, dag, operations, bench)}" for recipe in recipes if _unsettled(recipe, dag)]
    if ended:
        dag = ask()
    stale = {recipe for recipe in recipes if f"train@{recipe}" in dag.stale()}
    due = [recipe for recipe in recipes if recipe in stale or _contest(recipe).exists()]
    if not due:
        return Completed(message="; ".join(ended) or "no training is stale")
    rivals = {
        recipe: rival
        for recipe in due
        if (rival := _rival(recipe, dag, bench) if recipe in stale else Rival(**read_json(_contest(recipe))))
    }
    state = _run_trainings(due, rivals, operations, bench)
    changed = ask().changed
    for recipe in due:
        fresh = not {f"train@{recipe}", f"evaluate@{recipe}"} & changed.keys()
        how = _choose(recipe, rivals.get(recipe), operations) if fresh else _unharmed(recipe, rivals.get(recipe))
        ended.append(f"{recipe}: {how}")
        _contest(recipe).unlink(missing_ok=True)
    message = "; ".join(ended)
    return Completed(message=message) if state.is_completed() else Failed(message=f"{message}; {state.message}")


def _unsettled(recipe: str, dag: Dag) -> bool:
    """Whether a model is here that a killed run trained and did not judge, and that is stale by now."""
    stage = f"train@{recipe}"
    if stage not in dag.stale() or not _contest(recipe).exists() or not (MODELS / recipe).exists():
        return False
    return lock.entries().get(stage) != Rival(**read_json(_contest(recipe))).blocks[stage]


def _settle(recipe: str, dag: Dag, operations: Operations, bench: Workbench) -> str:
    """Judge it before another is trained: else whatever it is worth would paint, and be the next one's rival.

    By its measures of that day, as the rival's are; where the run was killed before those, by today's.
    """
    rival, recorded = Rival(**read_json(_contest(recipe))), lock.entries()
    model = lock.hashes(recorded[f"train@{recipe}"], "outs")
    measured = model.items() <= lock.hashes(recorded.get(f"evaluate@{recipe}", {}), "deps").items()
    if measured or walk(dag.only({f"evaluate@{recipe}"}), bench).is_completed():
        how = _choose(recipe, rival, operations)
    else:
        how = _unharmed(recipe, rival)
    _contest(recipe).unlink(missing_ok=True)
    return how


@dataclass(frozen=True)
class Rival:
    """The model that paints now: what dvc.lock says of it, and how good it is on the pictures of today."""

    blocks: lock.Entries
    metrics: dict[str, float]


def _rival(recipe: str, dag: Dag, bench: Workbench) -> Rival | None:
    """Measure the model that paints; None where there is none, or none that can be measured."""
    if not (MODELS / recipe).exists() or f"train@{recipe}" not in lock.entries():
        return None
    if not walk(dag.only({f"evaluate@{recipe}"}), bench).is_completed():
        get_run_logger().warning("the model of %s cannot be measured with its present settings: no contest", recipe)
        return None
    blocks = {f"{step}@{recipe}": lock.entries()[f"{step}@{recipe}"] for step in ("train", "evaluate")}
    rival = Rival(blocks, read_json(METRICS / recipe / "metrics.json"))
    write_json(_contest(recipe), asdict(rival))
    return rival


def _contest(recipe: str) -> Path:
    """The rival of a training whose end was not yet judged: a run killed in between leaves it to the next."""
    return SCRATCH / "contests" / f"{recipe}.json"


def judged(recipe: str) -> dict[str, int]:
    """What the training read that was judged last, or failed, in bytes by path; nothing where none was."""
    path = _judged(recipe)
    return read_json(path) if path.exists() else {}


def _judged(recipe: str) -> Path:
    """Outlasts a model that is put away, with which dvc.lock forgets what its training read."""
    return SCRATCH / "judged" / f"{recipe}.json"


def _run_trainings(due: list[str], rivals: Mapping[str, Rival], operations: Operations, bench: Workbench) -> State[Any]:
    habits = dict(HABITS)
    for recipe in rivals:
        model = _set_aside(recipe)
        begin = {"BAREN_START": f"{model / 'last'}"} if operations.begin == "last" else {}
        habits[f"train@{recipe}"] = replace(HABITS["train"], variables={"BAREN_PAINTING": f"{model}", **begin})
    stages = {f"{step}@{recipe}" for recipe in due for step in ("train", "evaluate")}
    try:
        return walk(ask().only(stages), bench, habits=habits)
    except BaseException:  # told to stop: until the training goes on, the model before it paints
        put_back(recipe for recipe in due if not (MODELS / recipe).exists())
        raise


def _set_aside(recipe: str) -> Path:
    """A copy of the model, named by its last state, so that an interrupted training finds it again."""
    model = MODELS / recipe
    kept = PAINTING / f"{recipe}-{sha256_file(model / 'last/checkpoint.json')[:16]}"
    if not kept.exists():
        for older in PAINTING.glob(f"{recipe}-*"):
            shutil.rmtree(older)
        with no_half_folder(kept) as folder:
            shutil.copytree(model, folder, dirs_exist_ok=True)
    return kept


def _choose(recipe: str, rival: Rival | None, operations: Operations) -> str:
    """Leave the better model in place; says which that is, and why."""
    write_json(_judged(recipe), lock.read_by(f"train@{recipe}", lock.entries()))
    if rival is None:
        return "a new model paints"
    new = read_json(METRICS / recipe / "metrics.json")
    compared = judge(rival.metrics, new, operations.judged_by, operations.tolerance)
    create_table_artifact(
        key=key("contest", recipe),
        table=[{"measure": one.measure, "old": one.old, "new": one.new, "worse": one.worse} for one in compared],
        description=f"{recipe}: the model that painted and a new one, on the same held-out pictures",
    )
    worse = ", ".join(f"{one}" for one in compared if one.worse)
    if not worse:
        return f"a new model paints ({', '.join(map(str, compared))})"
    try:
        tag = keep(f"Put away a model of {recipe}: {worse}")
    except BarenError as error:
        get_run_logger().error("the model that is put away could not be kept: %s", error)
        tag = ""
    lock.put(rival.blocks)
    put_back([recipe])
    return f"the new model is worse ({worse}), so the old one paints on" + (f"; the new one is {tag}" if tag else "")


def _unharmed(recipe: str, rival: Rival | None) -> str:
    """Where a training or its measures failed: the model of before, if there is one.

    It counts as judged: what failed for hours would fail every night. The week's run tries it again.
    """
    recorded = lock.entries()
    write_json(_judged(recipe), lock.would_read(f"train@{recipe}", recorded))
    if rival is None:
        put_back([recipe])
        return "not trained"
    lock.put(rival.blocks)
    put_back([recipe])
    return "not trained, so the model before it paints on"


def put_back(recipes: Iterable[str]) -> None:
    """Bring the recorded models and metrics of `recipes` into the checkout; says where they are nowhere to be had."""
    recorded = lock.entries()
    stages = [f"{step}@{recipe}" for recipe in recipes for step in ("train", "evaluate")]
    try:
        bring([stage for stage in stages if stage in recorded])
    except BarenError as error:
        get_run_logger().warning("an older model could not be brought back: %s", error)


def bring(stages: list[str]) -> None:
    """Bring the recorded outputs of `stages` into the checkout, from the cache or else the remote."""
    if stages:
        try:
            dvc("checkout", "--force", *stages)
        except BarenError:
            dvc("pull", "--force", *stages)
