"""What DVC says of the stages: which there are, what each waits for, which are stale. Asked by its command line."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from flows.dvc import answer, start

SET_STEPS = ("scrape", "prepare", "shard")
RECIPE_STEPS = ("train", "evaluate", "infer")

_NODE = re.compile(r'^"([^"]+)";$', re.MULTILINE)
_HALF = re.compile(r" (modified|new)(,|$)")
_EDGE = re.compile(r'^"([^"]+)" -> "([^"]+)";$', re.MULTILINE)


@dataclass(frozen=True)
class Dag:
    """The stages by name ("train@travelgan"), each after all it waits for; `changed` says why DVC calls one stale."""

    waits_for: Mapping[str, tuple[str, ...]]
    changed: Mapping[str, tuple[str, ...]]

    def stale(self) -> set[str]:
        """The stages that changed, and every stage that follows one."""
        found: set[str] = set()
        for stage, upstream in self.waits_for.items():
            if stage in self.changed or found.intersection(upstream):
                found.add(stage)
        return found

    def may_run(self, stage: str, after: Collection[str]) -> bool:
        """Whether nothing that `stage` needs of the steps `after` is stale: it may read only what dvc.lock records."""
        return not any(step_of(name) in after for name in self.needed_by({stage}) & self.stale())

    def half_made(self) -> set[str]:
        """The stages of picture sets whose outputs are here, and other than dvc.lock records: a failure left them."""
        return {
            stage
            for stage, reasons in self.changed.items()
            if step_of(stage) in SET_STEPS
            and any(reason.startswith("changed outs: ") and _HALF.search(reason) for reason in reasons)
        }

    def part_of(self, recipe: str) -> "Dag":
        """The stages of one recipe and all they need; without the report, which tells of every recipe."""
        wanted = {stage for stage in self.waits_for if stage.endswith(f"@{recipe}") and step_of(stage) in RECIPE_STEPS}
        return self.only(self.needed_by(wanted))

    def needed_by(self, stages: set[str]) -> set[str]:
        """`stages` and all that they wait for."""
        needed = set(stages)
        for stage in reversed(list(self.waits_for)):
            if stage in needed:
                needed.update(self.waits_for[stage])
        return needed

    def only(self, wanted: set[str]) -> "Dag":
        """The same order and reasons, for the stages `wanted`."""
        return Dag(
            {
                stage: tuple(name for name in upstream if name in wanted)
                for stage, upstream in self.waits_for.items()
                if stage in wanted
            },
            {stage: reasons for stage, reasons in self.changed.items() if stage in wanted},
        )


def step_of(stage: str) -> str:
    """ "train@travelgan" is a "train"."""
    return stage.split("@")[0]


def ask() -> Dag:
    """The DAG of the checkout we stand in, from one `dvc dag` and one `dvc status`.

    Raises BarenError with DVC's own sentence where it cannot tell.
    """
    questions = [start("dag", "--dot"), start("status", "--json")]
    dot, status = map(answer, questions)
    nodes, edges = _NODE.findall(dot), _EDGE.findall(dot)
    upstream = {node: tuple(before for before, after in edges if after == node) for node in nodes}
    changed = {stage: tuple(_reasons(entries)) for stage, entries in json.loads(status).items()}
    return Dag(_in_order(upstream), changed)


def _reasons(entries: list[Any]) -> list[str]:
    """One line a reason, such as "changed deps: params.yaml recipes.travelgan.train.epochs modified"."""
    lines: list[str] = []
    for entry in entries:
        if isinstance(entry, str):
            lines.append(entry)
        else:
            lines.extend(f"{kind}: {_flat(what)}" for kind, what in entry.items())
    return lines


def _flat(what: Any) -> str:
    if isinstance(what, Mapping):
        return ", ".join(f"{key} {_flat(value)}" for key, value in what.items())  # pyright: ignore[reportUnknownVariableType]
    return str(what)


def _in_order(upstream: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The same mapping, every stage after all it waits for."""
    ordered: dict[str, tuple[str, ...]] = {}
    while len(ordered) < len(upstream):
        for stage, before in upstream.items():
            if stage not in ordered and all(name in ordered for name in before):
                ordered[stage] = before
    return ordered
