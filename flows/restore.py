"""Back to an earlier model: the recorded model of a kept version paints again, and nothing else is turned back."""

from collections.abc import Iterable
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows import lock
from flows.rebuild import checkout, in_one_sentence, keep, walk
from flows.settings import Operations
from flows.train import bring, painting, put_back
from flows.versions import Git
from tasks.errors import BarenError


@flow(name="restore", persist_result=False)
def restore(version: str, recipes: list[str] | None = None) -> State[Any]:
    """Let the models of `version` (a tag or commit) paint again, all or those of `recipes`; then paint and report."""
    return in_one_sentence(lambda: _restore(version, recipes))


def _restore(version: str, recipes: list[str] | None) -> State[Any]:
    with checkout(f"a return to {version}") as bench:
        blocks = models_of(version, recipes)
        back = [stage.partition("@")[2] for stage in blocks if stage.startswith("train@")]
        now = lock.entries()
        try:
            lock.put(blocks)
            bring(list(blocks))
        except BarenError:
            lock.put({stage: now[stage] for stage in blocks if stage in now})
            put_back(back)
            raise
        painted = walk(painting(back), bench)
        message = f"{', '.join(back)} of {version} paints again; {painted.message}"
        if not painted.is_completed():
            return Failed(message=message)
        keep(f"Restore: {message}")
        return Completed(message=message)


def models_of(version: str, recipes: Iterable[str] | None) -> lock.Entries:
    """What the dvc.lock of `version` says of trainings and their measures.

    Raises BarenError where the version is unknown, or its networks are other ones than dvc.lock records now.
    """
    git = Git()
    if not git.commit_of(version):
        known = [line.split()[0] for line in versions()][:5]
        raise BarenError(
            f"{version!r} is no version of this checkout; "
            + (f"the last ones are: {', '.join(known)}" if known else "none was kept yet")
        )
    try:
        then, now = lock.parse(git.show(version, "dvc.lock")), lock.entries()
    except BarenError as error:
        raise BarenError(f"{version} has no dvc.lock that could be read, so no model; {error}") from error
    trained = [stage.partition("@")[2] for stage in then if stage.startswith("train@")]
    for recipe in recipes or ():
        if recipe not in trained:
            raise BarenError(f"{version} has no model of {recipe!r}; it has: {', '.join(trained) or 'none'}")
    found: lock.Entries = {}
    for recipe in recipes or trained:
        if _networks(then, recipe) != _networks(now, recipe):
            raise BarenError(
                f"the networks of {recipe} were others in {version}, so its model cannot paint with the present "
                f"params.yaml; commit or put away what you changed (`git stash -u`), then `git checkout {version} && "
                "dvc checkout` brings back both"
            )
        found |= {stage: then[stage] for stage in (f"train@{recipe}", f"evaluate@{recipe}") if stage in then}
    return found


def _networks(recorded: lock.Entries, recipe: str) -> Any:
    params = recorded.get(f"train@{recipe}", {}).get("params", {}).get("params.yaml", {})
    return params.get(f"recipes.{recipe}.networks")


def versions() -> list[str]:
    """One line a kept version, the newest first: its tag, when, and what was done."""
    branch = Operations.load().branch
    return Git().tags(f"{branch}-*") if branch and Git().here() else []
